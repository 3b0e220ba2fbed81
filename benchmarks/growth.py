"""How does cost grow with batch size, picture size, lanes and cells?

python benchmarks/growth.py
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import _raw
import numpy as np
from _many_cells import write_matrix, write_results
from _measure import record
from _raw import Kept
from _table import Table
from standing_by import alone

PLOT = "growth.png"
SHORT, LONG = 2, 6  # steps: the difference leaves out what is paid once
POINTS = {
    "batch size": (1, 2, 4, 8, 16, 32, 64),
    "picture side, pixels": (32, 64, 128, 224),
    "lanes": (1, 2, 4, 8, 16, 32, 64),
}
CELLS = (10, 100, 1_000, 10_000, 100_000)


class Settings(Kept, frozen=True):
    """`short`, `long`: steps. `plot`: whether matplotlib (the extra `bench`) was there to draw growth.png."""

    plot: bool
    short: int = SHORT
    long: int = LONG


class Point(Kept, frozen=True):
    """CPU seconds and peak memory (MB; None: not kept) at one size; the wall seconds of cells."""

    size: int
    cpu: float
    peak_mb: float | None
    wall: float | None = None


class Samples(Kept, frozen=True):
    batch_size: list[Point]
    side: list[Point]
    lanes: list[Point]
    plan: list[Point]
    report: list[Point]

    def named(self) -> dict[str, list[Point]]:
        """The points by what grows."""
        points = (self.batch_size, self.side, self.lanes, self.plan, self.report)
        return dict(zip([*POINTS, "cells: plan", "cells: report"], points, strict=True))


def main() -> None:
    settings = Settings(plot=find_spec("matplotlib") is not None)
    record("growth", settings, measure)
    if settings.plot:
        draw(_raw.read("growth").samples)


def measure() -> Samples:
    axes = [
        [Point(size, **alone("attack", axis, size, file=__file__)) for size in sizes] for axis, sizes in POINTS.items()
    ]
    return Samples(*axes, *_cells())


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="How does cost grow?",
        question="CPU seconds and peak memory, one process a point, with the exponent of a power law fitted on the "
        "larger half; of cells on 10,000 and 100,000, less what 10 cells take.",
        command="python benchmarks/growth.py",
        columns=["over", "from - to", "CPU s", "time grows with power", "peak, MB", "memory grows with power"],
        rows=[_row(name, points) for name, points in samples.named().items()],
        text=[
            "Of an attack: one evaluation of `inverting-gradients` on `convnet(width=8)`, as "
            f"({settings.long} steps - {settings.short} steps) / {settings.long - settings.short}; batch 1, 32 x 32 "
            "pictures, one lane unless said; memory above what the process held before. Pictures larger than 32 are "
            "enlarged ones of `natural`. Of cells: what a run does before its first cell, and the report; memory of "
            "the whole process.",
            *([] if settings.plot else ["No plot: matplotlib (the extra `bench`) was not installed."]),
        ],
        plots=[PLOT] if settings.plot else [],
    )


def _cells() -> tuple[list[Point], list[Point]]:
    plans, reports = [], []
    with TemporaryDirectory() as folder:
        for cells in CELLS:
            root = Path(folder) / str(cells)
            root.mkdir()
            matrix = write_matrix(root / "many.yaml", cells)
            write_results(root / "results", matrix, list(matrix.cells[:cells]))
            plans.append(Point(cells, **alone("plan", root / "many.yaml", root / "fresh")))
            reports.append(Point(cells, **alone("report", root / "results")))
    return plans, reports


def attack(axis: str, size: int) -> dict[str, float]:
    """CPU seconds of one evaluation, and the attack's peak memory."""
    import torch

    from invbench.attacks.inverting_gradients import InvertingGradients
    from invbench.core.memory import peak_memory

    torch.set_num_threads(1)
    batch = size if axis == "batch size" else 1
    side = size if axis.startswith("picture") else 32
    lanes = size if axis == "lanes" else 1
    seconds = []
    InvertingGradients(iterations=SHORT, lanes=64).attack_all(observations(batch, side, lanes))  # loads kernels
    seen = [observations(batch, side, lanes) for _ in (SHORT, LONG)]
    with peak_memory(torch.device("cpu")) as peak:
        for steps, staged in zip((SHORT, LONG), seen, strict=True):
            began = time.process_time()
            InvertingGradients(iterations=steps, lanes=64).attack_all(staged)
            seconds.append(time.process_time() - began)
    if peak.mb is None:
        raise SystemExit("not measured: this system does not tell a process's peak memory")
    return {"cpu": (seconds[1] - seconds[0]) / (LONG - SHORT), "peak_mb": peak.mb}


def observations(batch: int, side: int, lanes: int) -> tuple[Any, ...]:
    """What the server sees of pictures of that size: one target a lane."""
    import torch

    from invbench.data.natural import Natural
    from invbench.games import game_of
    from invbench.matrix import load

    needed = batch * lanes
    pool = Natural().load()
    pictures = pool.unit(np.resize(pool.targets, needed))
    factor = side // 32
    with TemporaryDirectory() as folder:
        np.savez(
            Path(folder) / "pool.npz",
            images=pictures.repeat(factor, axis=2).repeat(factor, axis=3),
            labels=np.arange(needed) % 10 if needed > 1 else np.array([9]),
        )
        (Path(folder) / "m.yaml").write_text(
            f"dataset: {{name: npz, path: pool.npz}}\ntargets: {lanes}\n"
            "grid: {attack: [inverting-gradients], model: [{name: convnet, width: 8}], "
            f"batch_size: [{batch}]}}\n"
        )
        (cell,) = load(Path(folder) / "m.yaml").cells
        staged = game_of(cell).deal(cell, torch.device("cpu"))
    seen: tuple[Any, ...] = staged.observations
    return seen


def exponent(name: str, points: list[Point], what: str) -> float | None:
    """The power of the size with which `what` grows over the larger half of the points (least squares of logs).

    None where it was not kept.
    Of cells: what is above the smallest point's, which is the loading of libraries and data.
    """
    if any(getattr(point, what) is None for point in points):
        return None
    held = getattr(points[0], what) if name.startswith("cells") else 0.0
    half = points[-2:] if name.startswith("cells") else points[len(points) // 2 :]
    sizes, values = np.log([point.size for point in half]), np.log([getattr(point, what) - held for point in half])
    return float(np.polyfit(sizes, values, 1)[0])


def _row(name: str, points: list[Point]) -> list[str]:
    first, last = points[0], points[-1]
    return [
        name,
        f"{first.size:,} - {last.size:,}",
        f"{first.cpu:.3g} - {last.cpu:.3g}",
        _power(name, points, "cpu"),
        "not kept" if first.peak_mb is None or last.peak_mb is None else f"{first.peak_mb:.0f} - {last.peak_mb:.0f}",
        _power(name, points, "peak_mb"),
    ]


def _power(name: str, points: list[Point], what: str) -> str:
    power = exponent(name, points, what)
    return "" if power is None else f"**{power:.2f}**"


def draw(samples: Samples, path: Path = _raw.HERE / PLOT) -> None:
    """Draw growth.png."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    measured = samples.named()
    figure, axes = plt.subplots(2, len(measured), figsize=(3 * len(measured), 5.4), squeeze=False)
    for column, (name, points) in enumerate(measured.items()):
        sizes = [point.size for point in points]
        for row, (key, label) in enumerate({"cpu": "CPU s", "peak_mb": "peak, MB"}.items()):
            axis = axes[row][column]
            values, power = [getattr(point, key) for point in points], exponent(name, points, key)
            if power is None:
                axis.set_axis_off()
                continue
            axis.loglog(sizes, values, "o-", color="tab:blue" if row == 0 else "tab:orange")
            axis.set_title(f"{name}, power {power:.2f}", fontsize=9)
            axis.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=7)
            ticks = np.geomspace(min(values), max(values), 4).tolist()
            axis.set_yticks(ticks, [f"{tick:.2g}" if tick < 100 else f"{tick:.0f}" for tick in ticks], fontsize=7)
            axis.minorticks_off()
            axis.set_xlabel(name.partition(":")[0], fontsize=9)
            axis.grid(alpha=0.3, which="both")
            if column == 0:
                axis.set_ylabel(label)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(attack(sys.argv[2], int(sys.argv[3]))))
