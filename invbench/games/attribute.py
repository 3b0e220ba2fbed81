"""Game `attribute`: infer one attribute of a person from a model's output and the person's other attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream, stream
from invbench.data import Dataset
from invbench.data._table import Table
from invbench.games import Deal, Game, Scores
from invbench.models import TableModel
from invbench.observation import AttributeGuess, AttributeObservation, AttributePublic
from invbench.registry import game
from invbench.scoring.computing import computed


@game(data="table", axes=("attack", "model"))
@dataclass(frozen=True, kw_only=True)
class Attribute(Game[AttributePublic, AttributeObservation, AttributeGuess]):
    """A person's sensitive attribute from a model's output and the person's other attributes.

    Targets are people: the `targets` from number `offset` on. A model of this game draws an `output` from
    attributes and a generator, and states its `log_likelihood`.
    """

    def unsupported(self, cell: Cell) -> str | None:
        if cell.dataset.part.facts["data"] != "table":
            return f"needs a data set of people's attributes; {cell.dataset.name} holds none"
        if cell.model.part.facts["data"] != "table":
            return f"needs a model of people's attributes; {cell.model.name} takes images"
        wanted, there = cell.offset + cell.targets, len(_table(cell).people)
        if there < wanted:
            return f"needs {wanted} people ({cell.targets} from number {cell.offset} on), the data set has {there}"
        return None

    def public(self, cell: Cell) -> AttributePublic:
        """What everybody knows before any output is seen."""
        table = _table(cell)
        return AttributePublic(
            model=cell.model.short,
            sensitive=table.sensitive,
            values=table.values,
            background=table.background,
            prior=table.prior,
        )

    def deal(self, cell: Cell, device: torch.device) -> AttributeDeal:
        """Draw everybody's output; computed on the CPU whatever the device."""
        table, public = _table(cell), self.public(cell)
        people = range(cell.offset, cell.offset + cell.targets)
        truth = [public.values.index(table.people[i][public.sensitive]) for i in people]
        notes = list(table.notes)
        absent = [value for k, value in enumerate(public.values) if truth.count(k) < 2]
        if absent:
            notes.append(f"macro_auc leaves out what fewer than two of these people have: {', '.join(absent)}")
        return AttributeDeal(
            public=public,
            observations=tuple(_observe(cell, public, table.people[i], i) for i in people),
            people=tuple(people),
            truth=np.array(truth, dtype=np.int64),
            told=tuple(notes),
        )


@dataclass(frozen=True, eq=False)
class AttributeDeal(Deal[AttributeObservation, AttributeGuess]):
    """One cell's observations, and the truth `(N,)` that scores the answers (indexes into `public.values`)."""

    public: AttributePublic
    observations: tuple[AttributeObservation, ...]
    people: tuple[int, ...]
    truth: npt.NDArray[np.int64]
    told: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        return self.told

    def score(self, answers: Sequence[AttributeGuess]) -> Scores:
        """`accuracy` 0 or 1 a person (of equal probabilities the first value counts); `macro_auc` by jackknife.

        The mean of `macro_auc` over people is the cell's macro AUC, one value against the rest; empty where
        it is undefined.
        """
        found = computed("attribute", {"probabilities": self._matrix(answers), "truth": self.truth})
        return {metric: [[value] for value in values] for metric, values in found.items()}

    def controls(self) -> dict[str, Scores]:
        """Answers that read no output: the prior's `mode`, and `imputation` from the person's own group."""
        prior, sensitive = self.public.prior, self.public.sensitive
        everybody = self._guess(prior.marginal(sensitive))
        own_group = [self._guess(prior.table[sensitive][seen.attributes[prior.group]]) for seen in self.observations]
        return {
            "mode": self.score([everybody] * len(self.observations)),
            "imputation": self.score(own_group),
        }

    def arrays(self, answers: Sequence[AttributeGuess]) -> dict[str, npt.NDArray[Any]]:
        """`probabilities` (N, K), `values` (K,) in their order, `truth` (N,), `output` (N,), `people` (N,)."""
        return {
            "probabilities": self._matrix(answers),
            "values": np.array(self.public.values),
            "truth": self.truth,
            "output": np.array([seen.output for seen in self.observations]),
            "people": np.array(self.people),
        }

    def _guess(self, probabilities: Mapping[Any, float]) -> AttributeGuess:
        return AttributeGuess(probabilities=tuple(probabilities[value] for value in self.public.values))

    def _matrix(self, answers: Sequence[AttributeGuess]) -> npt.NDArray[np.float64]:
        shape = (len(self.truth), len(self.public.values))
        rows = [np.asarray(guess.probabilities, dtype=np.float64) for guess in answers]
        if len(rows) != shape[0] or any(row.shape != shape[1:] or not np.isfinite(row).all() for row in rows):
            raise ValueError(f"need {shape[0]} guesses of {shape[1]} finite probabilities each")
        return np.stack(rows)


def _table(cell: Cell) -> Table:
    return cast(Table, cell.dataset.build(Dataset).load())


def _observe(cell: Cell, public: AttributePublic, person: Mapping[str, Any], number: int) -> AttributeObservation:
    model = cell.model.build(TableModel)
    return AttributeObservation(
        public=public,
        attributes={name: person[name] for name in public.background},
        output=model.output(person, numpy_stream(cell.seed, "attribute", number)),
        model=model,
        generator=stream(cell.seed, "attack", cell.attack.key, number),
    )
