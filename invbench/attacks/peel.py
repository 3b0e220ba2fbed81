"""Exact recovery layer by layer (R-GAP: Zhu and Blaschko 2021, arXiv 2010.07733, made robust to rounding and noise)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import hides_scale
from invbench.likelihood import defenses, misfit, noise, squared_residual
from invbench.observation import Failed, Guess, Public, UpdateObservation
from invbench.peeling import prior
from invbench.peeling.chain import NotAChain, read_chain, with_weights
from invbench.peeling.descent import Peeled, peel
from invbench.peeling.least_squares import NotSolvable
from invbench.peeling.refine import refine
from invbench.peeling.sensitivity import cost
from invbench.registry import attack, parameter

_LARGEST = 8192
"""Most unknowns of one layer: its normal matrix then takes 512 MB."""

_AFFORDABLE = 3e11
"""Most multiplications of one Gauss-Newton step, about 15 s of one core."""

_SAME = 1e-4
"""Relative error within which a simulated update is the one seen, beside the declared noise."""

_AGREES, _CHANCE = 2.0, 8.0
"""Largest misfit of a certified answer with that error; where noise is declared, what chance allows: 1 at the truth,
give or take sqrt(2) (Gaussian) to sqrt(5) (Laplace) over the root of the number of entries."""


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Peel:
    """The picture of a batch of one in closed form, from the classifier down: one least-squares problem a layer.

    Every equation is weighted by the variance of what it is made of: of rounding, of declared noise, of the layers
    above. Where noise is declared, or a layer's equations leave something open, Gauss-Newton steps on the likelihood
    of the whole update follow, with a Gaussian prior on natural pictures. Certified: every layer determines its
    input and the answer explains the update; there is then no other answer. Given labels are never read.
    """

    steps: int = parameter(5, at_least=0, help="most Gauss-Newton steps on the likelihood of the whole update")

    def unsupported(self, public: Public) -> str | None:
        if public.batch_size != 1:
            return f"needs batch_size 1, not {public.batch_size}: pictures of a batch share every equation"
        if any(defense.name == "sign" for defense in public.defenses):
            return "needs the values of an update, and only signs are shared"
        try:
            chain = read_chain(public.network, public.image_shape)
        except NotAChain as reason:
            return str(reason)
        largest = max(math.prod(stage.before) for stage in chain)
        return None if largest <= _LARGEST else f"solves for at most {_LARGEST} values a layer, not {largest}"

    def trial(self) -> tuple[Peel, float]:
        """One Gauss-Newton step, where any is needed; the layers themselves take less than one more."""
        return dataclasses.replace(self, steps=min(self.steps, 1)), float(max(self.steps, 1))

    def __call__(self, seen: UpdateObservation) -> Guess:
        if not all(bool(tensor.isfinite().all()) for tensor in seen.update):
            raise Failed("the update is not finite")
        if not any(bool(tensor.any()) for tensor in seen.update):
            raise Failed("the update is zero and tells nothing")
        try:
            return self._peeled(seen)
        except NotSolvable as reason:
            raise Failed(str(reason)) from reason

    def _peeled(self, seen: UpdateObservation) -> Guess:
        chain = with_weights(read_chain(seen.public.network, seen.public.image_shape), seen.model)
        stack = defenses(seen.public)
        update, variances = _expected(seen)
        peeled = peel(chain, update, variances, scaled=hides_scale(stack))
        full = all(layer.rank == layer.unknowns for layer in peeled.layers)
        answer = _answer(seen, peeled.picture, peeled.variance, peeled.label, full, evaluations=1)
        if (not stack and answer.certified) or cost(chain, variances) > _AFFORDABLE or not self.steps:
            return answer.guess(seen, peeled)
        whole = {name: tensor / peeled.scale for name, tensor in update.items()}
        spread = {name: _floored(tensor / peeled.scale**2, whole[name], full) for name, tensor in variances.items()}
        natural = prior.precision(seen.public.image_shape)
        try:
            refined = refine(chain, peeled.picture, peeled.label, whole, spread, natural, steps=self.steps)
        except NotSolvable:  # what the layers gave is still an answer
            return answer.guess(seen, peeled)
        evaluations = 1 + refined.evaluations
        again = _answer(seen, refined.picture, refined.variance, peeled.label, full, evaluations)
        best = again if stack or again.misfit <= answer.misfit else dataclasses.replace(answer, evaluations=evaluations)
        return best.guess(seen, peeled)


@dataclass(frozen=True, eq=False)
class _Answer:
    """A picture `(1, C, H, W)`, normalised, and what can be said of it without the truth."""

    image: Tensor
    variance: Tensor
    label: Tensor
    misfit: float
    certified: bool
    evaluations: int

    def guess(self, seen: UpdateObservation, peeled: Peeled) -> Guess:
        return Guess(
            images=seen.to_unit_range(self.image),
            labels=self.label,
            evaluations=self.evaluations,
            objective=self.misfit,
            facts={
                "certified": self.certified,
                "predicted_psnr": _decibels(self.variance, seen.public.std),
                "layers": [dataclasses.asdict(layer) for layer in peeled.layers],
            },
        )


def _answer(
    seen: UpdateObservation, picture: Tensor, variance: Tensor, label: int, full: bool, evaluations: int
) -> _Answer:
    image, labels = picture[None].float().to(seen.device), torch.tensor([label], device=seen.device)
    squares, count = squared_residual(seen, image, labels, error=_SAME)
    allowed = 1 + _CHANCE / math.sqrt(max(count, 1)) if seen.public.defenses else _AGREES
    blurred = len(seen.public.defenses) > 1 and hides_scale(defenses(seen.public))  # noise blurs the hidden factor
    certified = full and not blurred and squares / max(count, 1) <= min(allowed, _AGREES)
    return _Answer(image, variance, labels, misfit(seen, image, labels), certified, evaluations)


def _expected(seen: UpdateObservation) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The update without the factor that is known to be on it, and its variances, by name, float64 on the CPU."""
    variance, factor = noise(seen)
    names = [name for name, _ in seen.model.named_parameters()]
    update = (tensor.cpu().double() / factor for tensor in seen.update)
    return dict(zip(names, update, strict=True)), {
        name: tensor.cpu() / factor**2 for name, tensor in zip(names, variance, strict=True)
    }


def _floored(variance: Tensor, update: Tensor, full: bool) -> Tensor:
    """Where the picture is not determined, agreement to a millionth will do: the prior then counts for something."""
    return variance if full else variance.clamp(min=1e-12 * float(update.square().mean()))


def _decibels(variance: Tensor, std: tuple[float, ...]) -> float:
    """The PSNR that the posterior's variance `(C, H, W)` of a normalised picture promises, at most 100 dB."""
    error = float((variance * variance.new_tensor(std).reshape(-1, 1, 1).square()).mean())
    return min(100.0, -10 * math.log10(max(error, 1e-10)))
