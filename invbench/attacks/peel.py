"""Exact recovery layer by layer (R-GAP: Zhu and Blaschko 2021, arXiv 2010.07733, made robust to rounding and noise)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from invbench.attacks import UpdateAttack
from invbench.observation import DIVERGED, Failed, Guess, Public, UpdateObservation
from invbench.peeling.answer import judged
from invbench.peeling.chain import Link, is_kinked
from invbench.peeling.descent import LayerReport, peel
from invbench.peeling.least_squares import NotSolvable
from invbench.peeling.pooling import is_pooling
from invbench.peeling.reading import read, why_not
from invbench.peeling.sharpen import FLOOR, affordable, is_determined, likeliest_label, sharpened
from invbench.registry import attack, parameter


@attack(game="update", closed_form="certified", version=3)
@dataclass(frozen=True, kw_only=True)
class Peel(UpdateAttack):
    """The picture of a batch of one in closed form, from the classifier down: one least-squares problem a layer.

    Every equation is weighted by the variance of what it is made of: of rounding, of declared noise, of the layers
    above. What the lowest layer leaves open a Gaussian prior on natural pictures fills in. Where noise is declared, or
    a higher layer's equations leave something open, Gauss-Newton steps on the likelihood of the whole update follow,
    with that prior. Given labels are never read.

    Certified: the answer explains the update, and either every layer determines its input, then there is no other
    answer, or the whole update has full rank there with equations to spare (average pooling): then there is none near,
    and one elsewhere would be a coincidence (`peeling/sharpen.py`). A certificate promises an accuracy, which is in the
    record as `promised_psnr`: what the misfit that is left allows, an error that nobody declared included. It promises
    the one picture of which the update is the gradient. A client that declares a batch of one and averages two nearly
    equal pictures shares, but for the square of their difference, the gradient of the picture between: no residual
    tells, the answer is that picture, and it is nearer to both than they are to each other.
    """

    steps: int = parameter(5, at_least=0, help="most Gauss-Newton steps on the likelihood of the whole update")

    def unsupported(self, public: Public) -> str | None:
        return why_not(public)

    def trial(self) -> tuple[Peel, float]:
        """One Gauss-Newton step, where any is needed; the layers themselves take less than one more."""
        return dataclasses.replace(self, steps=min(self.steps, 1)), float(max(self.steps, 1))

    def __call__(self, seen: UpdateObservation) -> Guess:
        if not seen.is_finite:
            raise Failed(DIVERGED)
        if not any(bool(tensor.any()) for tensor in seen.update):
            raise Failed("the update is zero and tells nothing")
        try:
            return self._peeled(seen)
        except NotSolvable as reason:
            raise Failed(str(reason)) from reason

    def _peeled(self, seen: UpdateObservation) -> Guess:
        what, noisy = read(seen), bool(seen.public.defenses)
        peeled = peel(what.chain, what.update, what.variances, scaled=what.scaled)
        full = all(layer.rank == layer.unknowns for layer in peeled.layers)
        layers = [dataclasses.asdict(layer) for layer in peeled.layers]
        label = likeliest_label(what, peeled.picture, peeled.labels) if noisy else peeled.labels[0]
        answer = judged(
            seen, peeled.picture, peeled.variance, label, widened=what.widened, determined=peeled.determined
        )
        exact = answer.explains and peeled.determined(what.widened)
        settled = not noisy and (exact or _no_better(what.chain, peeled.layers))
        if settled or not self.steps or not affordable(what):
            return answer.guess(seen, 1, layers=layers)
        floor = 0.0 if full else FLOOR
        try:
            refined, evaluations = sharpened(
                what, peeled.picture, label, scale=peeled.scale, floors=[floor], steps=self.steps
            )
        except NotSolvable:  # what the layers gave is still an answer
            return answer.guess(seen, 1, layers=layers)
        again = judged(
            seen,
            refined.picture,
            refined.variance,
            label,
            widened=what.widened,
            determined=lambda widened: peeled.determined(widened) or is_determined(what, refined, widened),
        )
        trusted = again.explains or not is_kinked(what.chain)  # else steps may have ended at a kink
        best = again if trusted and (noisy or again.residual <= answer.residual) else answer
        return best.guess(seen, 1 + evaluations, layers=layers)


def _no_better(chain: Sequence[Link], layers: Sequence[LayerReport]) -> bool:
    """Whether Gauss-Newton steps can be skipped: the layer-wise answer is already the most likely picture.

    So it is where no average is taken and every layer above the lowest determines its input: then the sign of every
    activation is known, and for known signs the equations are linear. Steps could only cross a kink.
    """
    averaged = any(is_pooling(link.layer) for link in chain)
    return is_kinked(chain) and not averaged and all(layer.rank == layer.unknowns for layer in layers[:-1])
