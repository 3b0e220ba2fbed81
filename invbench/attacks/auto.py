"""The strongest attack known here for what is seen, as AutoAttack is (Croce and Hein 2020, arXiv 2003.01690)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from invbench import registry
from invbench.attacks import UpdateAttack
from invbench.labels import label_strategy
from invbench.matching.fast import SINGLE, fast
from invbench.matching.posterior import PosteriorSearch
from invbench.matching.prior import Prior, priors
from invbench.matching.recipe import Recipe
from invbench.matching.whitened import plain_noise
from invbench.observation import Failed, Guess, Public, UpdateObservation
from invbench.peeling.prior import ALIKE, COLOURS
from invbench.peeling.referee import Judged, best_guess, judge, likeliest, under
from invbench.peeling.sharpen import Polishing, can_polish, polish
from invbench.registry import attack, parameter
from invbench.updates.signals import OF_BATCHES
from invbench.updates.simulation import hidden_scale, protocol_of, stack_of

_KINKED = (torch.nn.ReLU, torch.nn.LeakyReLU, torch.nn.MaxPool2d)
_LINES = 400
"""Evaluations of the search along lines, which has come to rest by then."""

_STRONG = 1.0
"""Total variation of the search that a batch has in place of the one along lines.

On four training batches of 2: lines end at 15.4 dB on a sigmoid LeNet, where the long search ends at 18.4, and where a
gradient tells little the smooth picture explains it best: a tanh LeNet ends at 10.7 dB after 200 evaluations, and at
8.5 after 1,000 under 0.01. Batches behind defences were not compared.
"""

_LIGHT = 1e-3
"""Total variation of the light search: a hundredth of the long one's."""

_DECLARED = {"random-k": 4, "sign": 4}
"""Versions beside defences of which searches take the objective `declared`: of signs the cosine reads little, and
`interval-cosine` holds a rescaled random-k against the truth."""

_NOISY = {"gaussian": 4, "laplace": 4, "dp-sgd": 4}
"""Versions beside defences whose noise has a search of its own (`matching/posterior.py`)."""

_SMOOTHNESSES = (0.5, ALIKE)
"""Correlations of neighbours among which that search chooses: photographs are as smooth as `ALIKE`, digits are not."""

_GENTLE = Recipe(lr=0.3, tv=0.01)
"""The long search where the network is smooth: there a gradient tells so much that stronger total variation hides it.

On four training batches of a sigmoid LeNet 950 evaluations end 4.7 dB (batch 1) and 2.8 dB (batch 2) above those under
steps of 0.5 and a weight of 0.1. At other batch sizes the two were not compared.
"""


_POSTERIOR = "posterior search"


@dataclass(frozen=True)
class Step:
    """One thing that `auto` tries on every update that no answer is certified for yet.

    `run(observations, so_far)`: a guess for each observation, from it and the answers that earlier steps gave to it.
    `alone`: an attack that takes as long, for the forecast.
    """

    name: str
    run: Callable[[Sequence[UpdateObservation], Sequence[Sequence[Judged]]], list[Guess]]
    alone: UpdateAttack


@attack(game="update", version=3, versions_with=_DECLARED | _NOISY | {OF_BATCHES: 4})
@dataclass(frozen=True, kw_only=True)
class Auto(UpdateAttack):
    """Exact recovery where the architecture allows it, else the best searches in turn; the likeliest answer wins.

    First come the attacks of invbench that solve in closed form, those that can certify an answer before the
    others. Every step's answer is simulated through client and defences, and judged by how well it explains the
    update (`updates/likelihood.py`) and by a Gaussian prior on natural pictures: never by the truth. A certified
    answer ends the search. Searches share `evaluations`: a short one, then where the network is smooth one along
    lines (of a batch: under strong total variation) and a long one under light total variation. Elsewhere a batch
    has the short one again for as long as there is time, and a single picture two long ones, under strong and under
    light: a gradient that hardly determines its picture needs the one, the other lets through what a rich gradient
    tells. Behind a fully connected first layer both are light, and one weighs every layer alike. Where declared
    defences leave values open, searches hold them against no guess, and of signs nothing but the signs; where the
    network is smooth one takes them as they are, too, which is better where a rounding is fine. What they found for
    a smooth chain of layers is then polished by Gauss-Newton steps. Which part won, how each was judged, and why
    one gave nothing, is in the record.
    """

    evaluations: int = parameter(1500, at_least=1, help="most evaluations of a target by all searches together")

    def unsupported(self, public: Public) -> str | None:
        """Several clients behind defences of whole updates: how likely a mean of what each sent is, is not known."""
        if public.clients > 1 and stack_of(public).acts("update"):
            return f"judges what one client's defences leave of its update; here {public.clients} clients' are averaged"
        if protocol_of(public).draw(public.batch_size, torch.Generator().manual_seed(0)):
            return f"judges answers by what clients would share of them, and what {public.protocol} draws is hidden"
        return hidden_scale(public)

    def parts(self, public: Public) -> list[tuple[str, UpdateAttack]]:
        """What is tried, by name, in turn: attacks that take as long as the steps do."""
        return [(step.name, step.alone) for step in self.steps(public)]

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """Every step in turn, each for the targets that the steps before it leave open."""
        answers: list[list[Judged]] = [[] for _ in observations]
        for step in self.steps(observations[0].public) if observations else ():
            left = [k for k, so_far in enumerate(answers) if not any(one.certified for one in so_far)]
            guesses = step.run([observations[k] for k in left], [answers[k] for k in left])
            for k, guess in zip(left, guesses, strict=True):
                answers[k].append(judge(step.name, guess, observations[k]))
        return [best_guess(_under_their_prior(*pair)) for pair in zip(observations, answers, strict=True)]

    def steps(self, public: Public) -> list[Step]:
        """What is tried on such an update, in turn."""
        noisy = plain_noise(public) is not None
        searches = self._before_posterior(public) if noisy else self._searches(public)
        found = [Step(name, _asked(one), one) for name, one in [*_closed_forms(public), *searches]]
        if noisy and (left := self.evaluations - sum(one.iterations for _, one in searches)):
            return [*found, _posterior_step(public, left)]
        return [*found, Step("polish", _polished, Polishing())] if can_polish(public) else found

    def _before_posterior(self, public: Public) -> list[tuple[str, Recipe]]:
        """The short search, and for a third of what it leaves the one that follows it."""
        (name, short), *longer = self._searches(public)
        third = (self.evaluations - short.iterations) // 3
        named = [one for one in longer if one[0] != "strong search"][:1] if third else []
        return [(name, short), *((long, dataclasses.replace(one, iterations=third)) for long, one in named)]

    def _searches(self, public: Public) -> list[tuple[str, Recipe]]:
        labels: Literal["known", "joint"] = "known" if label_strategy("known", public)[1] is None else "joint"
        leaves_open = stack_of(public).leaves_open
        objective: Literal["declared", "interval-cosine", "cosine"]
        objective = "interval-cosine" if leaves_open else "cosine"
        if any(defense.name in _DECLARED for defense in public.defenses):
            objective = "declared"
        shared: dict[str, Any] = {"labels": labels, "objective": objective}
        quick = dataclasses.replace(fast(public), **shared)
        short = min(quick.iterations, self.evaluations)
        found = [("short search", dataclasses.replace(quick, iterations=short))]
        left = self.evaluations - short
        smooth = not any(isinstance(layer, _KINKED) for layer in public.network.modules())
        if left and smooth:
            lines = Recipe(iterations=min(_LINES, left), optimizer="lbfgs-wolfe", tv=1e-4, **shared)
            strong = dataclasses.replace(_GENTLE, iterations=lines.iterations, tv=_STRONG, **shared)
            found.append(("line search", lines) if public.pictures == 1 else ("strong search", strong))
            left -= lines.iterations
        if left <= short:  # a long search that is shorter than the short one would find no more
            return found
        long = dataclasses.replace(_GENTLE if smooth else SINGLE, **shared)
        light = dataclasses.replace(long, tv=_LIGHT)
        if smooth:
            plain = ("plain search", dataclasses.replace(long, objective="cosine"))
            searches = [("long search", long), *([plain] if leaves_open else [])]
        elif _sees_pixels(public) and not leaves_open:
            searches = [("light search", light), ("layer search", dataclasses.replace(light, objective="layer-l2"))]
        elif public.pictures > 1 and not _sees_pixels(public):
            searches = [("long search", quick)]
        else:
            searches = [("long search", long), ("light search", light)]
        if left <= 2 * short:
            del searches[1:]
        return [*found, *((name, dataclasses.replace(one, iterations=left // len(searches))) for name, one in searches)]


def _sees_pixels(public: Public) -> bool:
    """Whether the first layer with weights is fully connected: its gradient is a mix of the pictures themselves."""
    weighted = (layer for layer in public.network.modules() if list(layer.parameters(recurse=False)))
    return isinstance(next(weighted, None), torch.nn.Linear)


def _closed_forms(public: Public) -> list[tuple[str, UpdateAttack]]:
    """invbench's own attacks that solve for the pictures of such an update; those that can certify first, by name.

    Other packages' attacks are left out: the same cell id must stand for the same attack whatever is installed.
    """
    own = [name for name in registry.names("attack") if name not in registry.plugin_names("attack")]
    parts = [registry.load("attack", name) for name in own]
    solving = [part for part in parts if part.facts["game"] == "update" and part.facts["closed_form"] is not None]
    solving.sort(key=lambda part: (part.facts["closed_form"] != "certified", part.name))
    built = [(part.name, part.build({}, UpdateAttack)) for part in solving]
    return [(name, one) for name, one in built if one.unsupported(public) is None]


def _asked(one: UpdateAttack) -> Callable[[Sequence[UpdateObservation], Sequence[Sequence[Judged]]], list[Guess]]:
    """A step's `run` that asks an attack and needs no earlier answers."""
    return lambda observations, so_far: one.attack_all(observations)


def _posterior_step(public: Public, evaluations: int) -> Step:
    """Half of the evaluations find the prior, the other half go on under it from two starts."""
    among = _priors(public)
    each, both = max(1, evaluations // (2 * len(among))), max(1, evaluations // 4)
    search = PosteriorSearch(priors=tuple(among), trying=each, iterations=both)

    def run(observations: Sequence[UpdateObservation], so_far: Sequence[Sequence[Judged]]) -> list[Guess]:
        likely = [likeliest(answers).guess if answers else None for answers in so_far]
        full = [one if one is not None and len(one.images) == public.pictures else None for one in likely]
        return search.search(observations, full)

    return Step(_POSTERIOR, run, search)


def _priors(public: Public) -> list[Prior]:
    by_label = label_strategy("known", public)[1] is None
    return priors(public, _SMOOTHNESSES, COLOURS, by_label=by_label)


def _under_their_prior(seen: UpdateObservation, answers: Sequence[Judged]) -> Sequence[Judged]:
    """All answers beside the prior that the posterior search chose, where it ran."""
    names = [one.guess.facts.get("prior") for one in answers if one.part == _POSTERIOR]
    chosen = [one for one in _priors(seen.public) if one.name in names] if names else []
    if not chosen:
        return answers
    mean, std = seen.channel_constants()
    return [
        one
        if one.guess.labels is None or not len(one.guess.images)
        else under(one, chosen[0].energy((one.guess.images.to(seen.device) - mean) / std, one.guess.labels))
        for one in answers
    ]


def _polished(observations: Sequence[UpdateObservation], so_far: Sequence[Sequence[Judged]]) -> list[Guess]:
    """Each target's likeliest answer so far, polished; no picture, and why, where that is no use."""
    guesses = []
    for seen, answers in zip(observations, so_far, strict=True):
        best = likeliest(answers)
        try:
            if best.explains:
                raise Failed("the likeliest answer explains the update already")
            guesses.append(polish(seen, best.guess))
        except Failed as failure:
            guesses.append(seen.nothing(str(failure)))
    return guesses
