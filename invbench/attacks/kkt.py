"""Training pictures from the weights of a network alone (Haim et al. 2022, arXiv 2206.07758)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.core import progress
from invbench.matching.recurring import Recurring, recurring
from invbench.matching.stationarity import OneHidden, one_hidden, residuals
from invbench.observation import Failed, TrainingSetGuess, TrainingSetObservation, TrainingSetPublic
from invbench.registry import attack, parameter

START = 0.5  # of candidates' pixels, in standard deviations of the pictures' own
SOFTEST, SHARPEST = (1.0, 3.0), (30.0, 100.0)  # sigmoid(sharpness z / |w|) at the first step and the last, by lane
SETTLING = 0.3  # last share of a round, in which the rate falls to a fiftieth
RECURS = 2  # lanes


@attack(game="training-set")
@dataclass(frozen=True, kw_only=True)
class KKT(Attack[TrainingSetPublic, TrainingSetObservation, TrainingSetGuess]):
    """Pictures x_i and multipliers lambda_i whose gradients add up to the weights.

    min || theta - sum of lambda_i y_i grad f(theta; x_i) ||^2 over x_i and lambda_i > 0, half of the y_i -1 and half 1,
    by Adam in several lanes (`matching/stationarity.py`; Haim et al. 2022, equation 5; Buzaglo et al. 2023, arXiv
    2307.01827). The step in ReLU's derivative is a sigmoid that sharpens during a round; pixels stay within what a
    picture can be. A second round starts from the candidates that at least two lanes of the first found. The answer
    holds what most lanes agree on first; no truth chooses.

    The paper looks for twice as many candidates as there were pictures, in one lane a setting, with settings tuned
    against the training set; here lanes of one program differ in start and sharpness. Only networks with one hidden
    layer; pictures that lie off the margin (lambda = 0) leave nothing in the weights and cannot be found.
    """

    candidates: int | None = parameter(
        None, at_least=2, unit="pictures", help="searched for in each lane; by default as many as an answer may hold"
    )
    restarts: int = parameter(6, at_least=2, unit="lanes", help="searches that have to agree")
    iterations: int = parameter(800, at_least=2, unit="steps", help="of Adam, in each of two rounds")
    rate: float = parameter(0.02, above=0, help="Adam's learning rate of normalised pixels and of log lambda")
    power: float = parameter(0.5, at_least=0, help="each neuron's residual is weighted by |w|^-power")
    alike: float = parameter(0.9, above=0, below=1, help="correlation above which two lanes found the same picture")

    def unsupported(self, public: TrainingSetPublic) -> str | None:
        found = one_hidden(public.network)
        return found if isinstance(found, str) else None

    def trial(self) -> tuple[KKT, float]:
        """One in forty of its steps."""
        short = max(2, self.iterations // 40)
        return KKT(**{**vars(self), "iterations": short}), self.iterations / short

    def __call__(self, seen: TrainingSetObservation) -> TrainingSetGuess:
        network = one_hidden(copy.deepcopy(seen.model).float())
        if isinstance(network, str):
            raise Failed(network)
        signs = self._signs(seen)
        nothing = torch.zeros(0, network.weight.shape[1], device=seen.device)
        found = Recurring(nothing, signs[:0], signs[:0], signs[:0])
        for last in (False, True):
            pictures, multipliers = self._started(seen, signs, found)
            misfit = self._search(network, signs, pictures, multipliers, seen, last)
            images, weights = pictures.detach(), multipliers.detach().exp()
            there = images.flatten(1).isfinite().all(dim=1) & weights.isfinite().all(dim=1) & misfit.isfinite()
            if not bool(there.any()):
                raise Failed("every lane diverged")
            every = recurring(images[there], signs, weights[there], self.alike)
            found = every.seen_in(RECURS)
        best = every.pictures[: seen.public.answers].reshape(-1, *seen.public.image_shape)
        return TrainingSetGuess(
            images=seen.to_unit_range(best),
            evaluations=2 * self.iterations * self.restarts,
            objective=float(misfit[there].min()),
            facts={"recurring": len(found.lanes)},
            stopped=_ends(int(there.sum()), self.restarts),
        )

    def _signs(self, seen: TrainingSetObservation) -> Tensor:
        """y of each candidate, (m,): 1 and -1 in turn."""
        count = seen.public.answers if self.candidates is None else self.candidates
        return 1.0 - 2.0 * (torch.arange(count, device=seen.device) % 2)

    def _started(self, seen: TrainingSetObservation, signs: Tensor, found: Recurring) -> tuple[Tensor, Tensor]:
        """Where a round begins: pictures (lanes, m, d) and log lambda (lanes, m), those found in every lane's place."""
        size = math.prod(seen.public.image_shape)
        drawn = torch.randn(self.restarts, len(signs), size, generator=seen.generator).to(seen.device)
        pictures = START * drawn
        # lambda scales as 1 / |x|^2, and a normalised picture has |x|^2 about d
        multipliers = torch.full((self.restarts, len(signs)), -math.log(size), device=seen.device)
        for sign in (1.0, -1.0):
            places = (signs == sign).nonzero()[:, 0]
            mine = found.signs == sign
            places = places[: int(mine.sum())]
            pictures[:, places] = found.pictures[mine][: len(places)]
            multipliers[:, places] = found.weights[mine][: len(places)].clamp_min(1e-6).log()
        return pictures.requires_grad_(), multipliers.requires_grad_()

    def _search(
        self,
        network: OneHidden,
        signs: Tensor,
        pictures: Tensor,
        multipliers: Tensor,
        seen: TrainingSetObservation,
        last: bool,
    ) -> Tensor:
        """One round, in place; the last residuals (lanes,)."""
        low, high = (edge.flatten() for edge in seen.edges())
        softest, sharpest = (self._by_lane(ends).to(seen.device) for ends in (SOFTEST, SHARPEST))
        optimizer = torch.optim.Adam([pictures, multipliers], lr=self.rate)
        for step in range(self.iterations):
            done = step / (self.iterations - 1)
            optimizer.param_groups[0]["lr"] = self.rate * min(1.0, max(0.02, (1 - done) / SETTLING))
            sharpness = softest * (sharpest / softest) ** done
            misfit = residuals(network, pictures, multipliers.exp() * signs, sharpness, self.power)
            optimizer.zero_grad()
            misfit.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                pictures.clamp_(low, high)
            if step % 50 == 0:
                done_steps = step + last * self.iterations
                progress.report("attack", done_steps, 2 * self.iterations, float(misfit.detach().min()))
        return misfit.detach()

    def _by_lane(self, ends: tuple[float, float]) -> Tensor:
        """Geometric steps between the two, (lanes,)."""
        return torch.logspace(math.log10(ends[0]), math.log10(ends[1]), self.restarts)


def _ends(finite: int, lanes: int) -> dict[str, int]:
    """How the lanes of the last round stopped."""
    return {"budget spent": finite} | ({"diverged": lanes - finite} if finite < lanes else {})
