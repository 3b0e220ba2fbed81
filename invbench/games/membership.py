"""Game `membership`: who was a released model trained on (Shokri et al. 2017, arXiv 1610.05820)."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from invbench.cell import Cell, Choice
from invbench.core.artefacts import Artefact
from invbench.core.randomness import stream
from invbench.core.training import Training
from invbench.data import ImagePool
from invbench.defenses import Context, Defense, Stage
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._candidates import (
    Split,
    counted,
    different,
    members_of,
    never_candidates,
    parts,
    protocol_of,
    split_of,
    steps_of,
)
from invbench.games._guaranteed import of_training
from invbench.games._planning import MOST_PARAMETERS, acts_nowhere, brings_weights
from invbench.observation import (
    Labelled,
    MembershipGuess,
    MembershipObservation,
    MembershipPublic,
    PublicDefense,
    Released,
)
from invbench.registry import game
from invbench.scoring.blind import pixels_alone
from invbench.scoring.exposure import exposure_png
from invbench.victims import (
    Indexes,
    architecture,
    model_of,
    pool_of,
    shape_of,
    stack_of,
    trained_victim,
    training_notes,
    victim,
    why_untrainable,
)
from invbench.victims.layers import TooManyLayers
from invbench.victims.pictures import labelled

STAGES: frozenset[Stage] = frozenset({"model", "training", "answer"})
"""The stages of defences that a released model passes through."""


@game(data="images", axes=("attack", "model", "defense"), protocol="released")
@dataclass(frozen=True, kw_only=True)
class Membership(Game[MembershipPublic, MembershipObservation, MembershipGuess]):
    """Which of the candidates a released model was trained on; half of them are members.

    Each target is a victim of its own, by number: the candidates are the same, its members, start and batches are its
    own. All victims, shadows and the control `unseen` train on equally many pictures, for equally long.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        for choice in (cell.dataset, cell.model):
            if choice.part.facts["data"] != "images":
                return f"game {cell.game} is played on images; {choice.short} is not of that kind"
        if (why := brings_weights(cell)) is not None:
            return why
        for defense in cell.defense or ():
            if not STAGES & set(defense.build(Defense).stages()):
                return acts_nowhere(defense.name, cell.game, STAGES)
        if model_of(cell).trained:
            return f"its victims always train, for the protocol's `epochs`: {cell.model.name} without `trained`"
        pool = pool_of(cell)
        members, others = parts(counted(cell), protocol_of(cell).candidates)
        if not members or not others:
            return f"{counted(cell)} different pictures leave {members} members and {others} others; needs 1 of each"
        why = model_of(cell).unsupported(shape_of(pool), pool.classes) or _too_large(cell)
        return why or why_untrainable(cell, architecture(cell), _training(cell))

    def public(self, cell: Cell) -> MembershipPublic:
        """What everybody knows before the model is asked. Shared by all who ask: to be looked at."""
        assert cell.protocol is not None
        assert cell.normalisation is not None
        pool, split = pool_of(cell), split_of(cell)
        candidates, reference = _pictures(cell, split.candidates), _pictures(cell, split.reference)
        told = [cell.data_hash, split.candidates.tolist(), split.reference.tolist()]
        mean, std = cell.normalisation
        return MembershipPublic(
            model=cell.model.short,
            architecture=model_of(cell),
            network=architecture(cell),
            image_shape=shape_of(pool),
            classes=pool.classes,
            mean=mean,
            std=std,
            steps=steps_of(cell, split),
            trained_on=split.size,
            candidates=candidates,
            reference=reference,
            identity=hashlib.sha256(json.dumps(told).encode()).hexdigest(),
            protocol=cell.protocol.name,
            protocol_settings=dict(cell.protocol.settings),
            defenses=tuple(PublicDefense(d.name, d.build(Defense).public_parameters()) for d in cell.defense or ()),
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        own, split = _trained(cell), split_of(cell)
        return [trained_victim(own, _training_set(cell, split, number), number) for number in _numbers(cell)]

    def deal(self, cell: Cell, device: torch.device) -> MembershipDeal:
        """Train the victims; the attacker is given each as it is released."""
        split = split_of(cell)
        sets = [_training_set(cell, split, number) for number in _numbers(cell)]
        return MembershipDeal(
            cell=cell,
            observations=tuple(_observe(self, cell, sets, device)),
            member=np.stack([np.isin(split.candidates, chosen) for chosen in sets]),
            split=split,
            pool=pool_of(cell),
        )

    def trial(self, cell: Cell, device: torch.device) -> Sequence[MembershipObservation]:
        split = split_of(cell)
        sets = [_training_set(cell, split, number) for number in _numbers(cell)]
        return _observe(self, cell, sets, device, trained=False)

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[MembershipObservation]]:
        """`unseen`: the same attack on victims that no candidate was shown to, trained on as many other pictures."""
        own, split = _trained(cell), split_of(cell)
        sets = [never_candidates(cell, split, number) for number in _numbers(cell)]
        needs = [trained_victim(own, chosen, n) for n, chosen in zip(_numbers(cell), sets, strict=True)]
        return {"unseen": Rerun(cell, lambda device: _observe(self, cell, sets, device), tuple(needs))}


@dataclass(frozen=True, eq=False)
class MembershipDeal(Deal[MembershipObservation, MembershipGuess]):
    """One cell's released models, and behind the wall who is a `member` `(targets, N)`."""

    cell: Cell
    observations: tuple[MembershipObservation, ...]
    member: npt.NDArray[np.bool_]
    split: Split
    pool: ImagePool

    def score(self, answers: Sequence[MembershipGuess]) -> Scores:
        """`score`, `member` and `called` (above the attack's threshold; empty without one) of each candidate.

        The sheet's columns are statistics of these.
        """
        return {
            "score": [answer.scores.double().tolist() for answer in answers],
            "member": [own.astype(float).tolist() for own in self.member],
            "called": [_called(answer) for answer in answers],
        }

    def controls(self) -> dict[str, Scores]:
        """`blind`: what the candidates' pixels say beside those of the reference. No model is asked."""
        if "blind" not in self.cell.controls:
            return {}
        public = self.observations[0].public
        scores = torch.from_numpy(pixels_alone(public.candidates.images.numpy(), public.reference.images.numpy()))
        guess = MembershipGuess(scores=scores, threshold=float(scores.median()))
        return {"blind": self.score([guess] * len(self.observations))}

    def limits(self) -> Scores:
        """How well each victim classifies its members and the other candidates, 0 or 1 a picture: the gap that lets it
        be told who was trained on (Yeom et al. 2018), and what a defence costs."""
        right = []
        for seen in self.observations:
            some = seen.public.candidates
            right.append((seen.answer(some.images).argmax(dim=1) == some.labels).double().numpy())
        members = [own[member].tolist() for own, member in zip(right, self.member, strict=True)]
        others = [own[~member].tolist() for own, member in zip(right, self.member, strict=True)]
        guaranteed = of_training(self.cell, _training(self.cell)).limits(self.cell)
        return {"member_accuracy": members, "other_accuracy": others, **guaranteed}

    def arrays(self, answers: Sequence[MembershipGuess]) -> dict[str, npt.NDArray[Any]]:
        """`scores` and `member` `(targets, N)`, `threshold` `(targets,)` (NaN: none), `candidates` `(N,)`: indexes."""
        thresholds = [np.nan if answer.threshold is None else answer.threshold for answer in answers]
        return {
            "scores": np.stack([answer.scores.double().numpy() for answer in answers]),
            "member": self.member,
            "threshold": np.array(thresholds),
            "candidates": self.split.candidates,
        }

    def files(
        self, answers: Sequence[MembershipGuess], scores: Scores, controls: Mapping[str, Scores]
    ) -> dict[str, bytes]:
        """`grid.png`: ROC on log axes with the unseen victim's, histogram of scores, the most exposed candidates."""
        names = self.cell.names
        title = f"{names['attack']} on {names['model']}, defence {names['defense']}, {names['protocol']}"
        drawn = exposure_png(scores, controls.get("unseen"), self.pool.unit(self.split.candidates), title)
        return {"grid.png": drawn}

    @property
    def notes(self) -> tuple[str, ...]:
        """What takes part, and how it is dealt out."""
        split, copies = self.split, len(self.pool.images) - len(different(self.pool))
        trained = training_notes(self.cell, _training(self.cell))
        told = (
            f"{len(split.candidates)} candidates, of whom half are members; every model trains on {split.size} pictures"
            f" for {self.observations[0].public.steps} batches{' before its defences' if trained else ''}"
        )
        left_out = f"{copies} pictures are copies of others and take no part" if copies else ""
        usual = self.cell.model.part.parameters["training_steps"].default
        unread = dict(self.cell.model.settings)["training_steps"] != usual
        steps = "the model's training_steps are not read: the protocol's epochs say how long victims train"
        return tuple(note for note in (told, left_out, steps if unread else "", *trained, *self.pool.notes) if note)


def _called(answer: MembershipGuess) -> list[float | None]:
    if answer.threshold is None:
        return [None] * len(answer.scores)
    return (answer.scores >= answer.threshold).double().tolist()


def _numbers(cell: Cell) -> range:
    return range(cell.offset, cell.offset + cell.targets)


def _training_set(cell: Cell, split: Split, number: int) -> Indexes:
    """What victim `number` trains on: its members and all of the others."""
    return np.sort(np.concatenate([members_of(cell, split, number), split.others]))


def _trained(cell: Cell, trained: bool = True) -> Cell:
    """The cell with a model that trains for the protocol's epochs, as victims are made; or that nobody trains."""
    steps = steps_of(cell, split_of(cell))
    settings = {**dict(cell.model.settings), "trained": trained, "training_steps": steps}
    return replace(cell, model=Choice("model", cell.model.name, tuple(settings.items())))


def _training(cell: Cell) -> Training:
    """How every model of the cell trains, before any defence."""
    split = split_of(cell)
    return Training(steps_of(cell, split), examples=split.size)


def _observe(
    played: Membership, cell: Cell, sets: Sequence[Indexes], device: torch.device, trained: bool = True
) -> list[MembershipObservation]:
    """The released models that were trained on these pictures, one a target. What is public is the attack's own."""
    public = _own(played.public(cell))
    stack, own, names = stack_of(cell), _trained(cell, trained), [d.key for d in cell.defense or ()]
    found = []
    for number, chosen in zip(_numbers(cell), sets, strict=True):
        network, defended = victim(own, chosen, number).to(device), None
        if stack.acts("answer"):
            drawn = Context(stream("answers", cell.seed, names, number))
            defended = cast(Callable[[Tensor], Tensor], partial(stack.at, "answer", context=drawn))
        found.append(
            MembershipObservation(
                public=public,
                generator=stream("attack", cell.seed, cell.attack.key, number),
                answer=Released(network, defended),
                model=None if defended else copy.deepcopy(network),
            )
        )
    return found


def _own(public: MembershipPublic) -> MembershipPublic:
    """The same, of which nothing is shared with the game's own copy."""
    candidates, reference = (
        Labelled(some.images.clone(), some.labels.clone()) for some in (public.candidates, public.reference)
    )
    return replace(public, network=copy.deepcopy(public.network), candidates=candidates, reference=reference)


def _pictures(cell: Cell, indexes: Indexes) -> Labelled:
    assert cell.normalisation is not None
    return _labelled(pool_of(cell), cell.normalisation, tuple(indexes.tolist()))


@lru_cache(maxsize=8)
def _labelled(pool: ImagePool, normalisation: Any, indexes: tuple[int, ...]) -> Labelled:
    """Normalised pictures and labels, kept: many cells of a matrix have the same candidates."""
    return labelled(pool, np.array(indexes), normalisation)


def _too_large(cell: Cell) -> str | None:
    """Why there is no such network, or None."""
    try:
        count = sum(weights.numel() for weights in architecture(cell).parameters())
    except TooManyLayers as error:
        return str(error)
    if count > MOST_PARAMETERS:
        return f"{cell.model.short} has {count:,} parameters for such pictures; at most {MOST_PARAMETERS:,}"
    return None
