"""Where noise stands in what a client sends: which smooth steps come before it, and how strong it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invbench.defenses import Defense, Noise, Stack, Stage
from invbench.defenses._contract import check_is, check_variance
from invbench.protocol import Multiple

_STAGES: tuple[Stage, ...] = ("inputs", "per_example", "update")


@dataclass(frozen=True)
class Noisy:
    """What one client sends is a smooth function of its pictures, behind `steps`, plus noise, maybe processed further.

    `variance`: of Gaussian noise of equal Fisher information on every entry. Noises that follow one another count
    together: 1 / I of a sum of independent noises is at least the sum of theirs (Stam 1959), and it is that sum for
    Gaussian ones. `after`: names of what processes the noisy update, which can only take information away.
    """

    steps: Stack
    variance: float
    after: tuple[str, ...] = ()


def noisy(stack: Stack, names: Sequence[str], batch_size: int, one_gradient: Multiple) -> Noisy | str | None:
    """Where the first noise of a client stands, `names` those of the stack's defences; a sentence why none can be told
    apart; None where no defence adds noise to what a client sends.

    `one_gradient`: what is shared, as a multiple of one gradient: noise within the steps of a longer training is not
    noise on what they add up to.
    """
    acting = [
        _acting(stage, name, defense, batch_size)
        for stage in _STAGES
        for name, defense in zip(names, stack.defenses, strict=True)
        if stage in defense.stages()
    ]
    if not any(one.variance for one in acting):
        return None
    steps, after, variance = list[Defense](), list[str](), 0.0
    for one in acting:
        if variance and one.reads_pictures:
            return f"{one.name} stands behind the noise and reads the client's pictures again"
        if (after or variance) and (one.steps is None or one.steps or (after and one.variance)):
            after.append(one.name)
        elif one.steps is None:
            return f"{one.name} comes before the noise and has no derivative that tells what it does"
        elif one.variance and one.stage == "inputs":
            return f"the noise of {one.name} is on the pictures, not on what is sent"
        elif one.variance and one.stage == "per_example" and not one_gradient.exact:
            return f"the noise of {one.name} is on the gradients of several steps, of which one difference is sent"
        else:
            steps += one.steps
            variance += one.variance * (one_gradient.factor**2 if one.stage == "per_example" else 1.0)
    return Noisy(Stack(tuple(steps)), variance, tuple(dict.fromkeys(after)))


@dataclass(frozen=True)
class _Acting:
    """A defence at one of its stages: the smooth steps that it takes (None: they are not smooth), then its noise."""

    stage: Stage
    name: str
    steps: tuple[Defense, ...] | None
    variance: float
    reads_pictures: bool


def _acting(stage: Stage, name: str, defense: Defense, batch_size: int) -> _Acting:
    """Noise counts at the last stage that the defence acts at before updates are brought together."""
    noise = defense.noise_sent(batch_size)
    if noise is None:
        return _Acting(stage, name, (defense,) if defense.smooth is True else None, 0.0, defense.reads_pictures)
    check_is(type(defense).__name__, "noise_sent", noise, Noise)
    check_variance(type(defense).__name__, noise.variance)
    for step in noise.behind:
        check_is(type(defense).__name__, "noise_sent's `behind`", step, Defense)
    last = [one for one in _STAGES if one in defense.stages()][-1]
    behind = tuple(step for step in noise.behind if stage in step.stages())
    return _Acting(stage, name, behind, noise.variance if stage == last else 0.0, defense.reads_pictures)
