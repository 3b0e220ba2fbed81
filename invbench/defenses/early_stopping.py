"""Early stopping: less training, and so less to memorise (Yeom et al. 2018, arXiv 1709.01604: overfitting leaks)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from invbench.core.training import Training
from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Defense):
    """Train for a share of the steps, or for a number of them at most.

    The number is fixed beforehand, so no data is held out to choose it. The learning rate falls to zero over the steps
    that are left: what is released is a finished, shorter training, not a checkpoint of the longer one.
    """

    fraction: float = parameter(0.5, above=0, at_most=1, help="share of the steps that are taken, at least one step")
    most: int | None = parameter(None, at_least=1, unit="steps", help="steps at most, beside the share")

    def training(self, training: Training, context: Context) -> Training:
        steps = max(1, round(self.fraction * training.steps))
        return replace(training, steps=steps if self.most is None else min(steps, self.most))

    def training_notes(self, training: Training) -> tuple[str, ...]:
        return (f"early-stopping: trained for {training.steps} steps",)
