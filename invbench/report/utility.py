"""What a cell's defences cost in use, from the federated trainings beside it: over the seeds that the matrix has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from invbench.numbers.statistics import Summary, summarise
from invbench.report.tables import facts, table, text
from invbench.store import Results
from invbench.store.utility import UtilityRecord, utilities

COLUMNS = ("accuracy_mean", "accuracy_std", "accuracy_ci_low", "accuracy_ci_high", "seconds_a_round", "message_bytes")
"""Of `summary.csv`, each behind `utility_`."""


@dataclass(frozen=True)
class Cost:
    """One defence's trainings, a seed each. `accuracy`: a share; its units are seeds, of which one has no interval.

    `seconds`, `message_bytes`: of a round, means over seeds; the numbers are None where no training ended.
    """

    records: tuple[UtilityRecord, ...]
    accuracy: Summary | None
    seconds: float | None
    message_bytes: float | None

    @property
    def row(self) -> list[float | None]:
        """The values of COLUMNS."""
        found = self.accuracy
        spread = [None] * 4 if found is None else [found.mean, found.std, found.ci_low, found.ci_high]
        return [*spread, self.seconds, self.message_bytes]

    @property
    def why_none(self) -> str:
        """Why there are no numbers, in words."""
        reasons = dict.fromkeys(f"{one.status}: {one.reason}" for one in self.records if one.status != "ok")
        return "; ".join(reasons)


def costs(results: Results) -> dict[str, Cost]:
    """What each planned cell's defences cost, by cell; nothing where the matrix asks for no utility or has none yet."""
    found = utilities(results)
    groups: dict[str, dict[str, UtilityRecord]] = {}
    keys = dict[str, str]()
    for record in found.values():
        if record.id not in keys:
            keys[record.id] = json.dumps({**record.settings, "seed": None}, sort_keys=True)
            groups.setdefault(keys[record.id], {})[record.id] = record
    of_group = {
        k: _cost(sorted(of.values(), key=lambda one: str(one.names["seed"]).zfill(20))) for k, of in groups.items()
    }
    return {cell: of_group[keys[record.id]] for cell, record in found.items()}


def _cost(records: Sequence[UtilityRecord]) -> Cost:
    ended = [one for one in records if one.status == "ok"]
    accuracy = summarise([[one.accuracy] for one in ended])
    seconds = [one.seconds["round"] for one in ended if "round" in one.seconds]
    sent = [one.message_bytes for one in ended if one.message_bytes is not None]
    return Cost(
        records=tuple(records),
        accuracy=None if accuracy is None else accuracy.within(0.0, 1.0),
        seconds=sum(seconds) / len(seconds) if seconds else None,
        message_bytes=sum(sent) / len(sent) if sent else None,
    )


def cost_page(cost: Cost) -> str:
    """A cell's utility for `invbench show`: a row a seed, the numbers over all, what was trained and what it says."""
    header = ["seed", "training", "accuracy", "held out", "rounds", "clients", "s a round", "bytes a message"]
    rows = [
        [
            *(str(one.names["seed"]), one.id[:8], percent(one.accuracy), _plain(one.held_out), _plain(one.rounds)),
            *(_plain(one.clients), seconds(one.seconds.get("round")), _plain(one.message_bytes)),
        ]
        if one.status == "ok"
        else [str(one.names["seed"]), one.id[:8], text(f"{one.status}: {one.reason}"), *[""] * 5]
        for one in cost.records
    ]
    parts = [table(header, rows, right=frozenset(range(2, len(header))))]
    if cost.accuracy is not None and cost.accuracy.units > 1:
        parts.append(f"Accuracy over {cost.accuracy.units} seeds: {spread(cost.accuracy)}.")
    parts.append(facts(cost.records[0].settings["utility"]))
    notes = dict.fromkeys(note for one in cost.records for note in one.notes)
    return "\n\n".join([*parts, *(["\n".join(f"- {text(note)}" for note in notes)] if notes else [])])


def spread(accuracy: Summary) -> str:
    """`92.1 % [90.0, 94.2]`, without an interval where one seed has it."""
    if accuracy.ci_low is None or accuracy.ci_high is None:
        return percent(accuracy.mean)
    return f"{percent(accuracy.mean)} [{100 * accuracy.ci_low:.1f}, {100 * accuracy.ci_high:.1f}]"


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"
