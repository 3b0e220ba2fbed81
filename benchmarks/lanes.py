"""Do lanes pay? The CPU time of a cell of 16 targets beside that of its 16 targets one by one.

python benchmarks/lanes.py
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _measure import interleaved, ratio, record
from _raw import Kept, Name
from _table import Table

from invbench.attacks import Attack
from invbench.cell import Cell
from invbench.games import Game
from invbench.matrix import load
from invbench.registry import load as part

TARGETS, ITERATIONS, REPEATS = 16, 100, 5
MATRIX = """\
dataset: natural
targets: {targets}
grid:
  attack:
    - {{name: inverting-gradients, iterations: {iterations}}}
    - {{name: dlg, iterations: {iterations}, restarts: 1}}
  model: [lenet]
  batch_size: [1]
"""


class Settings(Kept, frozen=True):
    targets: int = TARGETS
    iterations: int = ITERATIONS
    repeats: int = REPEATS


class Case(Kept, frozen=True):
    """CPU seconds of every repeat: all targets as lanes of one program, and each target alone."""

    attack: Name
    optimizer: Name
    together: list[float]
    alone: list[float]


class Samples(Kept, frozen=True):
    cases: list[Case]


def main() -> None:
    torch.set_num_threads(1)
    settings = Settings()
    record("lanes", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "lanes.yaml"
        matrix.write_text(MATRIX.format(targets=settings.targets, iterations=settings.iterations))
        cells = load(matrix).cells
    groups = {"together": [slice(None)], "alone": [slice(k, k + 1) for k in range(settings.targets)]}
    cases = []
    for cell in cells:
        sides = {name: partial(attack, cell, group) for name, group in groups.items()}
        optimizer = str(dict(cell.attack.settings)["optimizer"])
        cases.append(Case(cell.attack.short, optimizer, **interleaved(sides, settings.repeats)))
    return Samples(cases)


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Do lanes pay?",
        question=f"CPU seconds of {settings.targets} targets on `lenet`, batch 1, {settings.iterations} iterations, as "
        f"lanes of one program and alone. Medians of {settings.repeats} interleaved pairs.",
        command="python benchmarks/lanes.py",
        columns=["attack", "optimiser", "together, s", "one by one, s", "ratio"],
        rows=[row(case) for case in samples.cases],
    )


def row(case: Case) -> list[str]:
    seconds = [f"{statistics.median(values):.2f}" for values in (case.together, case.alone)]
    return [case.attack, case.optimizer, *seconds, f"**{ratio(case.together, case.alone):.2f}**"]


def attack(cell: Cell, groups: list[slice]) -> None:
    observations = part("game", cell.game).build({}, Game).deal(cell, torch.device("cpu")).observations
    for group in groups:
        cell.attack.build(Attack).attack_all(observations[group])


if __name__ == "__main__":
    main()
