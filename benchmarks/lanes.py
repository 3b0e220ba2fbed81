"""Do lanes pay? The CPU time of a cell of 16 targets beside that of its 16 targets one by one.

    python benchmarks/lanes.py            writes benchmarks/report.md

Both sides run in this process, one thread, interleaved, and every sample is kept. CPU time, not wall time:
other programs on the machine then matter little.
"""

from __future__ import annotations

import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from invbench.attacks import answer_all
from invbench.cell import Cell
from invbench.matrix import load
from invbench.registry import load as part
from invbench.store import environment

TARGETS, REPEATS = 16, 5
HERE = Path(__file__).parent
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
    rows, raw = [], []
    for cell in cells:
        together, alone = measure(cell)
        ratio = statistics.median(together) / statistics.median(alone)
        optimizer = dict(cell.attack.settings)["optimizer"]
        rows.append(
            f"| {cell.attack.short} | {optimizer} | {statistics.median(together):.2f} | "
            f"{statistics.median(alone):.2f} | **{ratio:.2f}** |"
        )
        raw.append(f"- {cell.attack.short}: together {shown(together)}; one by one {shown(alone)}")
    (HERE / "report.md").write_text(page(rows, raw))
    print("\n".join(rows))


def measure(cell: Cell) -> tuple[list[float], list[float]]:
    """CPU seconds of all targets as lanes, and of each alone, pair by pair."""
    attack, samples = cell.attack.build(), ([], [])
    for repeat in range(REPEATS + 1):
        for side, groups in enumerate(([slice(None)], [slice(k, k + 1) for k in range(TARGETS)])):
            observations = part("game", cell.game).build({}).stage(cell, torch.device("cpu")).observations
            started = time.process_time()
            for group in groups:
                answer_all(attack, observations[group])
            if repeat:  # the first pair loads kernels
                samples[side].append(time.process_time() - started)
    return samples


def shown(samples: list[float]) -> str:
    return ", ".join(f"{sample:.2f}" for sample in samples) + " s"


def page(rows: list[str], raw: list[str]) -> str:
    facts = environment()
    return "\n".join(
        [
            "# Speed",
            "",
            "## Do lanes pay?",
            "",
            f"CPU seconds of {TARGETS} targets on `lenet`, batch 1, 100 iterations, as lanes of one program and alone.",
            f"Medians of {REPEATS} interleaved pairs, one thread.",
            "",
            "| attack | optimiser | together, s | one by one, s | ratio |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Raw samples:",
            "",
            *raw,
            "",
            f"Command: `python benchmarks/lanes.py`. Revision {facts.get('git', 'unknown')}, "
            f"{facts.get('processor', platform.processor())}, one thread, Python {platform.python_version()}, "
            f"torch {version('torch')}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
