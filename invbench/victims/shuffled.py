"""A victim that learned nothing of its classes: trained as the cell's own, on labels that were shuffled before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import seed_of, stream
from invbench.core.sources import VICTIM, hash_of
from invbench.defenses import Context
from invbench.victims import Indexes, model_of, network_defenses, pool_of, shape_of, stack_of, usual_training
from invbench.victims.building import build_victim
from invbench.victims.pictures import labelled
from invbench.victims.training import train


def shuffled_victim(cell: Cell, pictures: Indexes | None = None) -> nn.Module:
    """The network, on the CPU and in eval mode."""
    network = _untrained(cell)
    network.load_state_dict(fetch(shuffled_artefact(cell, pictures)))
    return network.eval()


def shuffled_artefact(cell: Cell, pictures: Indexes | None = None) -> Artefact:
    """Its weights: the training pool's labels in another order, so that each class keeps its number of pictures.

    `pictures`: indexes of those that it is trained on instead.
    """
    names = _names(cell) if pictures is None else [*_names(cell), {"pictures": pictures.tolist()}]

    def make() -> dict[str, Tensor]:
        pool, network = pool_of(cell), _untrained(cell)
        own = labelled(pool, pool.train if pictures is None else pictures, cell.normalisation)
        order = torch.randperm(len(own.labels), generator=stream("shuffled labels", *names))
        training = usual_training(cell, pictures)
        training = stack_of(cell).at("training", training, Context(stream("defended training", *names)))
        model_of(cell).pretrain(network, own.images, stream("pretraining", *names), training)
        train(network, own.images, own.labels[order], stream("training", *names), training)
        return network.state_dict()

    parts = (cell.model.part.cls, *(d.part.cls for d in network_defenses(cell)))
    key = {"shuffled victim": names, "normalisation": cell.normalisation, "code": hash_of(VICTIM, *parts)}
    return Artefact(f"training {cell.model.short} on shuffled labels of {cell.dataset.short}", key, make)


def _untrained(cell: Cell) -> nn.Module:
    pool = pool_of(cell)
    return build_victim(model_of(cell), shape_of(pool), pool.classes, seed_of(*_names(cell)), stack_of(cell))


def _names(cell: Cell) -> list[object]:
    """What its weights depend on, and nothing else."""
    return ["shuffled victim", cell.seed, cell.model.key, cell.data_hash, [d.key for d in network_defenses(cell)]]
