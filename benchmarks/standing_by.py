"""What does invbench itself cost? Help, a plan of 100,000 cells, a report of 100,000, and a cell beside its attack.

python benchmarks/standing_by.py
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _many_cells import write_matrix, write_results
from _measure import Table, interleaved, ratio, save

from invbench import report
from invbench.cell import Cell
from invbench.matrix import load
from invbench.store import Results

CELLS, REPEATS, HELPS = 100_000, 3, 15
FINISHED, FRESH, RUNS = 10_000, 40, 3
CHEAP = """\
name: cheap
dataset: natural
targets: 1
seed: [{seeds}]
grid: {{attack: [analytic], model: [mlp], batch_size: [1]}}
"""


def main() -> None:
    helps = interleaved({"help": _help, "import click": _click}, HELPS, clock=_children)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        matrix = write_matrix(root / "many.yaml", CELLS)
        write_results(root / "results", matrix, list(matrix.cells))
        plans, reports = [], []
        for repeat in range(REPEATS):
            plans.append(alone("plan", root / "many.yaml", root / f"fresh{repeat}"))
            reports.append(alone("report", root / "results"))
        overheads = []
        for run in range(RUNS):
            (root / f"run{run}").mkdir()
            overheads.append(_overheads(root / f"run{run}"))
    raw = helps | {"plan": plans, "report": reports, "overhead of a cell, by run, ms": overheads}
    save("standing_by", answer(raw))


def answer(raw: dict[str, Any]) -> Table:
    """The table of these samples."""
    plans, reports, overheads = raw["plan"], raw["report"], raw["overhead of a cell, by run, ms"]
    times, medians = ratio(raw, "help", "import click"), [statistics.median(run) for run in overheads]
    overhead = statistics.median(medians)
    return Table(
        title="What does standing by cost?",
        question=f"CPU seconds of one core (a process of its own for each sample). Medians of {HELPS} interleaved "
        f"pairs, of {REPEATS} plans and reports in turn, of {RUNS} runs (of each the median of {FRESH} cells).",
        command="python benchmarks/standing_by.py",
        columns=["what", "measured", "goal"],
        rows=[
            ["`invbench --help` over `import click`", f"**{times:.2f}** times", "at most 4"],
            [f"{CELLS:,} cells read, validated and planned", f"**{_median(plans):.1f}** s", "20 s"],
            [f"report and summary of {CELLS:,} records", f"**{_median(reports):.1f}** s", "20 s"],
            [f"a cell beside attack, scores and controls, {FINISHED:,} done", f"**{overhead:.0f}** ms", "50 ms"],
        ],
        samples=raw,
        text=[
            "Planned: the matrix read, what cannot be played told (15 of 40 cells) and written, what is done "
            "looked up, what is made first named. The records' numbers are made up, 8 targets each. The last row "
            "is the wall time between two records of a run with one worker, less what the record says of its "
            "attack, scores and controls: it grows with whatever else the machine does. The runs' medians: "
            f"{', '.join(f'{median:.0f}' for median in medians)} ms. "
            f"Load of the machine in the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.",
        ],
        facts={"load": os.getloadavg()},
    )


def alone(*words: object, file: str = __file__) -> dict[str, float]:
    """CPU and wall seconds and peak memory (MB) of one task in a process of its own, as it tells them itself."""
    done = subprocess.run([sys.executable, file, *map(str, words)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def plan(matrix: Path, folder: Path) -> None:
    """What `invbench run` does before its first cell starts."""
    from invbench import play
    from invbench.runs.run import is_done  # torch with it: not the report's business

    read, results = load(matrix), Results(folder)
    with results.lock():
        results.create(read.text, [cell.id for cell in read.cells], {})
        left = [cell for cell in read.cells if not is_done(results, cell)]
        told = list(play.refusals(left))
        results.write_many([record for _, record in told if record])
        for cell, record in told:
            if record is None:
                play.artefacts(cell)


def _overheads(root: Path) -> list[float]:
    """Milliseconds of every cell of a real run that are neither attack nor scores nor controls."""
    path, folder = root / "cheap.yaml", root / "cheap"
    path.write_text(CHEAP.format(seeds=", ".join(map(str, range(FINISHED + FRESH)))))
    matrix = load(path)
    fresh: list[Cell] = list(matrix.cells[FINISHED:])
    results = write_results(folder, matrix, list(matrix.cells[:FINISHED]))
    words = ["run", str(path), "-o", str(folder), "--workers", "1", "--device", "cpu", "--quiet"]
    subprocess.run([sys.executable, "-m", "invbench", *words], check=True)
    ended = {cell.id: (results.cell(cell.id) / "record.json").stat().st_mtime for cell in fresh}
    order = sorted(ended, key=lambda id: ended[id])
    found = []
    for before, id in pairwise(order):
        record = results.record(id)
        assert record is not None
        own = sum(record.seconds[part] for part in ("attack", "scoring", "controls"))
        found.append((ended[id] - ended[before] - own) * 1000)
    return found


def _help() -> None:
    subprocess.run([sys.executable, "-m", "invbench", "--help"], check=True, stdout=subprocess.DEVNULL)


def _click() -> None:
    subprocess.run([sys.executable, "-c", "import click"], check=True)


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times counts in hundredths of a second
    return spent.ru_utime + spent.ru_stime


def _median(samples: list[dict[str, float]]) -> float:
    return statistics.median(sample["cpu"] for sample in samples)


def _told(task: Any, *arguments: Path) -> None:
    began = time.perf_counter()
    task(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"cpu": time.process_time(), "wall": time.perf_counter() - began, "peak_mb": peak}))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "plan":
        _told(plan, Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        _told(lambda folder: report.write_files(Results(folder)), Path(sys.argv[2]))
