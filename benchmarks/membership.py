"""Who finds members, with how many shadows: every attack of game `membership` at 4, 8, 16 and 32 of them.

python benchmarks/membership.py [--data cifar10-train.npz] [--seeds 3] [--targets 3]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _measure import record
from _raw import Kept, Name
from _table import Table
from scipy.stats import spearmanr

from invbench.cell import Cell
from invbench.core.artefacts import fetch
from invbench.matrix import load
from invbench.numbers.whole_cell import estimate, paired
from invbench.play.asking import artefacts
from invbench.play.outcomes import Played
from invbench.play.playing import play
from invbench.sheets import sheet_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train-4660.npz"
"""The first 932 pictures of each training batch of CIFAR-10, beside the checkout unless `--data` says where."""
SETS = {"natural": "natural", "cifar10": "{{name: npz, path: {path}}}"}
ATTACKS = {
    "loss-threshold": "{name: loss-threshold}",
    "shadow": "{name: shadow}",
    "lira,fixed": "{name: lira, variance: fixed}",
    "lira,per-example": "{name: lira, variance: per-example}",
    "lira,offline": "{name: lira, mode: offline}",
    "rmia": "{name: rmia}",
    "rmia,offline": "{name: rmia, mode: offline}",
    "base": "{name: base}",
    "rmia,matched": "{name: rmia, gamma: 1.0}",
}
MATRIX = """\
dataset: {data}
targets: {targets}
seed: {seed}
timeout: 86400
grid:
  attack: [{attack}]
  model: [{model}]
  defense: [none]
  protocol: [{{name: released, epochs: {epochs}, pictures: {pictures}}}]
"""
FIRST = "loss-threshold"
MATCHED = ("base", "rmia,matched")
EXPOSED = "lira,fixed"


class Settings(Kept, frozen=True):
    seeds: int = 3
    targets: int = 3
    epochs: int = 30
    shadows: tuple[int, ...] = (4, 8, 16, 32)
    model: Name = "lenet(activation=relu)"


class Case(Kept, frozen=True):
    """One cell. `tpr`: at a false positive rate of 1 %, with the ends of its 95 % interval; `above`: the interval of
    what that is above the global threshold's, paired; `unseen`: AUC on victims that saw no candidate, with interval."""

    data: Name
    attack: Name
    shadows: int
    seed: int
    auc: float
    tpr: list[float]
    above: list[float]
    unseen: list[float]


class Ranks(Kept, frozen=True):
    """Spearman's correlation of BASE and RMIA with gamma 1 over one victim's candidates."""

    data: Name
    shadows: int
    seed: int
    spearman: float


class Agreement(Kept, frozen=True):
    """Spearman's correlation of LiRA's scores of two seeds, over the pictures that are members in both."""

    data: Name
    shadows: int
    members: int
    spearman: float


class Samples(Kept, frozen=True):
    cases: list[Case]
    ranks: list[Ranks]
    agreements: list[Agreement]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--targets", type=int, default=3)
    said = arguments.parse_args()
    settings = Settings(seeds=said.seeds, targets=said.targets)
    sets = {name: text.format(path=said.data) for name, text in SETS.items()}
    record("membership", settings, lambda: measure(sets, settings))


def measure(
    sets: Mapping[str, str],
    settings: Settings,
    model: str = "{name: lenet, activation: relu}",
    pictures: int | None = None,
    attacks: Mapping[str, str] = ATTACKS,
) -> Samples:
    """All attacks on each data set, by seed and number of shadows; an attack that fails ends the benchmark."""
    cases, ranks, agreements = list[Case](), list[Ranks](), list[Agreement]()
    for data, text in sets.items():
        for shadows in settings.shadows:
            exposed = []
            for seed in range(settings.seeds):
                words = {"data": text, "targets": settings.targets, "seed": seed, "model": model}
                words |= {"epochs": settings.epochs, "pictures": "null" if pictures is None else pictures}
                played = {name: _played(one, shadows, words) for name, one in attacks.items()}
                first = played[FIRST].record.scores
                cases += [_case(data, name, shadows, seed, one, first) for name, one in played.items()]
                if set(MATCHED) <= played.keys():
                    one, two = (_arrays(played[name])["scores"][0] for name in MATCHED)
                    ranks.append(Ranks(data, shadows, seed, float(spearmanr(one, two).statistic)))
                exposed.append(_arrays(played[EXPOSED]))
            agreements += [_agreement(data, shadows, *pair) for pair in combinations(exposed, 2)]
    return Samples(cases, ranks, agreements)


def _played(attack: str, shadows: int, words: Mapping[str, Any]) -> Played:
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(attack=attack.replace("}", f", shadows: {shadows}}}"), **words))
        [cell] = load(matrix).cells
    return _made(cell)


def _made(cell: Cell) -> Played:
    for artefact in artefacts(cell):
        fetch(artefact)
    played = play(cell, "cpu")
    if played.record.status != "ok":
        raise SystemExit(f"{cell.attack.short}: {played.record.reason}")
    return played


def _arrays(played: Played) -> Mapping[str, Any]:
    assert played.arrays is not None
    return played.arrays


def _case(data: str, attack: str, shadows: int, seed: int, played: Played, first: Any) -> Case:
    columns, scores = sheet_of("membership").by_name, played.record.scores
    area, rate = columns["auc"].statistic, columns["tpr_at_fpr_0.01"].statistic
    assert area is not None
    assert rate is not None
    whole, found, unseen = (
        estimate(area, scores),
        estimate(rate, scores),
        estimate(area, played.record.controls["unseen"]),
    )
    pair = paired(rate, first, scores)
    if whole.value is None or found.value is None or unseen.value is None or isinstance(pair, str):
        raise SystemExit(f"{data} has too few candidates: {found.why_empty or pair}")
    return Case(
        data=data,
        attack=attack,
        shadows=shadows,
        seed=seed,
        auc=whole.value,
        tpr=[found.value, found.ci_low, found.ci_high],
        above=[pair.interval[0], pair.interval[1]],
        unseen=[unseen.value, unseen.ci_low, unseen.ci_high],
    )


def _agreement(data: str, shadows: int, one: Mapping[str, Any], two: Mapping[str, Any]) -> Agreement:
    """Of each seed's first victim: who is a member in both, and whether LiRA is as sure of the same ones."""
    scores = [dict(zip(side["candidates"][m], side["scores"][0][m], strict=True)) for side, m in _members(one, two)]
    common = sorted(scores[0].keys() & scores[1].keys())
    both = [[side[index] for index in common] for side in scores]
    return Agreement(data, shadows, len(common), float(spearmanr(*both).statistic))


def _members(*sides: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Any]]:
    return ((side, np.asarray(side["member"][0])) for side in sides)


def answer(settings: Settings, samples: Samples) -> Table:
    names = list(dict.fromkeys((case.data, case.attack) for case in samples.cases))
    return Table(
        title="Who finds members, with how many shadows?",
        question=f"True positive rate at a false positive rate of 1 %, mean of {settings.seeds} seeds of "
        f"{settings.targets} victims each, by the number of shadow models; AUC with the most of them; in how many "
        "seeds that rate is above the global threshold's, outside the paired 95 % interval, with the most of them; and "
        f"the AUC on victims that saw no candidate. {settings.model}, {settings.epochs} epochs, half of the pictures "
        "candidates.",
        command="python benchmarks/membership.py",
        columns=["data", "attack", *map(str, settings.shadows), "AUC", "above the threshold", "unseen"],
        rows=[_row(settings, [case for case in samples.cases if (case.data, case.attack) == name]) for name in names],
        text=[*_orders(settings, samples), *_said(samples)],
    )


def _row(settings: Settings, cases: Sequence[Case]) -> list[str]:
    by_count = {count: [case for case in cases if case.shadows == count] for count in settings.shadows}
    most = by_count[settings.shadows[-1]]
    above = sum(case.above[0] > 0 for case in most)
    return [
        cases[0].data,
        cases[0].attack,
        *(f"{statistics.mean(case.tpr[0] for case in of):.3f}" for of in by_count.values()),
        f"{statistics.mean(case.auc for case in most):.3f}",
        f"{above} of {len(most)}",
        f"{statistics.mean(case.unseen[0] for case in most):.3f}",
    ]


def _orders(settings: Settings, samples: Samples) -> Iterator[str]:
    """The attacks in order of their rate, for each data set and number of shadows."""
    for data in dict.fromkeys(case.data for case in samples.cases):
        for count in settings.shadows:
            rates: dict[str, list[float]] = {}
            for case in samples.cases:
                if (case.data, case.shadows) == (data, count):
                    rates.setdefault(case.attack, []).append(case.tpr[0])
            order = sorted(rates, key=lambda name: -statistics.mean(rates[name]))
            yield f"{data}, {count} shadows: {', '.join(f'{n} {statistics.mean(rates[n]):.3f}' for n in order)}."


def _said(samples: Samples) -> Iterator[str]:
    if samples.ranks:
        least = min(one.spearman for one in samples.ranks)
        yield f"BASE and RMIA with gamma 1 agree in ranks: Spearman at least {least:.5f}."
    if samples.agreements:
        values = [one.spearman for one in samples.agreements]
        members = min(one.members for one in samples.agreements)
        yield (
            f"Two seeds agree on who is exposed by a Spearman correlation of {min(values):.2f} to {max(values):.2f}, "
            f"over the {members} or more pictures that are members in both."
        )
    inside = sum(case.unseen[1] <= 0.5 <= case.unseen[2] for case in samples.cases)
    yield f"On victims that saw no candidate the AUC's interval holds 0.5 in {inside} of {len(samples.cases)} cells."


if __name__ == "__main__":
    main()
