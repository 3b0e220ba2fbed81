"""Game `attribute`: infer one attribute of a person from a model's output and the person's other attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.randomness import numpy_stream, stream
from invbench.data._table import Table
from invbench.games import Deal, Game, Scores
from invbench.games._guessed import guess_of, left_out, matrix_of, scored
from invbench.games._people import counted, imputed, split, unseen
from invbench.games._released import STAGES, release_of, table_of, trained, why_unplayable
from invbench.models import TableModel
from invbench.observation import AttributeGuess, AttributeObservation, AttributePublic, CountedPrior
from invbench.registry import game


@game(data="table", axes=("attack", "model", "defense"), protocol="release", later=("defense", "protocol"))
@dataclass(frozen=True, kw_only=True)
class Attribute(Game[AttributePublic, AttributeObservation, AttributeGuess]):
    """A person's sensitive attribute from a model's output and the person's other attributes.

    Targets are people: the `targets` from number `offset` on. A published model draws an `output` from attributes and
    a generator, and states its `log_likelihood`. Of a table with a target a model is trained on three quarters of the
    rows, by the cell's seed; targets are the rows held out (or, by protocol, those that trained it), and what is seen
    of a person is the target in his row.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        return why_unplayable(cell)

    def public(self, cell: Cell) -> AttributePublic:
        """What everybody knows before any output is seen."""
        table, release = table_of(cell), release_of(cell)
        return AttributePublic(
            model=cell.model.short,
            sensitive=table.sensitive,
            values=table.values,
            background=tuple(name for name in table.background if name not in (release.unknown or ())),
            prior=table.prior,
            leaf_counts=release.access == "leaf-counts",
        )

    def deal(self, cell: Cell, device: torch.device) -> AttributeDeal:
        """Draw everybody's output, or train the model; computed on the CPU whatever the device."""
        table, public, chosen = table_of(cell), self.public(cell), slice(cell.offset, cell.offset + cell.targets)
        notes = list(table.notes)
        if table.target is None:
            people = list(range(len(table.people)))[chosen]
            seen = [_of_published(cell, public, table.people[i], i) for i in people]
            blind = None
        else:
            training, held_out = split(len(table.people), cell.seed)
            people = (training if release_of(cell).people == "training" else held_out)[chosen]
            model, prior = trained(cell, table, training), counted(table, training)
            seen = [_of_trained(cell, public, table, i, model, prior) for i in people]
            blind = imputed(table, training, public.background, people)
            notes += unseen(table, training, people)
        truth = [public.values.index(table.people[i][public.sensitive]) for i in people]
        notes += left_out(public.values, truth)
        return AttributeDeal(
            public=public,
            observations=tuple(seen),
            people=tuple(people),
            truth=np.array(truth, dtype=np.int64),
            told=tuple(notes),
            errors=np.array([_error(one, table.people[i]) for one, i in zip(seen, people, strict=True)]),
            classified=blind,
        )


@dataclass(frozen=True, eq=False)
class AttributeDeal(Deal[AttributeObservation, AttributeGuess]):
    """One cell's observations, and the truth `(N,)` that scores the answers (indexes into `public.values`).

    `errors` `(N,)`: how far the model's own prediction is from each person's output, NaN where it makes none.
    `classified`: what a classifier says of each person without the model, None where no rows trained one.
    """

    public: AttributePublic
    observations: tuple[AttributeObservation, ...]
    people: tuple[int, ...]
    truth: npt.NDArray[np.int64]
    told: tuple[str, ...]
    errors: npt.NDArray[np.float64]
    classified: Sequence[Mapping[Any, float]] | None

    @property
    def notes(self) -> tuple[str, ...]:
        return self.told

    def score(self, answers: Sequence[AttributeGuess]) -> Scores:
        """`accuracy` 0 or 1 a person (of equal probabilities the first value counts); `macro_auc` by jackknife.

        The mean of `macro_auc` over people is the cell's macro AUC, one value against the rest; empty where
        it is undefined. `error`: of the model's own prediction of the person, what a defence costs.
        """
        return self._scored(answers, {"errors": self.errors})

    def controls(self) -> dict[str, Scores]:
        """Answers that read no output.

        The prior's `mode`; `imputation`, the same prior given the person's known attributes; and, where rows trained
        the model, a `classifier` that was trained on the same rows' known attributes.
        """
        sensitive, guess = self.public.sensitive, partial(guess_of, self.public.values)
        everybody = guess(self.observations[0].prior.marginal(sensitive))
        own_group = [guess(seen.prior.given(sensitive, seen.attributes)) for seen in self.observations]
        found = {"mode": self._scored([everybody] * len(own_group)), "imputation": self._scored(own_group)}
        if self.classified is not None:
            found["classifier"] = self._scored([guess(said) for said in self.classified])
        return found

    def _scored(self, answers: Sequence[AttributeGuess], also: Mapping[str, object] | None = None) -> Scores:
        return scored("attribute", matrix_of(answers, self.truth, self.public.values), self.truth, also)

    def arrays(self, answers: Sequence[AttributeGuess]) -> dict[str, npt.NDArray[Any]]:
        """`probabilities` (N, K), `values` (K,) in their order, `truth` (N,), `output` (N,), `people` (N,)."""
        return {
            "probabilities": matrix_of(answers, self.truth, self.public.values),
            "values": np.array(self.public.values),
            "truth": self.truth,
            "output": np.array([seen.output for seen in self.observations]),
            "people": np.array(self.people),
        }


def _of_published(cell: Cell, public: AttributePublic, person: Mapping[str, Any], number: int) -> AttributeObservation:
    model = cell.model.build(TableModel)
    return AttributeObservation(
        public=public,
        attributes={name: person[name] for name in public.background},
        output=model.output(person, numpy_stream(cell.seed, "attribute", number)),
        model=model,
        generator=stream(cell.seed, "attack", cell.attack.key, number),
    )


def _of_trained(
    cell: Cell, public: AttributePublic, table: Table, number: int, model: TableModel, prior: CountedPrior
) -> AttributeObservation:
    person = table.people[number]
    return AttributeObservation(
        public=public,
        attributes={name: person[name] for name in public.background},
        output=person[table.target or ""],
        model=model,
        counted=prior,
        generator=stream(cell.seed, "attack", cell.attack.key, number),
    )


def _error(seen: AttributeObservation, person: Mapping[str, Any]) -> float:
    return cast(TableModel, seen.model).error(seen.output, person)
