"""Game `update-attribute`: one attribute of a person whose row is behind one round's update.

Lyu and Chen 2021 (arXiv 2108.06910). A game of its own beside `attribute`: there a model is released, of which
everybody may ask; here a server holds one update of weights that it dealt, so stages, clients and victims are those of
game `update`, and the model is a network that clients train on rows of a table.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.data._table import Table
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._batches import named_defenses, protocol_of
from invbench.games._guaranteed import Guaranteed, of_round
from invbench.games._guessed import guess_of, left_out, matrix_of, scored
from invbench.games._observing import in_mode, observe, reruns_on_noise
from invbench.games._rows import (
    ROW_STAGES,
    Prior,
    batch_about,
    candidates_of,
    classified,
    known_of,
    own_rows,
    prior_of,
    rows_of,
    why_no_rows,
    why_uncountable,
)
from invbench.games.update import UpdateGame
from invbench.observation import AttributeGuess, Public, UpdateAttributeObservation
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

GAME = "update-attribute"


@game(data="table", axes=("attack", "model", "defense"), protocol="fedsgd", protocols_of=("update",))
@dataclass(frozen=True, kw_only=True)
class UpdateAttribute(Game[Public, UpdateAttributeObservation, AttributeGuess]):
    """A person's sensitive attribute from the update of a batch that holds the person's row.

    Targets are people whose rows train no victim: the `targets` from number `offset` on, each in a round of its own,
    the first of the first client's batch. The attacker knows the person's other attributes (`background` of the data
    set) and, where the protocol grants labels, those of the batch; the other rows of the batch are drawn by the seed
    and nothing is known of them.
    """

    stages = ROW_STAGES

    def unsupported(self, cell: Cell) -> str | None:
        return why_no_rows(cell) or why_uncountable(cell)

    def public(self, cell: Cell) -> Public:
        """What everybody knows before an update is seen: as in game `update`, with rows that nobody is asked about."""
        own, pool = own_rows(cell)[: protocol_of(cell).public], rows_of(cell)
        reference = labelled(pool, own, pool.normalisation) if len(own) else None
        return replace(UpdateGame().public(cell), reference=reference)

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return victim_artefacts(cell)

    def deal(self, cell: Cell, device: torch.device) -> UpdateAttributeDeal:
        """Build the victim, then play a round about each person."""
        public = self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        made = victim(cell).to(device)
        buffers = buffers_of(made)
        network = in_mode(made, protocol_of(cell))
        prior, pool, seen, people = prior_of(cell), rows_of(cell), list[UpdateAttributeObservation](), list[int]()
        for index in range(cell.targets):
            batch = batch_about(cell, cell.offset + index)
            people.append(int(batch.indexes[0]))
            of_round = observe(cell, public, network, None, batch, index, device, buffers)
            known = candidates_of(cell, prior, pool.table.people[people[-1]])
            told = known.rows.to(device), known.value.to(device), known.prior.to(device)
            seen.append(UpdateAttributeObservation.of(of_round, pool.table.values, *told))
        return UpdateAttributeDeal(cell=cell, observations=tuple(seen), people=tuple(people), prior=prior)

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[UpdateAttributeObservation]]:
        """`noise`, in the update's place."""
        return reruns_on_noise(cell, lambda bare, device: self.deal(bare, device).observations)


@dataclass(frozen=True, eq=False)
class UpdateAttributeDeal(Deal[UpdateAttributeObservation, AttributeGuess]):
    """One cell's rounds, and behind the wall whom they are about: `people`, numbers of rows."""

    cell: Cell
    observations: tuple[UpdateAttributeObservation, ...]
    people: tuple[int, ...]
    prior: Prior

    def score(self, answers: Sequence[AttributeGuess]) -> Scores:
        """`accuracy` 0 or 1 a person; `macro_auc` by jackknife, as in game `attribute`."""
        return scored(GAME, matrix_of(answers, self._truth, self._table.values), self._truth)

    def controls(self) -> dict[str, Scores]:
        """Answers that read no update: the prior's `mode`; `imputation`, the prior given the person's known attributes;
        `classifier`, a logistic regression on these, and on the label where it is granted.
        """
        sensitive, guess = self._table.sensitive, partial(guess_of, self._table.values)
        known = [known_of(self.cell, self._table.people[row]) for row in self.people]
        said = {
            "mode": [guess(self.prior.marginal(sensitive))] * len(known),
            "imputation": [guess(self.prior.given(sensitive, one)) for one in known],
            "classifier": [guess(one) for one in classified(self.cell, list(self.people))],
        }
        return {name: self.score(answers) for name, answers in said.items()}

    def limits(self) -> Scores:
        """`epsilon`: what the defences guarantee of one round."""
        return self._guaranteed.limits(self.cell)

    def arrays(self, answers: Sequence[AttributeGuess]) -> dict[str, npt.NDArray[Any]]:
        """`probabilities` (N, K), `values` (K,) in their order, `truth` (N,), `people` (N,): numbers of rows."""
        return {
            "probabilities": matrix_of(answers, self._truth, self._table.values),
            "values": np.array(self._table.values),
            "truth": self._truth,
            "people": np.array(self.people),
        }

    @cached_property
    def notes(self) -> tuple[str, ...]:
        cell = self.cell
        found = [*rows_of(cell).notes, *stack_of(cell).round_notes(protocol_of(cell).clients)]
        found += left_out(self._table.values, self._truth.tolist())
        if model_of(cell).trained:
            found += training_notes(cell, usual_training(cell))
        return (*found, *self._guaranteed.notes)

    @cached_property
    def _guaranteed(self) -> Guaranteed:
        protocol = protocol_of(self.cell)
        return of_round(named_defenses(self.cell), (), protocol.rounds, protocol.batch_statistics)

    @property
    def _table(self) -> Table:
        return rows_of(self.cell).table

    @cached_property
    def _truth(self) -> npt.NDArray[np.int64]:
        """The number of each person's value `(N,)`."""
        table = self._table
        values = [table.values.index(table.people[row][table.sensitive]) for row in self.people]
        return np.array(values, dtype=np.int64)
