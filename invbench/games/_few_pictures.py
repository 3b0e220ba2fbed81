"""Networks of one output, each trained on few pictures of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from invbench.cell import Cell, Choice
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import seed_of, stream
from invbench.core.sources import VICTIM, hash_of
from invbench.models import ImageModel
from invbench.protocol.weights import Weights
from invbench.scoring.controls import mean_of_others
from invbench.victims import model_of, pool_of, shape_of
from invbench.victims.building import build_victim
from invbench.victims.layers import few_layers
from invbench.victims.margin import FarTraining, start_small, train_far

_LOSS = "loss reached"


@dataclass(frozen=True, eq=False)
class Split:
    """Indexes of the pictures trained on, and of as many never seen: each half class 0, then half class 1."""

    seen: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.int64]


def protocol_of(cell: Cell) -> Weights:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(Weights)


def split(cell: Cell, number: int) -> Split:
    """The pictures of network `number`: of seed, data and number alone; more pictures begin with the fewer."""
    labels, half = pool_of(cell).labels, protocol_of(cell).pictures // 2
    order = torch.randperm(len(labels), generator=stream("few pictures", cell.seed, cell.data_hash, number)).numpy()
    of_class = [order[labels[order] == label] for label in (0, 1)]
    seen, unseen = (np.concatenate([one[side * half :][:half] for one in of_class]) for side in (0, 1))
    return Split(seen.astype(np.int64), unseen.astype(np.int64))


def centre(cell: Cell, number: int) -> Tensor:
    """What is subtracted from every picture, `(C, H, W)`: the mean of those that network `number` is not trained on."""
    mean = mean_of_others(pool_of(cell), split(cell, number).seen)
    assert mean is not None
    return torch.from_numpy(mean)


def network_of(cell: Cell) -> nn.Module:
    """The architecture with one output on the meta device: layers and shapes, no weights."""
    return _architecture(cell.model, shape_of(pool_of(cell)))


@lru_cache(maxsize=64)
def _architecture(model: Choice, shape: tuple[int, int, int]) -> nn.Module:
    with torch.random.fork_rng(devices=[]), torch.device("meta"), few_layers(model.short):
        return model.build(ImageModel).build(shape, 1).eval()


def untrained(cell: Cell, number: int) -> nn.Module:
    """Network `number` before training, float64 on the CPU."""
    names = ("few pictures", cell.seed, cell.model.key, cell.data_hash, number)
    network = build_victim(model_of(cell), shape_of(pool_of(cell)), 1, seed_of("victim", *names))
    return start_small(network, protocol_of(cell).start, stream("start", *names))


def trained(cell: Cell, number: int) -> tuple[nn.Module, float]:
    """Network `number` after training, and the loss that it reached."""
    network, made = untrained(cell, number), fetch(training(cell, number))
    network.load_state_dict({name: tensor for name, tensor in made.items() if name != _LOSS})
    return network, float(made[_LOSS])


def training(cell: Cell, number: int) -> Artefact:
    """The trained weights of network `number`, and its loss."""
    asked, chosen = protocol_of(cell), split(cell, number).seen
    recipe = FarTraining(asked.start, asked.rate, asked.decay, asked.loss, asked.steps)

    def make() -> dict[str, Tensor]:
        assert cell.normalisation is not None
        pool, network = pool_of(cell), untrained(cell, number)
        std = torch.tensor(cell.normalisation[1], dtype=torch.float64).reshape(-1, 1, 1)
        images = (torch.from_numpy(pool.unit(chosen)).double() - centre(cell, number)) / std
        _, loss = train_far(network, images, torch.from_numpy(pool.labels[chosen]), recipe)
        return {**network.state_dict(), _LOSS: torch.tensor(loss, dtype=torch.float64)}

    key = {
        "few pictures": [cell.seed, cell.model.key, cell.data_hash, number],
        "training": vars(recipe),
        "pictures": chosen.tolist(),
        "normalisation": cell.normalisation,
        "code": hash_of((*VICTIM, "games/_few_pictures.py"), cell.model.part.cls),
    }
    return Artefact(f"training {cell.model.short} on {len(chosen)} pictures of {cell.dataset.short}", key, make)
