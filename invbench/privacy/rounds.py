"""What a stack of defences guarantees of one client's update.

Two kinds of stacks guarantee something. `dp-sgd` clips each example's gradient and adds noise to their sum: neighbours
differ by one example. `clip`, then noise, over the whole update is local differential privacy: neighbours are any two
batches of the client, two clipped updates are up to twice the norm apart, and no sampling amplifies it.

What comes after the noise costs nothing, unless it reads the client's pictures again (`Defense.reads_pictures`). What
comes between must keep the bound: it may not make an update longer (`Defense.shortens`). Proved is what these classes
do: one that inherits from them may do otherwise, and counts as any other defence. Between dp-sgd's sum and its
noise nothing may stand: a step that makes no vector longer may still take two near ones further apart.

A client whose batch is the same in R rounds is seen R times. Gaussian noise composes exactly, whatever the weights are
in each round: R rounds at std s tell two neighbours apart as one round at s / sqrt(R) does (Dong, Roth and Su 2022,
arXiv 1905.02383, corollary 3.3). Laplace noise has R times its epsilon (basic composition).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeGuard

from invbench.defenses import Defense
from invbench.defenses._accountant import epsilon_of, gaussian_epsilon, installed
from invbench.defenses._norm import Norm
from invbench.defenses.clip import Clip
from invbench.defenses.dp_sgd import DpSgd
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.laplace import Laplace
from invbench.privacy import Guarantee, Named, Steps

Bounds = dict[Norm, float]
"""The least norms to which an update was clipped, by which norm it is."""
DELTA = 1e-5
"""At which the epsilon of Gaussian noise after a clip is stated."""


def guarantee_of_round(stack: Named, rounds: int = 1) -> Guarantee | str:
    """The smallest epsilon of those that the stack guarantees, or why it guarantees none.

    `rounds`: in how many the same batch is seen; dp-sgd counts those that it was asked for, where they are more. Its
    defences are as they act in a round (`Defense.of_round`).
    """
    found = [of for of in (_of_examples(stack, rounds), _of_whole(stack, rounds)) if of is not None]
    proved = [of for of in found if isinstance(of, Guarantee)]
    if proved:
        return min(proved, key=lambda of: of.epsilon)
    return next((of for of in found if isinstance(of, str)), "nothing in the stack is differentially private")


def _of_examples(stack: Named, rounds: int) -> Guarantee | str | None:
    """By dp-sgd; None where it is not in the stack, or acts on a victim's training."""
    there = [(place, defense) for place, (_, defense) in enumerate(stack) if type(defense) is DpSgd]
    if not there:
        return None
    place, asked = next((one for one in there if one[1].rounds is not None), there[0])
    if asked.rounds is None:
        return "dp-sgd without `rounds` makes the victim's training private, not what clients share"
    if asked.noise in (None, 0.0):
        return "dp-sgd adds no noise"
    for number, (name, defense) in enumerate(stack):
        if number != place and (why := _before_noise(name, defense, later=number > place)) is not None:
            return why
    assert asked.noise is not None
    return _counted(replace(asked, rounds=max(asked.rounds, rounds)), asked.noise)


def _before_noise(name: str, defense: Defense, later: bool) -> str | None:
    """Why dp-sgd's noise does not cover an example beside this defence, or None."""
    stages = defense.stages()
    if "inputs" in stages:
        return f"{name} acts on a batch before dp-sgd clips its examples, and may mix them"
    if "per_example" in stages and later:
        return f"{name} acts on gradients that dp-sgd has clipped, before its noise"
    if "update" in stages and not later:
        return f"{name} stands between dp-sgd's sum and its noise, and may take two sums further apart: list it later"
    if "update" in stages and defense.reads_pictures:
        return _reads_again(name)
    return None


def _reads_again(name: str) -> str:
    return f"{name} stands behind the noise and reads the client's pictures again: what it leaves out tells of them"


def _counted(asked: DpSgd, noise: float) -> Guarantee:
    assert asked.rounds is not None
    exact = gaussian_epsilon(math.sqrt(asked.rounds) / noise, asked.delta)
    rounds = f"{asked.rounds} round{'s' if asked.rounds > 1 else ''}"
    how = (
        f"dp-sgd, noise multiplier {noise:.4g}, {rounds} with every example in each (exact Gaussian mechanism);"
        " neighbours differ by one picture, added or removed"
    )
    return Guarantee(exact, asked.delta, how + _amplified(asked, noise), Steps(noise, 1.0, asked.rounds))


def _amplified(asked: DpSgd, noise: float) -> str:
    """What Poisson sampling would add to the guarantee: batches of this game are fixed, so it is not covered."""
    if asked.population is None or asked.batch is None or asked.rounds is None:
        return ""
    rate = asked.batch / asked.population
    if not installed():
        return (
            f"; amplification by sampling at q = {rate:.3g} is not covered: the batches attacked are no Poisson samples"
        )
    there, who = epsilon_of(noise, rate, asked.rounds, asked.delta, asked.accountant)
    return (
        f"; epsilon {there:.4g} with Poisson batches of {asked.batch} from {asked.population} examples"
        f" ({who.upper()}) is not covered: the batches attacked are no Poisson samples"
    )


def _of_whole(stack: Named, rounds: int) -> Guarantee | str | None:
    """By a clip of the whole update and noise after it; None where neither is in the stack."""
    bounds: Bounds = {}
    why, found = "", list[Guarantee]()
    for name, defense in stack:
        if "update" not in defense.stages() or (_is_noise(defense) and not defense.std):
            continue
        if type(defense) is Clip:
            bounds = {**bounds, defense.p: min(defense.norm, bounds.get(defense.p, math.inf))}
            why = "clipping alone has none: no noise follows the clip"
        elif _is_noise(defense):
            of = _noised(name, defense, bounds, rounds)
            found += [of] if isinstance(of, Guarantee) else []
            why = why if not bounds and why else str(of)
            bounds = {}  # noise has no bound
        elif found and defense.reads_pictures:
            found, bounds, why = [], {}, _reads_again(name)
        elif bounds and defense.shortens is not True:
            bounds = {}
            why = f"{name}, after the clip and before any noise, may make an update longer"
    return min(found, key=lambda of: of.epsilon) if found else why or None


def _is_noise(defense: Defense) -> TypeGuard[Gaussian | Laplace]:
    return type(defense) in (Gaussian, Laplace)


def _noised(name: str, noise: Gaussian | Laplace, bounds: Bounds, rounds: int) -> Guarantee | str:
    if not bounds:
        return f"{name} has none by itself: no clip before it bounds how far two updates are apart"
    if isinstance(noise, Laplace) and "l1" not in bounds:
        return "laplace needs an L1 clip before it (`p: l1`): an L2 norm does not bound the sum of magnitudes"
    # An L1 norm bounds the L2 norm, too.
    p: Norm = "l1" if isinstance(noise, Laplace) else min(bounds, key=lambda one: bounds[one])
    seen = "one round" if rounds == 1 else f"{rounds} rounds of one batch"
    rows = f"local, {seen}; neighbours are any two batches of the client, sensitivity 2 * {bounds[p]:g}"
    if isinstance(noise, Gaussian):
        epsilon = gaussian_epsilon(2 * bounds[p] * math.sqrt(rounds) / noise.std, DELTA)
        how = f"{p.upper()} clip and Gaussian noise (exact), {rows}"
        return Guarantee(epsilon, DELTA, how, Steps(noise.std / bounds[p], steps=rounds))
    return Guarantee(rounds * 2 * bounds[p] * math.sqrt(2) / noise.std, 0.0, f"L1 clip and Laplace noise, {rows}")
