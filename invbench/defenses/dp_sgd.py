"""DP-SGD: training with differential privacy (Abadi et al. 2016, arXiv 1607.00133, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from invbench.core.private import Private
from invbench.core.training import Training, batch_size
from invbench.defenses import Context, Defense, Noise, Round, Stage
from invbench.defenses._accountant import (
    NOT_INSTALLED,
    Accountant,
    epsilon_of,
    gaussian_distance,
    installed,
    least_epsilon,
    least_noise,
)
from invbench.defenses._bottleneck import VariationalBottleneck
from invbench.defenses._noise import MOST, add_noise, noisy_bytes
from invbench.defenses._norm import clipped
from invbench.observation import Update
from invbench.registry import defense, parameter

USUAL_NOISE = 1.0


@defense
@dataclass(frozen=True, kw_only=True)
class DpSgd(Defense):
    """Clip each example's gradient to `clip`, add N(0, (noise clip)^2) to the sum, divide by the batch asked for.

    Each example is in a batch with probability q = batch / N, as accountants assume. Steps and optimiser, Adam, are the
    training's own; the optimiser sees the noisy gradient alone. Either `noise` is given, or `epsilon` at `delta`, for
    which the least noise is looked for; that takes Opacus (extra `dp`).

    With `rounds` it acts on clients' updates instead, and no victim's training: every gradient that a client shares is
    made so, for that many rounds, and `batch` is the matrix's own. A client's batch is then no Poisson sample, so its
    guarantee counts every example in every round, which needs no Opacus: sqrt(rounds) / noise is the distance of one
    Gaussian mechanism. Whoever does draw batches from `population` examples by Poisson sampling needs less noise for an
    epsilon: it is looked for with q = batch / population, and the record says what holds without that.

    The guarantee is of the trained weights, for one example added or removed; of a text an example is a window, not a
    line. What else is computed from the data is not covered: mean and deviation of pixels, byte pairs, settings that
    were tried before. List it after `early-stopping`, whose steps it then counts.
    """

    clip: float = parameter(
        1.0, above=0, at_most=MOST, help="largest L2 norm of an example's gradient, over all parameters together"
    )
    noise: float | None = parameter(
        None,
        at_least=0,
        at_most=MOST,
        help="noise multiplier: standard deviation over clip; 1 where neither it nor epsilon is given",
    )
    epsilon: float | None = parameter(None, above=0, help="privacy loss of the whole training, instead of noise")
    delta: float = parameter(1e-5, above=0, below=1, help="probability with which epsilon may not hold")
    accountant: Accountant = parameter("rdp", help="rdp: Renyi; prv: privacy loss distribution, tighter and slower")
    batch: int | None = parameter(
        None, at_least=1, unit="examples", help="in a batch on average; by default 32, or all if there are fewer"
    )
    rounds: int | None = parameter(
        None, later=True, at_least=1, unit="rounds", help="in which clients share updates, which it then acts on"
    )
    population: int | None = parameter(
        None, later=True, at_least=1, unit="examples", help="from which Poisson batches of an update are drawn, if any"
    )

    def __post_init__(self) -> None:
        if self.noise is not None and self.epsilon is not None:
            raise ValueError("dp-sgd: give noise, or epsilon, for which it is computed, and not both")
        if self.population is not None and self.rounds is None:
            raise ValueError("dp-sgd: population is of clients' updates: give their rounds, too")
        if self.population is not None and (self.batch or 1) > self.population:
            raise ValueError(f"dp-sgd: batches of {self.batch} on average, but a population of {self.population}")
        counted = self.rounds is None or self.population is not None
        if self.epsilon is not None and counted and self.epsilon <= least_epsilon(self.delta, self.accountant):
            raise ValueError(
                f"dp-sgd: epsilon {self.epsilon:g} is out of reach at delta {self.delta:g}: {self.accountant} says"
                f" {least_epsilon(self.delta, self.accountant):.3g} or more of any noise"
            )

    @property
    def hides_scale(self) -> bool:
        """Each example's gradient is scaled by its own length."""
        return self.rounds is not None

    @property
    def redraws(self) -> bool:
        return self.rounds is not None

    def stages(self) -> tuple[Stage, ...]:
        return ("training",) if self.rounds is None else ("per_example", "update")

    def clashes(self, before: Sequence[Defense]) -> str | None:
        """A training has one clip and one noise, and so has an update: of two the last would decide."""
        if not any(isinstance(other, DpSgd) and other.stages() == self.stages() for other in before):
            return None
        what = "the victim's training" if self.rounds is None else "what clients share"
        return f"another dp-sgd makes {what} private already: its clip and noise would be replaced, not added to"

    def of_round(self, round: Round) -> DpSgd:
        """With the batch, and with the noise where an epsilon is asked for."""
        if self.rounds is None:
            return self
        if not round.one_gradient:
            raise ValueError("acts on one gradient; what is more than that, `clip` then `gaussian` protect as a whole")
        if round.mixing:
            raise ValueError("clips each example's own gradient, and `batch_norm: train` mixes a batch's examples")
        batch = self.batch or round.batch
        if self.population is not None and batch > self.population:
            raise ValueError(f"batches of {batch}, but a population of {self.population}")
        if self.epsilon is None:
            return replace(self, batch=batch, noise=USUAL_NOISE if self.noise is None else self.noise)
        if self.population is None:
            noise = math.sqrt(self.rounds) / gaussian_distance(self.epsilon, self.delta)
        elif not installed():
            raise ValueError(NOT_INSTALLED)
        else:
            rate = batch / self.population
            noise = least_noise(self.epsilon, rate, self.rounds, self.delta, self.accountant)
        return replace(self, batch=batch, noise=noise, epsilon=None)

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        return self._clipped_sum.per_example(gradients, context)

    def update(self, shared: Update, context: Context) -> Update:
        std = self._std
        return add_noise(shared, lambda n: std * torch.randn(n, generator=context.generator, dtype=torch.float64))

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        return expected, variance if self.rounds is None else tuple(tensor + self._std**2 for tensor in variance)

    def noise_sent(self, batch_size: int) -> Noise | None:
        """Only where it acts on updates; known once `of_round` has filled the batch and the noise in."""
        if self.rounds is None or self._of_round[1] == 0:
            return None
        return Noise(self._std**2, behind=(self._clipped_sum,))

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Of noisy values, where it acts on updates."""
        return before if self.rounds is None or self.noise == 0 else noisy_bytes(shared)

    @property
    def _clipped_sum(self) -> ClippedSum:
        return ClippedSum(clip=self.clip, batch=self._of_round[0])

    @property
    def _of_round(self) -> tuple[int, float]:
        """Batch asked for and noise multiplier, which `of_round` fills in."""
        if self.batch is None or self.noise is None:
            raise ValueError("dp-sgd: of an update its batch and noise must be known: `of_round` fills them in")
        return self.batch, self.noise

    @property
    def _std(self) -> float:
        """Of the noise on an update, which is a sum over the batch asked for: a public number."""
        batch, noise = self._of_round
        return noise * self.clip / batch

    def untrainable(self, network: nn.Module, training: Training) -> str | None:
        if (name := _mixing(network)) is not None:
            return (
                f"clips each example's own gradient, and {name} mixes a batch's examples; linear, mlp, lenet, vgg11 and"
                " gpt have no such layer, nor has convnet with `norm: group`"
            )
        if any(isinstance(layer, VariationalBottleneck) and layer.beta for layer in network.modules()):
            return "each example's gradient is of its own loss, without the divergence of precode: say `beta: 0` there"
        examples = _examples(training)
        if self._batch(examples) > examples:
            return f"batches of {self.batch} on average, but there are {examples} training examples"
        if self.epsilon is None:
            return None
        if not installed():
            return NOT_INSTALLED
        try:
            self._noise(training)
        except ValueError as error:
            return str(error)
        return None

    def _rounds_notes(self, training: Training) -> tuple[str, ...]:
        """Of a training whose rounds are those of clients: what its epsilon does not cover."""
        assert self.rounds is not None
        if training.steps <= self.rounds:
            return ()
        return (f"dp-sgd: {training.steps} rounds of training, and epsilon is of {self.rounds}",)

    def training(self, training: Training, context: Context) -> Training:
        seed = int(torch.randint(2**62, (), generator=context.generator))
        batch = self._batch(_examples(training))
        return replace(training, private=Private(self.clip, self._noise(training), batch, seed))

    def training_notes(self, training: Training) -> tuple[str, ...]:
        """q, steps and noise, and the epsilon that follows, or why none was computed."""
        if self.rounds is not None:
            return self._rounds_notes(training)
        assert training.private is not None
        examples, noise, batch = _examples(training), training.private.noise, training.private.batch
        rate = batch / examples
        how = (
            f"dp-sgd: {training.steps} steps, q = {batch}/{examples} = {rate:.3g}, clip {self.clip:g}, noise multiplier"
            f" {noise:.4g}"
        )
        if noise == 0:
            return (f"{how}: without noise no epsilon holds",)
        if not installed():
            return (f"{how}; no epsilon was computed: {NOT_INSTALLED}",)
        found, who = epsilon_of(noise, rate, training.steps, self.delta, self.accountant)
        return (
            f"{how}: epsilon {found:.4g} at delta {self.delta:g} by Opacus' {who.upper()} accountant, which assumes"
            f" Poisson sampling, as is done here; neighbours differ by one {training.example}, added or"
            " removed",
            *self._vacuous(examples),
        )

    def _vacuous(self, examples: int) -> tuple[str, ...]:
        """That delta alone allows as much as publishing an example, drawn at random, as it is (Dwork and Roth 2014)."""
        if self.delta * examples <= 1:
            return ()
        return (f"dp-sgd: delta {self.delta:g} is above 1/{examples}: publishing one of the examples would be covered",)

    def _batch(self, examples: int) -> int:
        return batch_size(examples) if self.batch is None else self.batch

    def _noise(self, training: Training) -> float:
        if self.epsilon is None:
            return USUAL_NOISE if self.noise is None else self.noise
        examples = _examples(training)
        rate = self._batch(examples) / examples
        return least_noise(self.epsilon, rate, training.steps, self.delta, self.accountant)


@dataclass(frozen=True, kw_only=True)
class ClippedSum(Defense):
    """What comes before the noise: examples' gradients, clipped, summed and divided by the batch asked for."""

    smooth = True

    clip: float
    batch: int

    def per_example(self, gradients: list[Update], context: Context) -> list[Update]:
        """Each clipped, and scaled so that their mean is the sum over the batch asked for, however many there are."""
        share = len(gradients) / self.batch
        return [tuple(tensor * share for tensor in clipped(gradient, self.clip)) for gradient in gradients]


def _examples(training: Training) -> int:
    if training.examples is None:
        raise ValueError("dp-sgd must know how many examples a training has: Training(examples=...)")
    return training.examples


def _mixing(network: nn.Module) -> str | None:
    """The first layer that mixes the examples of a batch, in its answers or in statistics that it keeps."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) or getattr(layer, "track_running_stats", False):
            return f"its layer {name} ({type(layer).__name__})"
    return None
