"""Game `batch-membership`: which pictures are behind one round's update.

Melis, Song, De Cristofaro and Shmatikov 2019 (arXiv 1805.04049) ask it of federated learning; Li, Li and Ribeiro 2023
(arXiv 2111.00430) of one update. A game of its own beside `membership`: there anybody asks a trained model about the
pictures it was trained on for many passes; here a server holds one update of weights that it dealt itself, so its
defences are those of a round, a victim need not be trained, and items of one round share an update.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.data import ImagePool
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._asked import Asked, asked_in_a_round, asked_of, batch_of, own_pictures, places_of
from invbench.games._batches import named_defenses, protocol_of
from invbench.games._guaranteed import Guaranteed, of_round
from invbench.games._observing import in_mode, observe, reruns_on_noise
from invbench.games._planning import STAGES, why_no_client
from invbench.games.update import UpdateGame
from invbench.observation import BatchMembershipObservation, Labelled, MembershipGuess, Public
from invbench.protocol._batch_norm import buffers_of
from invbench.registry import game
from invbench.victims import (
    Indexes,
    model_of,
    pool_of,
    stack_of,
    training_notes,
    usual_training,
    victim,
    victim_artefacts,
)
from invbench.victims.pictures import labelled


@game(data="images", axes=("attack", "model", "defense"), protocol="fedsgd", protocols_of=("update",))
@dataclass(frozen=True, kw_only=True)
class BatchMembership(Game[Public, BatchMembershipObservation, MembershipGuess]):
    """Which of the candidates are in the batch behind an update; half of them are.

    Each target is a round: B pictures behind its update and B others of the same kind, all labelled, none of which the
    attacker had. A score is compared with those of all rounds, and intervals draw whole rounds.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        if (why := why_no_client(cell)) is not None:
            return why
        pool, wanted = pool_of(cell), protocol_of(cell).public
        if model_of(cell).trained and not len(pool.train):
            return f"{cell.dataset.short} has no pictures that a victim trains on"
        if pool.classes < 2:
            return f"{cell.dataset.short} has one class, of which every update is zero: give its pictures labels"
        if (own := len(own_pictures(cell))) < wanted:
            return f"public: {wanted} pictures; {cell.dataset.short} has {own} different ones that are not trained on"
        if (there := len(places_of(cell))) < (size := asked_in_a_round(cell)):
            beside = f" beside {wanted} public ones" if wanted else ""
            return f"a round asks about {size} pictures; {cell.dataset.short} has {there} different ones{beside}"
        return None

    def public(self, cell: Cell) -> Public:
        """What everybody knows before an update is seen: as in game `update`, with pictures that are no candidates."""
        return replace(UpdateGame().public(cell), reference=_own(cell))

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return victim_artefacts(cell)

    def deal(self, cell: Cell, device: torch.device) -> BatchMembershipDeal:
        """Build the victim, then play every round."""
        public = self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        made = victim(cell).to(device)
        buffers = buffers_of(made)
        network = in_mode(made, protocol_of(cell))
        asked = tuple(asked_of(cell, number) for number in range(cell.offset, cell.offset + cell.targets))
        seen = tuple(
            BatchMembershipObservation.of(
                observe(cell, public, network, None, batch_of(cell, of), k, device, buffers),
                _pictures(cell, of.candidates, device),
            )
            for k, of in enumerate(asked)
        )
        return BatchMembershipDeal(cell=cell, observations=seen, asked=asked, pool=pool_of(cell))

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[BatchMembershipObservation]]:
        """`noise`, in the update's place."""
        return reruns_on_noise(cell, lambda bare, device: self.deal(bare, device).observations)


@dataclass(frozen=True, eq=False)
class BatchMembershipDeal(Deal[BatchMembershipObservation, MembershipGuess]):
    """One cell's rounds, and behind the wall who was in which."""

    cell: Cell
    observations: tuple[BatchMembershipObservation, ...]
    asked: tuple[Asked, ...]
    pool: ImagePool

    def score(self, answers: Sequence[MembershipGuess]) -> Scores:
        """`score` and `member` of each candidate; the sheet's columns are statistics of these."""
        return {
            "score": [answer.scores.double().tolist() for answer in answers],
            "member": [of.member.astype(float).tolist() for of in self.asked],
        }

    def controls(self) -> dict[str, Scores]:
        """`labels`: how many pictures of the candidate's label are in the batch, whether or not the attacker is told.

        Any attack that reads labels alone ranks no better where classes are even.
        """
        if "labels" not in self.cell.controls:
            return {}
        return {"labels": self.score([MembershipGuess(scores=self._counts(of)) for of in self.asked])}

    def _counts(self, of: Asked) -> torch.Tensor:
        members, labels = of.candidates[of.member], self.pool.labels
        counts = np.bincount(labels[members], minlength=self.pool.classes)
        return torch.from_numpy(counts[labels[of.candidates]]).double()

    def limits(self) -> Scores:
        """`epsilon`: what the defences guarantee of one round."""
        return self._guaranteed.limits(self.cell)

    @cached_property
    def _guaranteed(self) -> Guaranteed:
        protocol = protocol_of(self.cell)
        return of_round(named_defenses(self.cell), (), protocol.rounds, protocol.batch_statistics)

    def arrays(self, answers: Sequence[MembershipGuess]) -> dict[str, npt.NDArray[Any]]:
        """`scores` and `member` `(targets, 2B)`, `candidates` `(targets, 2B)`: indexes."""
        return {
            "scores": np.stack([answer.scores.double().numpy() for answer in answers]),
            "member": np.stack([of.member for of in self.asked]),
            "candidates": np.stack([of.candidates for of in self.asked]),
        }

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What takes part, whether pictures are asked about again, and what the defences guarantee."""
        cell, size = self.cell, asked_in_a_round(self.cell)
        rounds = len(places_of(cell)) // size
        again = cell.offset + cell.targets > rounds
        found = [
            *self.pool.notes,
            f"a picture is asked about in several rounds, never twice in one: {rounds} rounds take all"
            if again
            else "",
            *stack_of(cell).round_notes(protocol_of(cell).clients),
            *model_of(cell).weights_notes(),
        ]
        if model_of(cell).trained:
            found += training_notes(cell, usual_training(cell))
        return tuple(note for note in (*found, *self._guaranteed.notes) if note)


def _own(cell: Cell) -> Labelled | None:
    """The attacker's own pictures, in memory of their own; None where the protocol gives him none."""
    return labelled(pool_of(cell), own_pictures(cell), cell.normalisation) if protocol_of(cell).public else None


def _pictures(cell: Cell, indexes: Indexes, device: torch.device) -> Labelled:
    own = labelled(pool_of(cell), indexes, cell.normalisation)
    return Labelled(own.images.to(device), own.labels.to(device))
