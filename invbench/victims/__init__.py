"""Victims: the network that a cell attacks, built from its seed, trained where the model asks for it.

Its weights depend on seed, model, data and the defences that change the network, and on nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from invbench.cell import Cell, Choice
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import seed_of, stream
from invbench.core.sources import VICTIM, hash_of
from invbench.core.training import Training
from invbench.data import Dataset, ImagePool
from invbench.data._table import Table
from invbench.defenses import NETWORK, Context, Defense, Stack
from invbench.defenses._contract import checked_reason
from invbench.models import ImageModel
from invbench.victims.building import build_victim
from invbench.victims.layers import few_layers
from invbench.victims.pictures import labelled
from invbench.victims.rows import pool_of_table
from invbench.victims.training import train

Shape = tuple[int, int, int]
Indexes = npt.NDArray[np.int64]


def pool_of(cell: Cell) -> ImagePool:
    """The cell's pictures, or its table's rows as a network takes them."""
    pool = cell.dataset.build(Dataset).load()
    return pool_of_table(pool) if isinstance(pool, Table) else cast(ImagePool, pool)


def model_of(cell: Cell) -> ImageModel:
    """The cell's architecture."""
    return cell.model.build(ImageModel)


def stack_of(cell: Cell) -> Stack:
    """The cell's defences; an empty stack where its game has none."""
    return Stack(tuple(choice.build(Defense) for choice in cell.defense or ()))


def network_defenses(cell: Cell) -> tuple[Choice, ...]:
    """Those of the cell's defences that change the network itself."""
    return tuple(d for d in cell.defense or () if NETWORK & set(d.build(Defense).stages()))


def shape_of(pool: ImagePool) -> Shape:
    """The pictures' shape `(C, H, W)`."""
    return cast(Shape, tuple(pool.images.shape[1:]))


def architecture(cell: Cell) -> nn.Module:
    """The victim on the meta device: layers and shapes, no weights. Shared by all who ask: to be looked at."""
    pool = pool_of(cell)
    return _architecture(cell.model, network_defenses(cell), shape_of(pool), pool.classes)


def victim(cell: Cell, pictures: Indexes | None = None, number: int = 0) -> nn.Module:
    """The network that the cell attacks, on the CPU, in eval mode; `pictures` and `number` as of `trained_victim`."""
    network = _untrained(cell, number)
    if model_of(cell).trained:
        network.load_state_dict(fetch(trained_victim(cell, pictures, number)))
    return network.eval()


def victim_artefacts(cell: Cell) -> tuple[Artefact, ...]:
    """The trained victim, where the model is to be trained."""
    return (trained_victim(cell),) if model_of(cell).trained else ()


def trained_victim(cell: Cell, pictures: Indexes | None = None, number: int = 0) -> Artefact:
    """The weights of a victim trained on the data set's training pool, or on those of its pictures at these indexes.

    `number`: where a cell has several victims, which of them; each has its own start and its own draws.
    """
    seed = _key(cell, number) if pictures is None else [*_key(cell, number), {"pictures": pictures.tolist()}]

    def make() -> dict[str, Tensor]:
        pool, network, model = pool_of(cell), _untrained(cell, number), model_of(cell)
        own = labelled(pool, pool.train if pictures is None else pictures, cell.normalisation)
        draws = Context(stream("defended training", *seed))
        training = stack_of(cell).at("training", usual_training(cell, pictures), draws)
        model.pretrain(network, own.images, stream("pretraining", *seed), training)
        train(network, own.images, own.labels, stream("training", *seed), training)
        return network.state_dict()

    parts = (cell.model.part.cls, *(d.part.cls for d in network_defenses(cell)))
    key = {"victim": seed, "normalisation": cell.normalisation, "code": hash_of(VICTIM, *parts)}
    several = "" if pictures is None else f"{len(pictures)} pictures of "
    return Artefact(f"training {cell.model.short} on {several}{cell.dataset.short}", key, make)


def usual_training(cell: Cell, pictures: Indexes | None = None) -> Training:
    """How the cell's victim trains on these pictures, the data set's training pool by default, before any defence."""
    return Training(model_of(cell).training_steps, examples=len(pool_of(cell).train if pictures is None else pictures))


def why_untrainable(cell: Cell, network: nn.Module, training: Training) -> str | None:
    """Why the cell's defences cannot take part in such a training of such a network, by the first that says so."""
    choices, stack = cell.defense or (), stack_of(cell)
    for choice, defense in zip(choices, stack.defenses, strict=True):
        if "training" not in defense.stages():
            continue
        if (why := checked_reason(type(defense).__name__, defense.untrainable(network, training))) is not None:
            return f"defence {choice.name}: {why}"
    return _unguarded(cell, training)


def _unguarded(cell: Cell, training: Training) -> str | None:
    """Why a private training of this cell's model promises nothing, or None."""
    if not isinstance(model := cell.model.build(object), ImageModel) or not model.pretrains:
        return None
    defended = stack_of(cell).only(frozenset({"training"})).at("training", training, Context(torch.Generator()))
    if defended.private is None:
        return None
    return f"{cell.model.name} is pretrained on the same pictures first, which no guarantee of its training covers"


def training_notes(cell: Cell, training: Training) -> tuple[str, ...]:
    """What the cell's defences say of the training that they make of this one."""
    stack, draws = stack_of(cell).only(frozenset({"training"})), Context(torch.Generator())
    defended = stack.at("training", training, draws)
    return stack.training_notes(defended)


def _untrained(cell: Cell, number: int) -> nn.Module:
    pool = pool_of(cell)
    return build_victim(model_of(cell), shape_of(pool), pool.classes, seed_of(*_key(cell, number)), stack_of(cell))


def _key(cell: Cell, number: int) -> list[Any]:
    """What a victim's weights depend on, and nothing else; the defences only where any changes the network."""
    changing = [d.key for d in network_defenses(cell)]
    key = ["victim", cell.seed, cell.model.key, cell.data_hash, *([changing] if changing else [])]
    return [*key, {"number": number}] if number else key


@lru_cache(maxsize=64)
def _architecture(model: Choice, defenses: tuple[Choice, ...], shape: Shape, classes: int) -> nn.Module:
    stack = Stack(tuple(choice.build(Defense) for choice in defenses))
    with torch.random.fork_rng(devices=[]), torch.device("meta"), few_layers(model.short):
        network = model.build(ImageModel).build(shape, classes)
        network = stack.at("model", network, Context(torch.Generator(device="cpu").manual_seed(0)))
    return network.eval()
