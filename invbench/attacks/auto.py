"""The strongest attack known here for what is seen, as AutoAttack is (Croce and Hein 2020, arXiv 2003.01690)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from invbench import registry
from invbench.attacks import UpdateAttack
from invbench.matching.fast import SINGLE, fast
from invbench.matching.labels import label_strategy
from invbench.matching.recipe import Recipe
from invbench.observation import Guess, Public, UpdateObservation
from invbench.peeling import prior
from invbench.peeling.sharpen import MOST_STEPS, can_polish, polish
from invbench.registry import attack, parameter
from invbench.updates.likelihood import misfit, squared_residual

_CLOSED = ("peel", "analytic")
"""Attacks that solve for the picture; tried first where the architecture allows them."""

_ERROR = 0.03
"""Relative error of an update's entry that a search leaves behind: what is smaller does not tell two answers apart."""

_KINKED = (torch.nn.ReLU, torch.nn.LeakyReLU, torch.nn.MaxPool2d)
_LINES = 400
"""Evaluations of the search along lines, which has come to rest by then."""

_LIGHT = 1e-3
"""Total variation of the light search: a hundredth of the others'."""


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Auto(UpdateAttack):
    """Exact recovery where the architecture allows it, else the best searches in turn; the likeliest answer wins.

    Every part's answer is simulated through client and defences, and judged by how well it explains the update
    (`updates/likelihood.py`) and by a Gaussian prior on natural pictures: never by the truth. A certified answer
    ends the search. Searches share `evaluations`: a short one, one along lines where the network is smooth, then two
    long ones with what is left, under strong and under light total variation: a gradient that hardly determines its
    pictures needs the one, the other lets through what a rich gradient tells. What they found for a smooth chain of
    layers is then polished by Gauss-Newton steps. Which part won, and how each was judged, is in the record.
    """

    evaluations: int = parameter(1500, at_least=1, help="most evaluations of a target by all searches together")

    def parts(self, public: Public) -> list[tuple[str, UpdateAttack]]:
        """What is tried, by name, in turn: attacks, and an attack that costs what polishing does."""
        polishing = [("polish", _part("peel", steps=MOST_STEPS))] if can_polish(public) else []
        return [*_closed(public), *self._searches(public), *polishing]

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """Closed forms for every target, searches for those that they leave open, and what these find polished."""
        tried: list[list[_Tried]] = [[] for _ in observations]
        public = observations[0].public if observations else None
        for name, part in [*_closed(public), *self._searches(public)] if public else ():
            left = [k for k, so_far in enumerate(tried) if not _certified(so_far)]
            for k, guess in zip(left, part.attack_all([observations[k] for k in left]), strict=True):
                tried[k].append(_judged(name, guess, observations[k]))
        for so_far, seen in zip(tried, observations, strict=True):
            if not _certified(so_far) and can_polish(seen.public) and (sharp := polish(seen, _winner(so_far).guess)):
                so_far.append(_judged("polish", sharp, seen))
        return [_best(of_target) for of_target in tried]

    def _searches(self, public: Public) -> list[tuple[str, Recipe]]:
        labels: Literal["known", "joint"] = "known" if label_strategy("known", public)[1] is None else "joint"
        quick = fast(public)
        short = min(quick.iterations, self.evaluations)
        found = [("short search", dataclasses.replace(quick, iterations=short, labels=labels))]
        left = self.evaluations - short
        if left and not any(isinstance(layer, _KINKED) for layer in public.network.modules()):
            lines = min(_LINES, left)
            recipe = Recipe(iterations=lines, optimizer="lbfgs-wolfe", objective="cosine", tv=1e-4, labels=labels)
            found.append(("line search", recipe))
            left -= lines
        if left > short:  # a long search that is shorter than the short one would find no more
            both = left > 2 * short
            long = dataclasses.replace(SINGLE, iterations=left // 2 if both else left, labels=labels)
            found.append(("long search", long))
            found += [("light search", dataclasses.replace(long, tv=_LIGHT))] if both else []
        return found


def _closed(public: Public) -> list[tuple[str, UpdateAttack]]:
    """The attacks in closed form that can read such an update."""
    attacks = [(name, _part(name)) for name in _CLOSED]
    return [(name, part) for name, part in attacks if part.unsupported(public) is None]


def _part(name: str, **settings: Any) -> UpdateAttack:
    return registry.load("attack", name).build(settings, UpdateAttack)


@dataclass(frozen=True, eq=False)
class _Tried:
    """One part's answer. `misfit`: of the simulated update. `surprise`: minus twice the log of its posterior."""

    part: str
    guess: Guess
    misfit: float
    surprise: float


def _judged(part: str, guess: Guess, seen: UpdateObservation) -> _Tried:
    mean, std = seen.channel_constants()
    images = (guess.images.to(seen.device) - mean) / std
    if guess.labels is None:
        return _Tried(part, guess, math.inf, math.inf)
    squares, _ = squared_residual(seen, images, guess.labels, error=_ERROR)
    surprise = squares + prior.energy(images)  # NaN for a guess that is: it would win every comparison or none
    return _Tried(part, guess, misfit(seen, images, guess.labels), math.inf if math.isnan(surprise) else surprise)


def _certified(tried: Sequence[_Tried]) -> bool:
    return any(one.guess.facts.get("certified", False) for one in tried)


def _winner(tried: Sequence[_Tried]) -> _Tried:
    """The certified answer, else the one with the least surprise."""
    return min(tried, key=lambda one: (not one.guess.facts.get("certified", False), one.surprise))


def _best(tried: Sequence[_Tried]) -> Guess:
    """The winner's answer, and how every part was judged."""
    best = _winner(tried)
    judged = {one.part: {"misfit": _number(one.misfit), "surprise": _number(one.surprise)} for one in tried}
    return dataclasses.replace(
        best.guess,
        evaluations=sum(one.guess.evaluations for one in tried),
        objective=_number(best.misfit),
        facts={**best.guess.facts, "part": best.part, "parts": judged},
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
