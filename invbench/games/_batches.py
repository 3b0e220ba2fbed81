"""Which pictures are behind the update of each target of a cell of clients, and which defences stand before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream
from invbench.data import ImagePool
from invbench.defenses import Defense, Round, Stack
from invbench.observation import Plain, Public
from invbench.protocol import UpdateProtocol
from invbench.scoring.reconstruction import Array, Truth
from invbench.victims import model_of, stack_of


def protocol_of(cell: Cell) -> UpdateProtocol:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(UpdateProtocol)


def told_settings(cell: Cell) -> dict[str, Plain]:
    """What the attacker is told of the protocol: all of its settings, but of a hidden loss a plain mean."""
    assert cell.protocol is not None
    plain = {"reduction": "mean", "loss_scale": 1.0} if protocol_of(cell).loss == "hidden" else {}
    return dict(cell.protocol.settings) | plain


def as_played(cell: Cell, public: Public) -> Public:
    """The same for who plays the clients, who know their loss."""
    assert cell.protocol is not None
    return replace(public, protocol_settings=dict(cell.protocol.settings))


def round_of(cell: Cell) -> Round:
    """What is public of the cell's rounds."""
    assert cell.batch_size is not None
    protocol = protocol_of(cell)
    shared = protocol.shared_as(cell.batch_size)
    mixing = protocol.batch_norm == "train"
    exact = shared.exact and shared.factor == 1.0
    return Round(cell.batch_size, one_gradient=exact, mixing=mixing, clients=protocol.clients)


def round_stack(cell: Cell) -> Stack:
    """The cell's defences as they act in its rounds; ValueError with why one of them cannot."""
    return stack_of(cell).of_round(round_of(cell))


def named_defenses(cell: Cell) -> list[tuple[str, Defense]]:
    """The cell's defences by name, as they act in its rounds."""
    names = [choice.name for choice in cell.defense or ()]
    return list(zip(names, round_stack(cell).defenses, strict=True))


def pictures_of(cell: Cell) -> int:
    """Pictures of all clients of a round."""
    assert cell.batch_size is not None
    return cell.batch_size * protocol_of(cell).clients


def clients_seen(cell: Cell) -> int:
    """Whose updates are in what the server sees, the first of the protocol's clients: some may drop out or collude."""
    return stack_of(cell).clients_seen(protocol_of(cell).clients)


def wanted_of(cell: Cell) -> int:
    """How many of them are the truth: those that the server sees, or those of the client that the attack aims at."""
    assert cell.batch_size is not None
    return cell.batch_size * (1 if cell.attack.part.facts["aims"] == "client" else clients_seen(cell))


def target_pool(cell: Cell, pool: ImagePool) -> Array:
    """Indexes of the pictures that can be attacked, in their order."""
    return pool.trained_targets if model_of(cell).trained else pool.targets


def positions_of(cell: Cell, number: int) -> Array:
    """Places in the target pool of the pictures behind target `number`, counted from the start of the pool."""
    size = pictures_of(cell)
    return np.arange(number * size, (number + 1) * size)


def batches(cell: Cell, pool: ImagePool) -> list[Truth]:
    """The pictures behind each target's update, client by client."""
    places, found = target_pool(cell, pool), []
    for number in range(cell.offset, cell.offset + cell.targets):
        positions = positions_of(cell, number)
        indexes = places[positions]
        found.append(Truth(pool.unit(indexes), pool.labels[indexes], positions, indexes))
    return found


def attackers_own(cell: Cell, pool: ImagePool) -> Array:
    """Indexes of the pictures that the attacker may have, of which the protocol gives him the first `public` ones.

    None of them is attacked in this cell, or trained on by a trained victim. First come those that no cell attacks, in
    an order drawn for the data set, then the target pool from its end: cells of few targets share them.
    """
    pool_of_targets = target_pool(cell, pool)
    size = pictures_of(cell)
    attacked = pool_of_targets[cell.offset * size : (cell.offset + cell.targets) * size]
    never = attacked if not model_of(cell).trained else np.concatenate([attacked, pool.train])
    others = np.concatenate([pool.train, pool.targets, pool.trained_targets])
    apart = numpy_stream("attacker's own", cell.data_hash).permutation(np.setdiff1d(others, pool_of_targets))
    ordered = np.concatenate([apart, pool_of_targets[::-1]])
    return ordered[~np.isin(ordered, never)]
