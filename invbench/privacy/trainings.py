"""What a stack of defences guarantees of weights that were trained behind it."""

from __future__ import annotations

from invbench.core.private import Private
from invbench.core.training import Training
from invbench.defenses._accountant import NOT_INSTALLED, epsilon_of, installed
from invbench.defenses.dp_sgd import DpSgd
from invbench.privacy import Guarantee, Named, Steps


def guarantee_of_training(stack: Named, training: Training) -> Guarantee | str:
    """Epsilon of the trained weights for one example added or removed, or why there is none.

    `training`: as all defences of the stack left it. Batches of a private training are Poisson samples, as the
    accountants assume. What acts after training, as on answers, costs nothing.
    """
    private = training.private
    asked = next((d for _, d in reversed(stack) if type(d) is DpSgd and d.rounds is None), None)
    if type(private) is not Private or asked is None or training.examples is None:  # not somebody's own kind of it
        return "no defence makes the training differentially private"
    if private.noise == 0:
        return "dp-sgd adds no noise"
    if not installed():
        return NOT_INSTALLED
    rate = private.batch / training.examples
    epsilon, who = epsilon_of(private.noise, rate, training.steps, asked.delta, asked.accountant)
    how = f"dp-sgd by Opacus' {who.upper()} accountant, Poisson batches; neighbours differ by one {training.example},"
    how += " added or removed"
    return Guarantee(epsilon, asked.delta, how, Steps(private.noise, rate, training.steps))
