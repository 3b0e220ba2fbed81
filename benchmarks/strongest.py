"""Is `auto` at least as good as every other attack? A small matrix of networks, batch sizes and defences.

python benchmarks/strongest.py [--data cifar10.npz] [--workers 1]
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from _cells import DATA
from _measure import record
from _raw import Kept, Name
from _table import Table

AUTO, EVALUATIONS, TARGETS, SLACK = "auto", 1200, 2, 0.5
MATRIX = """\
name: strongest
dataset: {{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}
targets: {targets}
seed: 0
grid:
  attack:
    - {{name: auto, evaluations: {evaluations}}}
    - {{name: inverting-gradients, iterations: {evaluations}}}
    - {{name: dlg, restarts: 1, iterations: {evaluations}}}
    - analytic
  model: [mlp, lenet, {{name: lenet, activation: relu}}, {{name: convnet, width: 8}}]
  batch_size: [1, 4]
  defense: [none, {{name: gaussian, std: 0.001}}, {{name: top-k, fraction: 0.1}}]
"""


class Settings(Kept, frozen=True):
    """`slack`: dB by which `auto` may be below the best other and count as good."""

    targets: int = TARGETS
    evaluations: int = EVALUATIONS
    slack: float = SLACK
    workers: int = 1


class Cell(Kept, frozen=True):
    """One row of summary.csv; numbers are None where the cell did not end `ok`."""

    model: Name
    batch_size: int
    defense: Name
    attack: Name
    status: Literal["ok", "unsupported", "failed", "timeout"]
    psnr_mean: float | None = None
    control_psnr_mean: float | None = None
    attack_seconds: float | None = None
    attack_evaluations: float | None = None


class Samples(Kept, frozen=True):
    cells: list[Cell]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--workers", type=int, default=1)
    given = asked.parse_args()
    settings = Settings(workers=given.workers)
    record("strongest", settings, lambda: measure(given.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    with TemporaryDirectory() as place:
        matrix, results = Path(place) / "strongest.yaml", Path(place) / "results"
        words = {"targets": settings.targets, "evaluations": settings.evaluations}
        matrix.write_text(MATRIX.format(data=data.absolute(), **words))
        run = ["run", str(matrix), "-o", str(results), "--device", "cpu", "--workers", str(settings.workers), "--quiet"]
        subprocess.run([sys.executable, "-m", "invbench", *run], check=False)  # a failed cell is in the table
        with (results / "summary.csv").open(newline="") as file:
            return Samples([cell(row) for row in csv.DictReader(file)])


def cell(row: Mapping[str, str]) -> Cell:
    """What is kept of a row of summary.csv."""
    names = {name: row[name] for name in ("model", "defense", "attack", "status")}
    numbers = ("psnr_mean", "control_psnr_mean", "attack_seconds", "attack_evaluations")
    values = {name: float(row[name]) if row[name] else None for name in numbers}
    return Cell(batch_size=int(row["batch_size"]), **names, **values)  # type: ignore[arg-type]


def answer(settings: Settings, samples: Samples) -> Table:
    places: dict[tuple[str, int, str], dict[str, Cell]] = defaultdict(dict)
    for one in samples.cells:
        places[one.model, one.batch_size, one.defense][_name(one)] = one
    good = sum(is_as_good(attacks, settings.slack) for attacks in places.values())
    return Table(
        title="Is `auto` the strongest?",
        question=f"Mean PSNR in dB of {settings.targets} batches of CIFAR-10 test pictures, untrained victims, weight "
        "seed 0: `auto` beside the best of `inverting-gradients`, `dlg` (one start) and `analytic`, "
        f"{settings.evaluations} evaluations each. {good} of {len(places)} cells: `auto` at most {settings.slack} dB "
        "below it, in bold. A cell in which an attack failed is not counted for `auto`.",
        command=f"python benchmarks/strongest.py --workers {settings.workers}",
        columns=["network", "batch", "defence", "auto", "best other", "which", "control", "auto, s", "other, s"],
        rows=[row(place, attacks, settings.slack) for place, attacks in places.items()],
        text=["Wall seconds of the attack in the whole cell."],
        failed=[f"{one.attack}, {one.model}, batch {one.batch_size}, {one.defense}: {one.status}"
                for one in samples.cells if one.status in ("failed", "timeout")],
    )  # fmt: skip


def is_as_good(attacks: Mapping[str, Cell], slack: float) -> bool:
    """Whether every attack ended (or cannot be played) and none is more than `slack` dB above `auto`."""
    own = attacks[AUTO].psnr_mean
    others = [one for name, one in attacks.items() if name != AUTO and one.status != "unsupported"]
    ended = all(one.psnr_mean is not None for one in others)
    return own is not None and ended and all(own >= (one.psnr_mean or 0) - slack for one in others)


def row(place: tuple[str, int, str], attacks: Mapping[str, Cell], slack: float) -> list[str]:
    own, level = attacks[AUTO], "**" if is_as_good(attacks, slack) else ""
    others = [one for name, one in attacks.items() if name != AUTO and one.psnr_mean is not None]
    best = max(others, key=lambda one: one.psnr_mean or 0, default=None)
    return [
        *map(str, place),
        f"{level}{_shown(own.psnr_mean, 1)}{level}",
        *(_shown(best and best.psnr_mean, 1), _name(best) if best else ""),
        _shown(own.control_psnr_mean, 1),
        *(_shown(own.attack_seconds, 0), _shown(best and best.attack_seconds, 0)),
    ]


def _name(one: Cell) -> str:
    return one.attack.split("(")[0]


def _shown(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
