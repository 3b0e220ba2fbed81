"""Do lanes pay? The CPU time of a cell of 16 targets beside that of its 16 targets one by one.

python benchmarks/lanes.py
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _measure import Table, interleaved, ratio, save

from invbench.attacks import Attack
from invbench.cell import Cell
from invbench.games import Game
from invbench.matrix import load
from invbench.registry import load as part

TARGETS, REPEATS = 16, 5
MATRIX = """\
dataset: natural
targets: {targets}
grid:
  attack:
    - {{name: inverting-gradients, iterations: 100}}
    - {{name: dlg, iterations: 100, restarts: 1}}
  model: [lenet]
  batch_size: [1]
"""


def main() -> None:
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "lanes.yaml"
        matrix.write_text(MATRIX.format(targets=TARGETS))
        cells = load(matrix).cells
    rows, raw = [], {}
    for cell in cells:
        samples = interleaved(
            {
                "together": lambda cell=cell: attack(cell, [slice(None)]),
                "one by one": lambda cell=cell: attack(cell, [slice(k, k + 1) for k in range(TARGETS)]),
            },
            REPEATS,
        )
        together, alone = (statistics.median(samples[side]) for side in ("together", "one by one"))
        optimizer = dict(cell.attack.settings)["optimizer"]
        share = f"**{ratio(samples, 'together', 'one by one'):.2f}**"
        rows.append([cell.attack.short, optimizer, f"{together:.2f}", f"{alone:.2f}", share])
        raw |= {f"{cell.attack.short}: {side}": values for side, values in samples.items()}
    save(
        "lanes",
        Table(
            title="Do lanes pay?",
            question=f"CPU seconds of {TARGETS} targets on `lenet`, batch 1, 100 iterations, as lanes of one program "
            f"and alone. Medians of {REPEATS} interleaved pairs.",
            command="python benchmarks/lanes.py",
            columns=["attack", "optimiser", "together, s", "one by one, s", "ratio"],
            rows=rows,
            samples=raw,
        ),
    )


def attack(cell: Cell, groups: list[slice]) -> None:
    observations = part("game", cell.game).build({}, Game).deal(cell, torch.device("cpu")).observations
    for group in groups:
        cell.attack.build(Attack).attack_all(observations[group])


if __name__ == "__main__":
    main()
