"""The training that is audited: its canaries, dealt out by the cell's seed, and what one run of it releases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.randomness import numpy_stream, seed_of, stream
from invbench.core.sources import VICTIM, hash_of
from invbench.core.training import Training
from invbench.defenses import Context
from invbench.observation import Labelled
from invbench.protocol.audit import Audit
from invbench.victims import Indexes, architecture, model_of, network_defenses, pool_of, shape_of, stack_of
from invbench.victims.building import build_victim
from invbench.victims.canaries import NOTHING, SPIKE, rows, train_with_canaries
from invbench.victims.pictures import normalised

GRADIENT = "gradient"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Canaries:
    """`places` `(n,)`: rising, of dirac canaries among the parameters. `pictures`, `wrong` `(n,)`: of mislabelled ones,
    which picture and the label it gets. `others`: indexes of the pictures that are trained on as they are."""

    places: Indexes | None
    pictures: Indexes
    wrong: Indexes
    others: Indexes


def protocol_of(cell: Cell) -> Audit:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(Audit)


def parameters_of(cell: Cell) -> int:
    """How many weights and biases the cell's network has."""
    return sum(weights.numel() for weights in architecture(cell).parameters())


def layers_of(cell: Cell) -> list[int]:
    """How many parameters each layer has, in order."""
    sizes: dict[str, int] = {}
    for name, weights in architecture(cell).named_parameters():
        layer = name.rpartition(".")[0]
        sizes[layer] = sizes.get(layer, 0) + weights.numel()
    return list(sizes.values())


def examples_of(cell: Cell) -> int:
    """Examples of the training, canaries that are out among them: a public number."""
    return protocol_of(cell).canaries + _pictures_beside(cell)


def _pictures_beside(cell: Cell) -> int:
    asked, there = protocol_of(cell), len(pool_of(cell).images)
    if asked.pictures is not None:
        return asked.pictures
    return 0 if asked.kind == "dirac" else there - asked.canaries


def usual(cell: Cell) -> Training:
    """How the cell trains before any defence."""
    return Training(model_of(cell).training_steps, examples=examples_of(cell))


def defended(cell: Cell, draws: Context) -> Training:
    """How it trains behind its defences."""
    return stack_of(cell).at("training", usual(cell), draws)


def canaries_of(cell: Cell) -> Canaries:
    """The cell's canaries, the same for each of its trainings, by seed, data and numbers of examples alone."""
    asked, pool = protocol_of(cell), pool_of(cell)
    drawn = numpy_stream("canaries", cell.seed, cell.data_hash, asked.kind, asked.canaries)
    order = drawn.permutation(len(pool.images))
    if asked.kind == "dirac":
        places = np.sort(drawn.permutation(parameters_of(cell))[: asked.canaries])
        nobody = np.zeros(0, dtype=np.int64)
        return Canaries(places, nobody, nobody, np.sort(order[: _pictures_beside(cell)]))
    pictures, others = order[: asked.canaries], order[asked.canaries :][: _pictures_beside(cell)]
    shift = drawn.integers(1, pool.classes, size=len(pictures))
    return Canaries(None, pictures, (pool.labels[pictures] + shift) % pool.classes, np.sort(others))


def member_of(cell: Cell, number: int) -> Flags:
    """Which canaries are in training `number`: each with probability 1/2, by itself, `(n,)`."""
    asked = protocol_of(cell)
    drawn = numpy_stream("canaries in", cell.seed, cell.data_hash, asked.kind, asked.canaries, number)
    return drawn.random(asked.canaries) < 0.5


def labelled(cell: Cell, pictures: Indexes, labels: Indexes) -> Labelled:
    """These pictures, normalised, with these labels."""
    return Labelled(_normalised(cell, pictures), torch.from_numpy(labels))


def run(cell: Cell, number: int) -> Artefact:
    """What training `number` releases: `gradient` of dirac canaries, the trained weights of mislabelled ones."""
    asked, stack = protocol_of(cell), stack_of(cell)
    changing = [defense.key for defense in network_defenses(cell)]
    settings = [asked.kind, asked.canaries, asked.norm, _pictures_beside(cell)]
    key = ["audit", cell.seed, cell.model.key, cell.data_hash, changing, settings, number]

    def make() -> dict[str, Tensor]:
        pool = pool_of(cell)
        training = defended(cell, Context(stream("defended training", *key)))
        network = build_victim(model_of(cell), shape_of(pool), pool.classes, seed_of("victim", *key), stack)
        examples, labels = _examples(cell, member_of(cell, number))
        norm = 0.0 if training.private is None else asked.norm * training.private.clip
        seen = shape_of(pool) if examples.shape[1] > 1 else None
        total = train_with_canaries(network, examples, labels, stream("training", *key), training, seen, norm)
        if asked.kind == "mislabelled":
            return network.state_dict()
        assert total is not None
        return {GRADIENT: total}

    parts = (cell.model.part.cls, *(defense.part.cls for defense in network_defenses(cell)))
    code = hash_of((*VICTIM, "games/_audited.py"), *parts)
    return Artefact(
        f"training {cell.model.short} with {asked.canaries} canaries",
        {"audit": key, "normalisation": cell.normalisation, "code": code},
        make,
    )


def _examples(cell: Cell, member: Flags) -> tuple[Tensor, Tensor]:
    """Rows and labels of all examples, canaries first. Dirac canaries by themselves are rows without pixels."""
    canaries, labels = canaries_of(cell), pool_of(cell).labels
    others = _normalised(cell, canaries.others).flatten(1)
    if canaries.places is not None:
        places, own = canaries.places, np.where(member, SPIKE, NOTHING)
        pixels = torch.zeros(len(member), others.shape[1] if len(others) else 0)
    else:
        places, own = np.zeros(len(member), dtype=np.int64), np.where(member, canaries.wrong, NOTHING)
        pixels = _normalised(cell, canaries.pictures).flatten(1) * torch.from_numpy(member)[:, None]
    every = np.concatenate([places, np.zeros(len(others), dtype=np.int64)])
    given = np.concatenate([own, labels[canaries.others]]).astype(np.int64)
    pixels = torch.cat([pixels, others[:, : pixels.shape[1]]])
    return rows(torch.from_numpy(every), pixels), torch.from_numpy(given)


def _normalised(cell: Cell, pictures: Indexes) -> Tensor:
    """Pictures as the network sees them, `(N, C, H, W)`."""
    assert cell.normalisation is not None
    return normalised(pool_of(cell).unit(pictures), cell.normalisation)
