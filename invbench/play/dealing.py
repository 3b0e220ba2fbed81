"""A cell's deal: of an honest server, or of a malicious one that gives each client weights of its attack's making."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from invbench.cell import Cell
from invbench.core.attack import Attack, UpdateAttack
from invbench.games import Deal, game_of
from invbench.observation import Public, Tensors
from invbench.play.knowing import as_told


def dealt(cell: Cell, device: torch.device) -> Deal[Any, Any]:
    """What the cell's attack sees, and what scores its answers; ValueError where it crafts and does not say so."""
    attack: Attack[Any, Any, Any]
    attack, crafts = cell.attack.build(Attack), cell.attack.part.facts["server"] == "malicious"
    own = isinstance(attack, UpdateAttack) and type(attack).craft is not UpdateAttack.craft
    if own != crafts:
        marked = '@attack(server="malicious")'
        raise ValueError(f"attack {cell.attack.name}: {marked} goes with a method craft(public, weights, client)")
    adds = isinstance(attack, UpdateAttack) and type(attack).inserted is not UpdateAttack.inserted
    if adds != cell.attack.part.facts["adds_module"]:
        raise ValueError(f"attack {cell.attack.name}: @attack(adds_module=True) goes with a method inserted(public)")
    if isinstance(attack, UpdateAttack) and crafts:
        return game_of(cell).deal_crafted(cell, device, partial(_craft, cell, attack))
    return game_of(cell).deal(cell, device)


def _craft(cell: Cell, attack: UpdateAttack, public: Public, weights: Tensors, client: int) -> Tensors:
    return attack.craft(as_told(cell, public), weights, client)
