"""One part of benchmarks/membership.py: every attack on the victims of one model, data set and seed.

The shadow models of the largest number are trained once; fewer are the first of them, which come in pairs, so that each
candidate is in half of any even number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from _raw import Kept, Name, Revision
from scipy.stats import spearmanr

from invbench.cell import Cell
from invbench.core.artefacts import fetch
from invbench.core.attack import Attack
from invbench.games import Scores, game_of
from invbench.games._candidates import split_of
from invbench.matrix import load
from invbench.numbers.whole_cell import Statistic, estimate, paired, value
from invbench.play.preparing import preparations
from invbench.sheets import sheet_of

ATTACKS = {
    "loss-threshold": "name: loss-threshold",
    "shadow": "name: shadow",
    "lira,fixed": "name: lira, variance: fixed",
    "lira,per-example": "name: lira, variance: per-example",
    "lira,bayesian": "name: lira, variance: bayesian",
    "lira,offline": "name: lira, mode: offline",
    "lira,offline,bayesian": "name: lira, mode: offline, variance: bayesian",
    "rmia": "name: rmia",
    "rmia,offline": "name: rmia, mode: offline",
    "base": "name: base",
    "rmia,matched": "name: rmia, gamma: 1.0",
}
MATRIX = """\
dataset: {data}
targets: {targets}
seed: {seed}
grid:
  attack: [{attacks}]
  model: [{model}]
  defense: [none]
  protocol: [{{name: released, epochs: {epochs}, pictures: {pictures}}}]
"""
FIRST, LIRA = "loss-threshold", "lira,fixed"
MATCHED = ("base", "rmia,matched")
AT = 16
"""Shadows at which parts are compared, or the most that all of them have."""

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Case(Kept, frozen=True):
    """One attack. `tpr`: at a false positive rate of 1 %; `above`, `over_lira`: what that is above the global
    threshold's and above LiRA's with one variance, paired; `balanced`: accuracy; `unseen`: AUC on victims that saw no
    candidate. Intervals are of 95 %, both their ends."""

    attack: Name
    shadows: int
    auc: float
    balanced: float
    tpr: float
    tpr_interval: list[float]
    above: list[float]
    over_lira: list[float]
    unseen: float
    unseen_interval: list[float]


class Matched(Kept, frozen=True):
    """Spearman's correlation of BASE and RMIA with gamma 1 over a victim's candidates, the least of all victims."""

    shadows: int
    spearman: float


class Part(Kept, frozen=True):
    """`ids`: of the cells with most shadows. Accuracies: means over victims on their members and the other candidates.

    `exposed`: the pictures that are members of some victim, from that on of which LiRA is surest, with `AT` shadows or,
    where there are fewer, with all.
    `revision`: the commit that it was measured at, None for the table's own."""

    model: Name
    data: Name
    seed: int
    ids: list[Id]
    member_accuracy: float
    other_accuracy: float
    cases: list[Case]
    matched: list[Matched]
    exposed: list[int]
    revision: Revision | None = None


@dataclass(frozen=True)
class Asked:
    """What a part is of; `shadows`: how many, in rising order; `model` and `text` (of the data) as in a matrix."""

    name: str
    data: str
    text: str
    model: str
    seed: int
    shadows: Sequence[int]
    targets: int = 3
    epochs: int = 30
    pictures: int | None = None
    attacks: Mapping[str, str] = field(default_factory=lambda: ATTACKS)


def measure(asked: Asked) -> Part:
    """Every attack with every number of shadows; one that fails ends the benchmark."""
    cells = cells_of(asked, asked.shadows[-1])
    shadows = fetch(preparations(cells[FIRST])["shadows"])
    cases, matched, exposed = list[Case](), list[Matched](), list[int]()
    for count in asked.shadows:
        few = {key: value[:count] for key, value in shadows.items()}
        played = {name: _played(cell, few) for name, cell in cells_of(asked, count).items()}
        of_count = [_case(name, count, played) for name in played]
        print(asked.data, asked.seed, count, *(f"{case.attack} {case.tpr:.3f}" for case in of_count), flush=True)
        cases += of_count
        matched.append(Matched(count, _least_correlation(*(played[name][0]["score"] for name in MATCHED))))
        if count == min(AT, asked.shadows[-1]):
            exposed = most_exposed(played[LIRA][0], split_of(cells[LIRA]).candidates)
    return Part(
        model=asked.name,
        data=asked.data,
        seed=asked.seed,
        ids=[cell.id for cell in cells.values()],
        **_accuracy(cells[FIRST]),
        cases=cases,
        matched=matched,
        exposed=exposed,
    )


def cells_of(asked: Asked, shadows: int) -> dict[str, Cell]:
    """The cell of each attack with so many shadows."""
    attacks = ", ".join(f"{{{text}, shadows: {shadows}}}" for text in asked.attacks.values())
    words = {"data": asked.text, "targets": asked.targets, "seed": asked.seed, "model": asked.model}
    words |= {"epochs": asked.epochs, "pictures": "null" if asked.pictures is None else asked.pictures}
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cells.yaml"
        matrix.write_text(MATRIX.format(attacks=attacks, **words))
        return dict(zip(asked.attacks, load(matrix).cells, strict=True))


def most_exposed(scores: Scores, candidates: npt.NDArray[np.int64]) -> list[int]:
    """The pictures that any victim saw, those of the highest mean score over the victims that saw them first."""
    member, score = (np.array(scores[name], dtype=np.float64) for name in ("member", "score"))  # (targets, N)
    times = member.sum(axis=0)
    seen = times > 0
    mean = (score * member).sum(axis=0)[seen] / times[seen]
    pictures: list[int] = candidates[seen][np.argsort(-mean, kind="stable")].tolist()
    return pictures


def agreement(one: Sequence[int], two: Sequence[int]) -> tuple[int, float, float]:
    """Of two seeds' pictures, the most exposed first: how many are in both, Spearman's correlation of their order, and
    the share of the first tenth of these that is in the other's first tenth, which is a tenth by chance."""
    common = set(one) & set(two)
    orders = [[picture for picture in side if picture in common] for side in (one, two)]
    places = [[order.index(picture) for picture in sorted(common)] for order in orders]
    tenth = max(1, len(common) // 10)
    both = set(orders[0][:tenth]) & set(orders[1][:tenth])
    return len(common), float(spearmanr(*places).statistic), len(both) / tenth


def _played(cell: Cell, shadows: Mapping[str, torch.Tensor]) -> tuple[Scores, Scores]:
    """The scores of the attack with these shadows on the cell's victims, and on those that saw no candidate."""
    game, device, attack = game_of(cell), torch.device("cpu"), cell.attack.build(Attack)
    deal, unseen = game.deal(cell, device), game.reruns(cell)["unseen"].observe(device)
    told = ([replace(one, prepared={"shadows": shadows}) for one in seen] for seen in (deal.observations, unseen))
    of_members, of_nobody = (deal.score(attack.attack_all(seen)) for seen in told)
    return of_members, of_nobody


def _case(attack: str, shadows: int, played: Mapping[str, tuple[Scores, Scores]]) -> Case:
    area, rate, balanced = (_statistic(name) for name in ("auc", "tpr_at_fpr_0.01", "balanced_accuracy"))
    scores, of_nobody = played[attack]
    whole, found, called = (value(one, scores).value for one in (area, rate, balanced))
    unseen, interval = estimate(area, of_nobody), estimate(rate, scores)
    above, over = (paired(rate, played[other][0], scores) for other in (FIRST, LIRA))
    if whole is None or found is None or called is None or unseen.value is None:
        raise SystemExit(f"too few candidates: {interval.why_empty or unseen.why_empty}")
    if isinstance(above, str) or isinstance(over, str):
        raise SystemExit(f"attacks cannot be paired: {above}, {over}")
    return Case(
        attack=attack,
        shadows=shadows,
        auc=whole,
        balanced=called,
        tpr=found,
        tpr_interval=[interval.ci_low, interval.ci_high],
        above=[*above.interval],
        over_lira=[*over.interval],
        unseen=unseen.value,
        unseen_interval=[unseen.ci_low, unseen.ci_high],
    )


def _statistic(column: str) -> Statistic:
    statistic = sheet_of("membership").by_name[column].statistic
    assert statistic is not None
    return statistic


def _least_correlation(one: Sequence[Any], two: Sequence[Any]) -> float:
    return min(float(spearmanr(*sides).statistic) for sides in zip(one, two, strict=True))


def _accuracy(cell: Cell) -> dict[str, float]:
    """Of the cell's victims, by the names of the game's limits."""
    limits = game_of(cell).deal(cell, torch.device("cpu")).limits()
    return {name: float(np.mean([np.mean(of) for of in targets])) for name, targets in limits.items()}
