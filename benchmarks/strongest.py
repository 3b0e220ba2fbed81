"""Is `auto` at least as good as every other attack? A small matrix of networks, batch sizes and defences.

python benchmarks/strongest.py [--data cifar10.npz] [--workers 1]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from _cells import DATA
from _measure import Table, save

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


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--workers", type=int, default=1)
    given = asked.parse_args()
    with TemporaryDirectory() as place:
        matrix, results = Path(place) / "strongest.yaml", Path(place) / "results"
        matrix.write_text(MATRIX.format(data=given.data.absolute(), targets=TARGETS, evaluations=EVALUATIONS))
        words = ["run", str(matrix), "-o", str(results), "--device", "cpu", "--workers", str(given.workers), "--quiet"]
        subprocess.run([sys.executable, "-m", "invbench", *words], check=False)  # a failed cell is in the table
        cells = pd.read_csv(results / "summary.csv").to_dict("records")
    save("strongest", answer(cells))


def answer(cells: list[dict[str, Any]]) -> Table:
    """The table of these rows of summary.csv."""
    by_place: dict[tuple[str, int, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for cell in cells:
        by_place[cell["model"], cell["batch_size"], cell["defense"]][cell["attack"].split("(")[0]] = cell
    rows, as_good, failed = [], 0, []
    for (model, batch, defense), attacks in by_place.items():
        own, others = attacks[AUTO], [cell for name, cell in attacks.items() if name != AUTO]
        failed += [f"{c['attack']}, {model}, {defense}: {c['reason']}" for c in attacks.values() if _failed(c)]
        best = max((cell for cell in others if cell["status"] == "ok"), key=lambda cell: cell["psnr_mean"])
        good = own["status"] == "ok" and own["psnr_mean"] >= best["psnr_mean"] - SLACK
        as_good += good
        seconds = f"{own['attack_seconds']:.0f}", f"{best['attack_seconds']:.0f}"
        level = "**" if good else ""
        rows.append(
            [model, str(batch), defense, f"{level}{own['psnr_mean']:.1f}{level}", f"{best['psnr_mean']:.1f}",
             best["attack"].split("(")[0], f"{own['control_psnr_mean']:.1f}", *seconds]
        )  # fmt: skip
    return Table(
        title="Is `auto` the strongest?",
        question=f"Mean PSNR in dB of {TARGETS} batches of CIFAR-10 test pictures, untrained victims, weight seed 0: "
        f"`auto` beside the best of `inverting-gradients`, `dlg` (one start) and `analytic`, {EVALUATIONS} evaluations "
        f"each. **{as_good} of {len(rows)}** cells: `auto` at most {SLACK} dB below it, in bold.",
        command="python benchmarks/strongest.py",
        columns=["network", "batch", "defence", "auto", "best other", "which", "control", "auto, s", "other, s"],
        rows=rows,
        samples={"summary": cells},
        failed=failed,
        text=[f"Wall seconds of the attack in the whole cell. Load: {os.getloadavg()[0]:.1f} on {os.cpu_count()}."],
    )


def _failed(cell: dict[str, Any]) -> bool:
    return bool(cell["status"] in ("failed", "timeout"))


if __name__ == "__main__":
    main()
