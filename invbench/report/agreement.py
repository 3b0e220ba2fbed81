"""What a rate is worth, and who catches whom: the items that attacks find at one false positive rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from invbench.numbers.ranking import TruePositiveRate, precision
from invbench.numbers.sheet import GameSheet
from invbench.report.figures import Figures
from invbench.report.naming import labels
from invbench.report.sections import grouped
from invbench.report.tables import code, table, text
from invbench.store import Results

MOST_ATTACKS, MOST_ITEMS, MOST_TABLES = 16, 12, 8
"""Of a table, and of a report: what a page can show."""
SHARES = (0.01, 0.1, 0.5)
"""Members among all who are asked about: in tests of attacks half are, outside of them few."""
ALIKE = ("game", "dataset", "model", "batch_size", "defense", "protocol", "seed")
"""What cells have in common whose attacks are asked about the same items."""


@dataclass(frozen=True, eq=False)
class Caught:
    """Of one attack: which members are above its threshold, which others are, and who is a member, `(targets, items)`
    each."""

    attack: str
    found: npt.NDArray[np.bool_]
    false: npt.NDArray[np.bool_]
    member: npt.NDArray[np.bool_]


def agreements(results: Results, figures: Sequence[Figures]) -> list[str]:
    """A section for each group of cells that differ in their attack alone, where their game's sheet names a rate."""
    parts = list[str]()
    for cells in grouped(figures, lambda one: tuple(one.record.names[axis] for axis in ALIKE)).values():
        statistic = _rate(cells[0].sheet)
        if statistic is not None and len(parts) < MOST_TABLES:
            caught = [*_caught(results, cells[:MOST_ATTACKS], statistic)]
            if _read_or_unknown(cells) and any(one.found.any() for one in caught):
                parts.append(_section(cells[0], caught, statistic))
    return parts


def _read_or_unknown(cells: Sequence[Figures]) -> bool:
    """Whether any of the cells surely read something, or none has controls to say so: chance catches somebody, too."""
    return any(one.shown is not None for one in cells) or not any(one.evidence for one in cells)


def _rate(sheet: GameSheet) -> TruePositiveRate | None:
    statistic = sheet.column(sheet.said.caught).statistic if sheet.said.caught in sheet.by_name else None
    return statistic if isinstance(statistic, TruePositiveRate) else None


def _caught(results: Results, cells: Sequence[Figures], statistic: TruePositiveRate) -> Iterator[Caught]:
    """What each attack finds; cells without a value, and those of other items than the first, are left out."""
    first: npt.NDArray[np.bool_] | None = None
    names = labels(one.record.names["attack"] for one in cells)
    for cell in cells:
        record = results.record(cell.record.id)
        if record is None or any(name not in record.scores for name in statistic.inputs):
            continue
        score, member = (_matrix(record.scores[name]) for name in statistic.inputs)
        if score is None or member is None or statistic.why_empty([score.ravel(), member.ravel()]) is not None:
            continue
        first = member != 0 if first is None else first
        if np.array_equal(first, member != 0):
            above = statistic.flagged(score.ravel(), member.ravel()).reshape(member.shape)
            found, false = above & (member != 0), above & (member == 0)
            yield Caught(names[cell.record.names["attack"]], found, false, first)


def _matrix(scores: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64] | None:
    """Scores of targets with equally many items, all of them there."""
    if len({len(target) for target in scores}) != 1 or any(value is None for target in scores for value in target):
        return None
    return np.array(scores, dtype=np.float64)


def _section(cell: Figures, caught: Sequence[Caught], statistic: TruePositiveRate) -> str:
    names, item = cell.record.names, cell.sheet.said.item
    where = ", ".join(text(str(names[axis])) for axis in ("dataset", "model", "defense") if names[axis] is not None)
    parts = [
        f"### Found at a false positive rate of {statistic.at:.0%}: {where}, seed {names['seed']}",
        "How many members each attack finds, and how often a positive is one where members are so many of all who are"
        " asked about.",
        _worth(caught, statistic.at),
    ]
    if len(caught) > 1:
        parts += [
            "Who catches whom: the members that two attacks both find.",
            _pairs(caught),
            f"The {item.many} that are found most often: in how many of the targets of which each is a member; and how"
            " often each is flagged where it is none, by all attacks together.",
            _items(caught, item.one),
        ]
    return "\n\n".join(parts)


def _worth(caught: Sequence[Caught], false: float) -> str:
    header = ["attack", "found", *(f"right where {share:.0%} are members" for share in SHARES)]
    rows = []
    for one in caught:
        found, members = int(one.found.sum()), int(one.member.sum())
        right = [f"{precision(found / members, false, share):.0%}" for share in SHARES]
        rows.append([code(one.attack), f"{found} of {members}", *right])
    return table(header, rows, right=frozenset(range(1, len(header))))


def _pairs(caught: Sequence[Caught]) -> str:
    header = ["attack", *(code(one.attack) for one in caught)]
    rows = [[code(one.attack), *(str(int((one.found & two.found).sum())) for two in caught)] for one in caught]
    return table(header, rows, right=frozenset(range(1, len(header))))


def _items(caught: Sequence[Caught], item: str) -> str:
    total = np.sum([one.found.sum(axis=0) for one in caught], axis=0)
    members = caught[0].member.sum(axis=0)
    header = [text(item), *(code(one.attack) for one in caught), "flagged when not a member"]
    targets = len(caught[0].member)
    false = np.sum([one.false.sum(axis=0) for one in caught], axis=0)
    order = [int(k) for k in np.argsort(-total, kind="stable")[:MOST_ITEMS] if total[k]]
    rows = [
        [
            str(k),
            *(f"{int(one.found[:, k].sum())} of {members[k]}" for one in caught),
            f"{int(false[k])} of {len(caught) * (targets - int(members[k]))}",
        ]
        for k in order
    ]
    return table(header, rows, right=frozenset(range(1, len(header))))
