"""How often do 95 % intervals cover the truth?

python benchmarks/intervals.py [--cells 20000] [--whole-cells 1000]

Simulated cells of known laws. Beside the interval that invbench uses for means stands the percentile bootstrap over
targets, which it used before; below, the bootstrap over items of statistics of a whole cell.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.numbers.bootstrap import drawn_weights, percentiles
from invbench.numbers.ranking import Auc, TruePositiveRate
from invbench.numbers.statistics import Packed, summarise_packed
from invbench.numbers.whole_cell import Statistic, estimate

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]

TARGETS = [2, 4, 8, 16]
ITEMS = [5, 10, 20, 50]
BOOTSTRAPPED = 2000
"""Cells whose mean is bootstrapped: each costs 2,000 draws."""


class Settings(Kept, frozen=True):
    """`cells`: simulated for each mean; `whole_cells`: for each statistic of a whole cell."""

    cells: int
    whole_cells: int
    targets: list[int]
    items: list[int]


class Means(Kept, frozen=True):
    """One law: shares of cells whose interval covers the mean, one for each number of targets."""

    law: Name
    ours: list[float]
    bootstrap: list[float]


class Whole(Kept, frozen=True):
    """One statistic: shares of cells whose interval covers it, one for each number of items on a side."""

    statistic: Name
    ours: list[float]


class Samples(Kept, frozen=True):
    means: list[Means]
    wholes: list[Whole]


@dataclass(frozen=True)
class Law:
    """What a target's value is drawn from, its mean, and what it can be."""

    name: str
    said: str
    draw: Draw
    mean: float
    bounds: tuple[float | None, float | None] = (None, None)


def _successes(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.where(rng.random(shape) < 0.3, 30.0, 15.0) + rng.normal(0, 2, shape)


def _share(share: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < share).astype(np.float64)


LAWS = (
    Law("normal", "normal", lambda rng, shape: rng.normal(20, 5, shape), 20.0),
    Law("uniform", "uniform", lambda rng, shape: rng.random(shape), 0.5),
    Law("gamma(4)", "skewed: gamma of shape 4 (skewness 1)", lambda rng, shape: rng.gamma(4, 1, shape), 4.0),
    Law("exponential", "very skewed: exponential (skewness 2)", lambda rng, shape: rng.exponential(1, shape), 1.0),
    Law("successes", "two humps: 30 dB in 3 of 10 targets, else 15", _successes, 19.5),
    Law("share(0.5)", "0 or 1, a share of 0.5", _share(0.5), 0.5, (0.0, 1.0)),
    Law("share(0.9)", "0 or 1, a share of 0.9", _share(0.9), 0.9, (0.0, 1.0)),
)
STATISTICS: dict[str, tuple[Statistic, float]] = {
    "auc": (Auc(), NormalDist().cdf(1 / math.sqrt(2))),
    "tpr(0.2)": (TruePositiveRate(at=0.2), 1 - NormalDist(1).cdf(NormalDist().inv_cdf(0.8))),
}
"""Each with its value where members score one standard deviation higher than others."""
WRITTEN = {"auc": "AUC", "tpr(0.2)": "TPR at FPR 0.2"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cells", type=int, default=20_000)
    arguments.add_argument("--whole-cells", type=int, default=1000)
    asked = arguments.parse_args()
    settings = Settings(asked.cells, asked.whole_cells, TARGETS, ITEMS)
    record("intervals", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    means = [of_law(law, settings) for law in LAWS]
    return Samples(means, [of_statistic(name, settings) for name in STATISTICS])


def answer(settings: Settings, samples: Samples) -> Table:
    said = {law.name: law.said for law in LAWS}
    cells = [f"{n} targets" for n in settings.targets]
    rows = []
    for found in samples.means:
        for side, covered in (("**t**", found.ours), ("bootstrap", found.bootstrap)):
            first = [said[found.law] if covered is found.ours else "", side]
            rows.append([*first, *map(_percent, covered)])
    items = ", ".join(f"{n} + {n}" for n in settings.items)
    whole = [
        f"{WRITTEN[found.statistic]}, bootstrap over items, with {items} members and others: "
        f"{', '.join(map(_percent, found.ours))} %."
        for found in samples.wholes
    ]
    return Table(
        title="How often do 95 % intervals cover the truth?",
        question=f"Per cent of {settings.cells:,} simulated cells ({BOOTSTRAPPED:,} for the bootstrap) whose interval "
        "holds the mean of the law that their targets are drawn from. Used is Student's t, kept within what the metric "
        "can be; where all targets are at one end of its scale, what so many in a row prove.",
        command="python benchmarks/intervals.py",
        columns=["targets' law", "interval", *cells],
        rows=rows,
        text=[
            "Of fewer than 3 targets no report says that an attack surely read something.",
            f"Statistics of a whole cell ({settings.whole_cells:,} cells each): {' '.join(whole)}",
        ],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def of_law(law: Law, settings: Settings) -> Means:
    ours, drawn = [], []
    for targets in settings.targets:
        values = law.draw(np.random.default_rng(targets), (settings.cells, targets))
        counts = np.ones(targets, dtype=np.int64).tobytes()
        summaries = summarise_packed([Packed(counts, row.tobytes()) for row in values])
        inside = [summary.within(*law.bounds) for summary in summaries if summary is not None]
        ours.append(_covered(law.mean, np.array([[one.ci_low, one.ci_high] for one in inside], dtype=np.float64)))
        few = values[:BOOTSTRAPPED]
        drawn.append(_covered(law.mean, np.array([bootstrapped(row) for row in few])))
    return Means(law=law.name, ours=ours, bootstrap=drawn)


def of_statistic(name: str, settings: Settings) -> Whole:
    statistic, truth = STATISTICS[name]
    covered = []
    for items in settings.items:
        rng, ends = np.random.default_rng(items), []
        for _ in range(settings.whole_cells):
            score = np.concatenate([rng.normal(1, 1, items), rng.normal(0, 1, items)]).tolist()
            found = estimate(statistic, {"score": [score], "member": [[1.0] * items + [0.0] * items]})
            ends.append((found.ci_low, found.ci_high))
        covered.append(_covered(truth, np.array(ends)))
    return Whole(statistic=name, ours=covered)


def bootstrapped(values: Array) -> tuple[float, float]:
    """The percentile bootstrap of one cell's mean."""
    (times,) = drawn_weights(len(values))
    return percentiles(values @ times / len(values), float(values.mean()))


def _covered(truth: float, ends: Array) -> float:
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())


if __name__ == "__main__":
    main()
