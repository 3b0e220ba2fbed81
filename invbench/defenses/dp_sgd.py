"""DP-SGD: training with differential privacy (Abadi et al. 2016, arXiv 1607.00133, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from invbench.core.private import Private
from invbench.core.training import Training, batch_size
from invbench.defenses import Context, Defense
from invbench.defenses._accountant import NOT_INSTALLED, Accountant, epsilon_of, installed, least_noise
from invbench.registry import defense, parameter

USUAL_NOISE = 1.0


@defense
@dataclass(frozen=True, kw_only=True)
class DpSgd(Defense):
    """Clip each example's gradient to `clip`, add N(0, (noise clip)^2) to the sum, divide by the batch asked for.

    Each example is in a batch with probability q = batch / N, as accountants assume. Steps and optimiser, Adam, are the
    training's own; the optimiser sees the noisy gradient alone. Either `noise` is given, or `epsilon` at `delta`, for
    which the least noise is looked for; that takes Opacus (extra `dp`).

    The guarantee is of the trained weights, for one example added or removed; of a text an example is a window, not a
    line. What else is computed from the data is not covered: mean and deviation of pixels, byte pairs, settings that
    were tried before. List it after `early-stopping`, whose steps it then counts.
    """

    clip: float = parameter(1.0, above=0, help="largest L2 norm of an example's gradient, over all parameters together")
    noise: float | None = parameter(
        None, at_least=0, help="noise multiplier: standard deviation over clip; 1 where neither it nor epsilon is given"
    )
    epsilon: float | None = parameter(None, above=0, help="privacy loss of the whole training, instead of noise")
    delta: float = parameter(1e-5, above=0, below=1, help="probability with which epsilon may not hold")
    accountant: Accountant = parameter("rdp", help="rdp: Renyi; prv: privacy loss distribution, tighter and slower")
    batch: int | None = parameter(
        None, at_least=1, unit="examples", help="in a batch on average; by default 32, or all if there are fewer"
    )

    def __post_init__(self) -> None:
        if self.noise is not None and self.epsilon is not None:
            raise ValueError("dp-sgd: give noise, or epsilon, for which it is computed, and not both")

    def untrainable(self, network: nn.Module, training: Training) -> str | None:
        if (name := _mixing(network)) is not None:
            return (
                f"clips each example's own gradient, and {name} mixes a batch's examples; linear, mlp, lenet, vgg11 and"
                " gpt have no such layer, nor has convnet with `norm: group`"
            )
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

    def training(self, training: Training, context: Context) -> Training:
        seed = int(torch.randint(2**62, (), generator=context.generator))
        batch = self._batch(_examples(training))
        return replace(training, private=Private(self.clip, self._noise(training), batch, seed))

    def training_notes(self, training: Training) -> tuple[str, ...]:
        """q, steps and noise, and the epsilon that follows, or why none was computed."""
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
            f" Poisson sampling, as is done here; neighbours differ by one {training.example}",
        )

    def _batch(self, examples: int) -> int:
        return batch_size(examples) if self.batch is None else self.batch

    def _noise(self, training: Training) -> float:
        if self.epsilon is None:
            return USUAL_NOISE if self.noise is None else self.noise
        examples = _examples(training)
        rate = self._batch(examples) / examples
        return least_noise(self.epsilon, rate, training.steps, self.delta, self.accountant)


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
