"""Game `informed`: the pictures of one training, dealt out, and the training whose every step is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.private import clipped_sum
from invbench.core.randomness import numpy_stream, stream
from invbench.core.training import Training, backward
from invbench.defenses import Context
from invbench.games._candidates import different
from invbench.observation import Update
from invbench.protocol.every_step import EveryStep
from invbench.victims import Indexes, pool_of, stack_of


@dataclass(frozen=True, eq=False)
class Deck:
    """Indexes of pictures, none in both. `secret`: the place among the candidates of the one that is trained on."""

    candidates: Indexes
    others: Indexes
    secret: int

    @property
    def trained_on(self) -> Indexes:
        """The others, then the secret one."""
        return np.append(self.others, self.candidates[self.secret])


def every_step_of(cell: Cell) -> EveryStep:
    """The cell's protocol."""
    assert cell.protocol is not None
    return cell.protocol.build(EveryStep)


def deck(cell: Cell, number: int) -> Deck:
    """The pictures of target `number`: a draw of its own."""
    said = every_step_of(cell)
    drawn = numpy_stream("informed", cell.seed, cell.data_hash, number)
    order = drawn.permutation(different(pool_of(cell)))
    candidates, others = order[: said.candidates], order[said.candidates : said.candidates + said.others]
    return Deck(candidates, others, int(drawn.integers(said.candidates)))


def training_of(cell: Cell) -> Training:
    """How the network trains before any defence."""
    said = every_step_of(cell)
    return Training(said.steps, examples=said.others + 1)


def defended_training(cell: Cell, number: int) -> Training:
    """The same behind the cell's defences; ValueError where one of them computes gradients of its own."""
    draws = Context(stream("informed training", cell.seed, cell.data_hash, number))
    training = stack_of(cell).at("training", training_of(cell), draws)
    if training.private is None and training.backward is not backward:
        raise ValueError("needs the gradients of examples, and a defence computes those of batches in a way of its own")
    return training


def descended(
    network: nn.Module, images: Tensor, labels: Tensor, training: Training, lr: float, draws: torch.Generator
) -> tuple[list[Update], Tensor]:
    """Every step's gradient, and which examples were in its batch `(steps, N)`.

    Without a private training it is the mean over all examples. Weights go against the gradient, times `lr`; the
    network itself is left as it is.
    """
    private, every = training.private, len(images)
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    clip = math.inf if private is None else private.clip
    summed = clipped_sum(network, training.loss, clip, sum(weight.numel() for weight in weights.values()))
    whole = [torch.arange(every)] * training.steps
    batches = whole if private is None else private.batches(every, training.steps, draws)
    noise = None if private is None else private.stream()
    gradients, present = [], torch.zeros(training.steps, every, dtype=torch.bool)
    for step, batch in enumerate(batches):
        present[step, batch] = True
        kept = torch.ones(len(batch), device=images.device)
        sums, _ = summed(weights, images[batch], labels[batch], kept)
        if private is None or noise is None:
            gradient = {name: total / every for name, total in sums.items()}
        else:
            gradient = private.noised(sums, noise)
        gradients.append(tuple(gradient.values()))
        weights = {name: weight - lr * gradient[name] for name, weight in weights.items()}
    return gradients, present
