"""Game `batch-property`: whether the batch behind one round's update has a property that no label says.

Melis, Song, De Cristofaro and Shmatikov 2019 (arXiv 1805.04049, section 4.3, a single batch). Property and label are
two columns of a table: what is predicted is one, and the batch holds a value of another or does not.
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
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._batches import named_defenses, protocol_of
from invbench.games._guaranteed import Guaranteed, of_round
from invbench.games._observing import in_mode, observe, reruns_on_noise
from invbench.games._properties import (
    LEAST_OWN,
    PropertyRound,
    askable,
    by_labels,
    holders_of,
    own_of,
    round_of,
    values_of,
)
from invbench.games._rows import ROW_STAGES, rows_of, why_no_rows
from invbench.games.update import UpdateGame
from invbench.observation import BatchPropertyObservation, PropertyGuess, Public
from invbench.protocol._batch_norm import buffers_of
from invbench.registry import game
from invbench.victims import (
    model_of,
    stack_of,
    training_notes,
    usual_training,
    victim,
    victim_artefacts,
)
from invbench.victims.pictures import labelled


@game(data="table", axes=("attack", "model", "defense"), protocol="fedsgd", protocols_of=("update",))
@dataclass(frozen=True, kw_only=True)
class BatchProperty(Game[Public, BatchPropertyObservation, PropertyGuess]):
    """Whether some of the rows behind an update have a value of the sensitive attribute, or none has.

    Each target is a round. The values that enough people have take turns, and a coin says whether a batch holds its
    value: then `property_share` of its rows have it (a setting of the protocol), else none. Nobody's row in it trains
    a victim.
    """

    stages = ROW_STAGES

    def unsupported(self, cell: Cell) -> str | None:
        if (why := why_no_rows(replace(cell, targets=1, offset=0))) is not None:
            return why
        if not protocol_of(cell).public:
            return "needs rows of the attacker's own with the property and without: give the protocol `public: NUMBER`"
        if askable(cell):
            return None
        few = f"{holders_of(cell)} of the people held out and {LEAST_OWN} of the attacker's own rows"
        return f"no value of {rows_of(cell).table.sensitive} is had by {few}, and lacked by a batch and as many"

    def public(self, cell: Cell) -> Public:
        """What everybody knows before an update is seen: as in game `update`, with rows that nobody is asked about."""
        pool = rows_of(cell)
        return replace(UpdateGame().public(cell), reference=labelled(pool, own_of(cell), pool.normalisation))

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return victim_artefacts(cell)

    def deal(self, cell: Cell, device: torch.device) -> BatchPropertyDeal:
        """Build the victim, then play every round."""
        public = self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        made = victim(cell).to(device)
        buffers = buffers_of(made)
        network = in_mode(made, protocol_of(cell))
        own, names = torch.from_numpy(values_of(cell, own_of(cell))).to(device), rows_of(cell).table.values
        rounds, seen = list[PropertyRound](), list[BatchPropertyObservation]()
        for index in range(cell.targets):
            rounds.append(round_of(cell, cell.offset + index))
            shared = observe(cell, public, network, None, rounds[-1].batch, index, device, buffers)
            asked = rounds[-1].value
            seen.append(BatchPropertyObservation.of(shared, names, asked, holders_of(cell), own.clone()))
        return BatchPropertyDeal(cell=cell, observations=tuple(seen), rounds=tuple(rounds))

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[BatchPropertyObservation]]:
        """`noise`, in the update's place."""
        return reruns_on_noise(cell, lambda bare, device: self.deal(bare, device).observations)


@dataclass(frozen=True, eq=False)
class BatchPropertyDeal(Deal[BatchPropertyObservation, PropertyGuess]):
    """One cell's rounds, and behind the wall what their batches hold."""

    cell: Cell
    observations: tuple[BatchPropertyObservation, ...]
    rounds: tuple[PropertyRound, ...]

    def score(self, answers: Sequence[PropertyGuess]) -> Scores:
        """`score` and `member` of each round; the sheet's columns are statistics of these."""
        return self._scored([answer.score for answer in answers])

    def controls(self) -> dict[str, Scores]:
        """`labels`: a classifier that is told how often each label is in the batch, granted or not."""
        if "labels" not in self.cell.controls:
            return {}
        return {"labels": self._scored(by_labels(self.cell, list(self.rounds)))}

    def _scored(self, scores: Sequence[float]) -> Scores:
        return {
            "score": [[score] for score in scores],
            "member": [[float(one.holds)] for one in self.rounds],
        }

    def limits(self) -> Scores:
        """`epsilon`: what the defences guarantee of one round."""
        return self._guaranteed.limits(self.cell)

    def arrays(self, answers: Sequence[PropertyGuess]) -> dict[str, npt.NDArray[Any]]:
        """`scores`, `member` and `asked` `(targets,)`, `rows` `(targets, pictures)`: numbers of rows."""
        return {
            "scores": np.array([answer.score for answer in answers]),
            "member": np.array([one.holds for one in self.rounds]),
            "asked": np.array([one.value for one in self.rounds]),
            "rows": np.stack([one.batch.indexes for one in self.rounds]),
        }

    @cached_property
    def notes(self) -> tuple[str, ...]:
        cell = self.cell
        table = rows_of(cell).table
        names = ", ".join(table.values[value] for value in askable(cell))
        asked = f"batches have {holders_of(cell)} with {table.sensitive} {names} in turn, or none"
        found = [*rows_of(cell).notes, asked]
        found += stack_of(cell).round_notes(protocol_of(cell).clients)
        if model_of(cell).trained:
            found += training_notes(cell, usual_training(cell))
        return (*found, *self._guaranteed.notes)

    @cached_property
    def _guaranteed(self) -> Guaranteed:
        protocol = protocol_of(self.cell)
        return of_round(named_defenses(self.cell), (), protocol.rounds, protocol.batch_statistics)
