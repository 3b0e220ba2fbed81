"""Game `presence`: who was in the training set of a model that answers queries (Shokri et al. 2017, 1610.05820)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from theirs.observation import MembershipAnswer, MembershipObservation, MembershipPublic, Oracle
from theirs.protocol.access import Access
from torch import Tensor

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.randomness import numpy_stream, stream
from invbench.defenses import Context, Defense
from invbench.games import Deal, Game, Rerun, Scores
from invbench.registry import game
from invbench.victims import Indexes, architecture, model_of, pool_of, shape_of, stack_of, trained_victim, victim

STAGES = {"model", "training", "answer"}


@game(data="images", axes=("attack", "model", "defense"), protocol="access")
@dataclass(frozen=True, kw_only=True)
class Membership(Game[MembershipPublic, MembershipObservation, MembershipAnswer]):
    """Each target is a victim of its own, trained on a random half of its own candidates.

    Target k takes a block of pictures of the training pool: its candidates, and half as many others, on which the
    victim of the control `unseen` is trained. The attacker's reference are the targets of trained victims.
    """

    def unsupported(self, cell: Cell) -> str | None:
        if any(choice.part.facts["data"] != "images" for choice in (cell.dataset, cell.model)):
            return "game presence is played on images"
        for defense in cell.defense or ():
            if not STAGES & set(defense.build(Defense).stages()):
                return f"defence {defense.name} acts at no stage of game presence"
        pool, model = pool_of(cell), model_of(cell)
        if not model.trained:
            return f"needs a victim that is trained: model {{name: {cell.model.name}, trained: true}}"
        wanted, there = (cell.offset + cell.targets) * _block(cell), len(pool.train)
        if wanted > there:
            return f"{cell.targets} victims need {wanted} pictures; the training pool has {there}"
        return model.unsupported(shape_of(pool), pool.classes)

    def public(self, cell: Cell) -> MembershipPublic:
        return MembershipPublic(architecture(cell), _pictures(cell, pool_of(cell).trained_targets))

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return [trained_victim(cell, _members(cell, number)) for number in _numbers(cell)]

    def deal(self, cell: Cell, device: torch.device) -> MembershipDeal:
        member = [np.isin(_candidates(cell, number), _members(cell, number)) for number in _numbers(cell)]
        seen = [_observe(cell, number, _members(cell, number)) for number in _numbers(cell)]
        return MembershipDeal(tuple(seen), tuple(member))

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[MembershipObservation]]:
        """`unseen`: the same attack on victims that no candidate was shown to."""

        def observe(device: torch.device) -> list[MembershipObservation]:
            return [_observe(cell, number, _others(cell, number)) for number in _numbers(cell)]

        needs = tuple(trained_victim(cell, _others(cell, number)) for number in _numbers(cell))
        return {"unseen": Rerun(cell, observe, needs)}


@dataclass(frozen=True, eq=False)
class MembershipDeal(Deal[MembershipObservation, MembershipAnswer]):
    """Observations, and behind the wall who is a `member` `(N,)`."""

    observations: tuple[MembershipObservation, ...]
    member: tuple[np.ndarray, ...]

    def score(self, answers: Sequence[MembershipAnswer]) -> Scores:
        """`score` and `member` of each candidate; the sheet's columns are statistics of both."""
        scores = [[float(s) if math.isfinite(s) else None for s in answer.scores] for answer in answers]
        return {"score": scores, "member": [[float(m) for m in member] for member in self.member]}

    def controls(self) -> dict[str, Scores]:
        """`label`: how common the candidate's label is in the reference. The victim is not asked."""
        common = self.observations[0].public.reference[1].bincount(minlength=1000)
        return {"label": self.score([MembershipAnswer(scores=common[o.labels].float()) for o in self.observations])}

    def arrays(self, answers: Sequence[MembershipAnswer]) -> dict[str, np.ndarray]:
        return {"scores": np.stack([a.scores.numpy() for a in answers]), "member": np.stack(self.member)}


def _numbers(cell: Cell) -> range:
    return range(cell.offset, cell.offset + cell.targets)


def _access(cell: Cell) -> Access:
    assert cell.protocol is not None
    return cell.protocol.build(Access)


def _block(cell: Cell) -> int:
    return _access(cell).candidates * 3 // 2


def _candidates(cell: Cell, number: int) -> Indexes:
    start = number * _block(cell)
    return pool_of(cell).train[start : start + _access(cell).candidates]


def _members(cell: Cell, number: int) -> Indexes:
    candidates = _candidates(cell, number)
    return np.sort(numpy_stream("members", cell.seed, number).permutation(candidates)[: len(candidates) // 2])


def _others(cell: Cell, number: int) -> Indexes:
    return pool_of(cell).train[number * _block(cell) : (number + 1) * _block(cell)][_access(cell).candidates :]


def _pictures(cell: Cell, indexes: Indexes) -> tuple[Tensor, Tensor]:
    assert cell.normalisation is not None
    mean, std = (torch.tensor(c, dtype=torch.float32).reshape(-1, 1, 1) for c in cell.normalisation)
    pool = pool_of(cell)
    return (torch.from_numpy(pool.unit(indexes)) - mean) / std, torch.from_numpy(pool.labels[indexes])


def _observe(cell: Cell, number: int, trained_on: Indexes) -> MembershipObservation:
    images, labels = _pictures(cell, _candidates(cell, number))
    context = Context(stream("answers", cell.seed, [d.key for d in cell.defense or ()], number))
    defended = partial(stack_of(cell).at, "answer", context=context)
    return MembershipObservation(
        public=Membership().public(cell),
        generator=stream("attack", cell.seed, cell.attack.key, number),
        images=images,
        labels=labels,
        oracle=Oracle(victim(cell, trained_on), defended, _access(cell).queries),
    )
