"""Steps on the likelihood of the whole update from a start that is near: what the layers gave, or a search found."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from invbench.core.attack import UpdateAttack
from invbench.observation import Failed, Guess, Public, UpdateObservation
from invbench.peeling import prior
from invbench.peeling.answer import judged
from invbench.peeling.chain import is_kinked, read_chain
from invbench.peeling.least_squares import NotSolvable
from invbench.peeling.reading import Reading, read, why_not
from invbench.peeling.refine import Refined, refine
from invbench.peeling.sensitivity import gradient_of, rows_of_jacobian, weighted_residual
from invbench.updates.equations import rank

FLOOR = 1e-12
"""Variance floor of an entry, relative to its tensor's mean square; below it float64 loses the prior."""

_COARSE_TO_FINE = (1e-7, FLOOR)
"""Variance floors of polishing, in turn: far from the answer three digits of the update count, near it six."""

_STEPS = 4
"""Most steps of polishing at each floor: from a search's answer these few suffice or none do."""

_LABELS = 20
"""Most labels that are tried for one picture."""

_AFFORDABLE = 3e11
"""Most multiplications of one Gauss-Newton step, about 15 s of one core."""


def affordable(what: Reading) -> bool:
    """Whether a step costs no more than one may."""
    return rows_of_jacobian(what.chain, what.variances) * math.prod(what.chain[0].before) ** 2 <= _AFFORDABLE


def sharpened(
    what: Reading, start: Tensor, label: int, *, scale: float, floors: Sequence[float], steps: int
) -> tuple[Refined, int]:
    """The most likely picture near `start` `(C, H, W)`, and the evaluations it took. `scale`: the update's hidden
    factor; `floors`: least variances of an entry, in turn; at most `steps` at each. NotSolvable where none helps."""
    channels, height, width = start.shape
    whole = {name: tensor / scale for name, tensor in what.update.items()}
    natural, evaluations, picture = prior.precision((channels, height, width)), 0, start
    for floor in floors:
        spread = {
            name: (tensor / scale**2).clamp(min=floor * float(whole[name].square().mean()))
            for name, tensor in what.variances.items()
        }
        refined = refine(what.chain, picture, label, whole, spread, natural, steps=steps)
        picture, evaluations = refined.picture, evaluations + refined.evaluations
    return refined, evaluations


def likeliest_label(what: Reading, picture: Tensor, labels: Sequence[int]) -> int:
    """Of the first few of `labels` the one with which a picture `(C, H, W)` explains the update best.

    Noise hides which entry of p - y is negative. Of equals the first; the first, too, where a hidden factor is on the
    update.
    """
    few = labels[:_LABELS] if not what.scaled else labels[:1]
    return min(few, key=lambda label: weighted_residual(what.chain, picture, label, what.update, what.variances))


def is_determined(what: Reading, refined: Refined, widened: float) -> bool:
    """Whether the whole update leaves no direction of the picture open, and has equations to spare.

    `widened`: how many times larger variances may be than weights assume. The layers' equations are linear and leave
    one answer; these are not: that more of them than there are unknowns agree at a second picture is not impossible,
    only of no measure.
    """
    unknowns = refined.picture.numel()
    told = rank(unknowns, widened * refined.open_share, refined.condition)
    return told == unknowns < what.equations


def can_polish(public: Public) -> bool:
    """Whether a search's answer can be made exact by steps: on a chain without kinks, and few enough pixels."""
    return why_not(public) is None and not is_kinked(read_chain(public.network, public.image_shape))


def polish(seen: UpdateObservation, guess: Guess, *, steps: int = _STEPS) -> Guess:
    """A search's answer made sharp by at most `steps` Gauss-Newton steps at each floor; Failed says why it is not."""
    what = read(seen)
    if guess.labels is None:
        raise Failed("there is no answer with a label to start from")
    if not affordable(what):
        raise Failed(f"a Gauss-Newton step takes more than {_AFFORDABLE:.0e} multiplications")
    mean, std = seen.channel_constants()
    start, found = ((guess.images.to(seen.device) - mean) / std)[0].double().cpu(), int(guess.labels[0])
    others = [label for label in range(seen.public.classes) if label != found]
    label = likeliest_label(what, start, [found, *others])
    scale = _scale(what, start, label) if what.scaled else 1.0
    try:
        refined, evaluations = sharpened(what, start, label, scale=scale, floors=_COARSE_TO_FINE, steps=steps)
    except NotSolvable as reason:
        raise Failed(str(reason)) from reason
    determined = partial(is_determined, what, refined)
    answer = judged(seen, refined.picture, refined.variance, label, widened=what.widened, determined=determined)
    return answer.guess(seen, evaluations)


@dataclass(frozen=True, kw_only=True)
class Polishing(UpdateAttack):
    """Polishing as an attack of its own, from a grey picture: how long it takes can then be tried without a search."""

    steps: int = _STEPS

    def trial(self) -> tuple[Polishing, float]:
        """One step at each floor, and how many times longer all of them take at most."""
        return dataclasses.replace(self, steps=1), float(self.steps)

    def __call__(self, seen: UpdateObservation) -> Guess:
        grey = Guess(images=torch.full((1, *seen.public.image_shape), 0.5), labels=torch.tensor([0]))
        return polish(seen, grey, steps=self.steps)


def _scale(what: Reading, picture: Tensor, label: int) -> float:
    """The factor between the update seen and the one that a picture gives."""
    product = power = 0.0
    for name, simulated in gradient_of(what.chain, picture, label).items():
        known = torch.isfinite(what.variances[name])
        product += float((simulated * what.update[name])[known].sum())
        power += float(simulated[known].square().sum())
    return product / power if product > 0 and power > 0 else 1.0
