"""Game `audit`: a lower bound on what a training guarantees, from one run (Steinke et al. 2023, arXiv 2305.08846)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import stream
from invbench.core.training import Training
from invbench.defenses import Context, Defense, Stage
from invbench.games import Deal, Game, Scores
from invbench.games._audited import (
    GRADIENT,
    Canaries,
    canaries_of,
    defended,
    examples_of,
    labelled,
    layers_of,
    member_of,
    parameters_of,
    protocol_of,
    run,
    usual,
)
from invbench.games._guaranteed import of_training
from invbench.games._planning import MOST_PARAMETERS, brings_weights, idle_defense, not_of_kind
from invbench.observation import AuditGuess, AuditObservation, AuditPublic, PublicDefense
from invbench.privacy.audit import bounds
from invbench.registry import game
from invbench.victims import (
    architecture,
    model_of,
    pool_of,
    shape_of,
    stack_of,
    training_notes,
    why_untrainable,
)
from invbench.victims.building import build_victim
from invbench.victims.canaries import FARTHEST
from invbench.victims.layers import TooManyLayers

STAGES: frozenset[Stage] = frozenset({"model", "training"})
"""The stages of defences that trained weights pass through."""


@game(data="images", axes=("attack", "model", "defense"), protocol="audit")
@dataclass(frozen=True, kw_only=True)
class Audit(Game[AuditPublic, AuditObservation, AuditGuess]):
    """Which canaries were in a training, and how large its epsilon is at least.

    Each target is an audit of its own: one training by the model's `training_steps`, whatever `trained` says, with bits
    and noise of its own and the same canaries.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        if (why := not_of_kind(cell) or brings_weights(cell) or idle_defense(cell, STAGES)) is not None:
            return why
        pool = pool_of(cell)
        if (why := model_of(cell).unsupported(shape_of(pool), pool.classes)) is not None:
            return why
        try:
            numbers = parameters_of(cell)
        except TooManyLayers as error:
            return str(error)
        if numbers > MOST_PARAMETERS:
            return f"{cell.model.short} has {numbers:,} parameters for such pictures; at most {MOST_PARAMETERS:,}"
        why = why_untrainable(cell, architecture(cell), usual(cell)) or _too_many(cell, numbers)
        return why or _without_gradients(cell)

    def public(self, cell: Cell) -> AuditPublic:
        assert cell.protocol is not None
        asked, canaries, training = protocol_of(cell), canaries_of(cell), _training(cell)
        private, dirac = training.private, asked.kind == "dirac"
        return AuditPublic(
            model=cell.model.short,
            count=asked.canaries,
            kind=asked.kind,
            coordinates=None if canaries.places is None else torch.from_numpy(canaries.places.copy()),
            step=private.clip / private.batch if private and dirac else 0.0,
            draws=training.steps * private.batch / examples_of(cell) if private and dirac else 0.0,
            pictures=None if dirac else labelled(cell, canaries.pictures, canaries.wrong),
            protocol=cell.protocol.name,
            protocol_settings=dict(cell.protocol.settings),
            defenses=tuple(PublicDefense(d.name, d.build(Defense).public_parameters()) for d in cell.defense or ()),
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return [run(cell, number) for number in _numbers(cell)]

    def deal(self, cell: Cell, device: torch.device) -> AuditDeal:
        """Run every training; the attacker is given what it releases."""
        public = self.public(cell)
        return AuditDeal(
            cell=cell,
            observations=tuple(
                self._seen(cell, number, device, public, fetch(run(cell, number))) for number in _numbers(cell)
            ),
            member=np.stack([member_of(cell, number) for number in _numbers(cell)]),
            canaries=canaries_of(cell),
        )

    def trial(self, cell: Cell, device: torch.device) -> Sequence[AuditObservation]:
        made = {GRADIENT: torch.zeros(parameters_of(cell), dtype=torch.float64)}
        public = self.public(cell)
        return [self._seen(cell, number, device, public, made) for number in _numbers(cell)]

    def _seen(
        self, cell: Cell, number: int, device: torch.device, public: AuditPublic, made: Mapping[str, torch.Tensor]
    ) -> AuditObservation:
        network, pool = None, pool_of(cell)
        if protocol_of(cell).kind == "mislabelled":
            network = build_victim(model_of(cell), shape_of(pool), pool.classes, 0, stack_of(cell))
            if GRADIENT not in made:
                network.load_state_dict(dict(made))
            network = network.to(device).eval()
        return AuditObservation(
            public=public,
            generator=stream("attack", cell.seed, cell.attack.key, number),
            gradient=made[GRADIENT].to(device) if network is None else None,
            model=network,
        )


@dataclass(frozen=True, eq=False)
class AuditDeal(Deal[AuditObservation, AuditGuess]):
    """One cell's audits, and behind the wall which canaries were in: `member` `(targets, n)`."""

    cell: Cell
    observations: tuple[AuditObservation, ...]
    member: npt.NDArray[np.bool_]
    canaries: Canaries

    def score(self, answers: Sequence[AuditGuess]) -> Scores:
        """`score` and `member` of each canary, and three lower bounds on epsilon of each audit."""
        asked = protocol_of(self.cell)
        found = [
            bounds(
                answer.scores.double().numpy(),
                member,
                answer.middle,
                delta=asked.delta,
                error=asked.error,
                share=asked.guessed,
                surest=asked.surest,
                groups=self._layers() if asked.by_layer else None,
            )
            for answer, member in zip(answers, self.member, strict=True)
        ]
        return {
            "score": [answer.scores.double().tolist() for answer in answers],
            "member": [own.astype(float).tolist() for own in self.member],
            "audited_epsilon": [[one.any] for one in found],
            "audited_epsilon_fdp": [[one.tradeoff] for one in found],
            "audited_epsilon_gaussian": [[one.exact] for one in found],
        }

    def controls(self) -> dict[str, Scores]:
        """`blind`: every canary scored alike."""
        if "blind" not in self.cell.controls:
            return {}
        count = protocol_of(self.cell).canaries
        return {"blind": self.score([AuditGuess(scores=torch.zeros(count), middle=0.0) for _ in self.observations])}

    def limits(self) -> Scores:
        """`epsilon`: what the defences of the training claim, at their own delta."""
        return of_training(self.cell, usual(self.cell)).limits(self.cell)

    def arrays(self, answers: Sequence[AuditGuess]) -> dict[str, npt.NDArray[Any]]:
        """`scores` and `member` `(targets, n)`, `middle` `(targets,)`; `places` or `pictures` `(n,)`."""
        canaries = self.canaries
        which = {"pictures": canaries.pictures} if canaries.places is None else {"places": canaries.places}
        return {
            "scores": np.stack([answer.scores.double().numpy() for answer in answers]),
            "member": self.member,
            "middle": np.array([answer.middle for answer in answers]),
            **which,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What is claimed, what the bounds suppose, and what no epsilon covers."""
        asked, training = protocol_of(self.cell), _training(self.cell)
        claimed = training_notes(self.cell, usual(self.cell))
        told = (
            f"{asked.canaries} {asked.kind} canaries, each in with probability 1/2, among {training.examples} examples;"
            f" each bound is wrong with probability at most {asked.error:g}, at delta {asked.delta:g}"
        )
        return (
            *(claimed or ("no defence of its training claims an epsilon",)),
            told,
            *_suppositions(asked.kind, training),
            *_other_delta(self.cell),
            "no epsilon covers the choice of settings by their results, nor does an audit find it",
            *pool_of(self.cell).notes,
        )

    def _layers(self) -> list[slice]:
        """Which canaries lie in each layer: they rise, so those of a layer follow one another."""
        assert self.canaries.places is not None
        ends = np.searchsorted(self.canaries.places, list(accumulate(layers_of(self.cell), initial=0)))
        return [slice(int(first), int(last)) for first, last in pairwise(ends) if last > first]


def _suppositions(kind: str, training: Training) -> list[str]:
    """What of the audited training is not as the two columns suppose that name the Gaussian family."""
    private, found = training.private, list[str]()
    if private is None:
        found.append("without noise on its gradients this is no mechanism of the Gaussian family")
    elif private.batch != training.examples and training.examples is not None:
        rate = private.batch / training.examples
        found.append(f"batches are sampled (q = {rate:.3g}), so this is no mechanism of the Gaussian family")
    if kind == "mislabelled":
        found.append("all canaries move one model, so their noises are not their own, as the exact tail supposes")
    return [f"{one}: audited_epsilon alone holds as it stands" for one in found]


def _other_delta(cell: Cell) -> list[str]:
    """That a defence claims its epsilon at another delta than it is audited at."""
    audited = protocol_of(cell).delta
    claimed = [(defense.name, dict(defense.settings).get("delta")) for defense in cell.defense or ()]
    return [
        f"{name} claims epsilon at delta {delta:g}, the audit bounds it at {audited:g}: they cannot be compared"
        for name, delta in claimed
        if isinstance(delta, float) and delta != audited
    ]


def _training(cell: Cell) -> Training:
    """How the cell trains behind its defences; its noise has a seed of no consequence."""
    return defended(cell, Context(torch.Generator().manual_seed(0)))


def _too_many(cell: Cell, parameters: int) -> str | None:
    """Why there are not as many canaries, or other pictures, as the protocol asks for."""
    asked, pictures = protocol_of(cell), len(pool_of(cell).images)
    if asked.kind == "dirac":
        if asked.canaries > min(parameters, FARTHEST):
            return f"{asked.canaries} dirac canaries need as many parameters; {cell.model.short} has {parameters}"
        used = asked.pictures or 0
    else:
        used = asked.canaries + (asked.pictures or 0)
    if used > pictures:
        return f"needs {used} pictures; {cell.dataset.short} has {pictures}"
    return None


def _without_gradients(cell: Cell) -> str | None:
    """Why the protocol's kind of canaries does not fit the training."""
    asked = protocol_of(cell)
    if asked.kind == "dirac" and _training(cell).private is None:
        return "a dirac canary is a gradient of its own, which dp-sgd clips; without it say `kind: mislabelled`"
    if asked.kind == "mislabelled" and asked.by_layer:
        return "by_layer is of dirac canaries: a mislabelled picture lies in no layer"
    if asked.kind == "mislabelled" and asked.norm != 1:
        return "norm is of dirac canaries: a mislabelled picture has the gradient that it has"
    if asked.kind == "mislabelled" and pool_of(cell).classes < 2:
        return f"a wrong label needs a second class, and {cell.dataset.short} has one"
    return None


def _numbers(cell: Cell) -> range:
    return range(cell.offset, cell.offset + cell.targets)
