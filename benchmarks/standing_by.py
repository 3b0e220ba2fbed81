"""What does invbench itself cost? Help, a plan of 100,000 cells, a report of 100,000, and a cell beside its attack.

python benchmarks/standing_by.py
"""

from __future__ import annotations

import json
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
from _measure import interleaved, ratio, record
from _raw import Kept
from _table import Table

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


class Settings(Kept, frozen=True):
    cells: int = CELLS
    repeats: int = REPEATS
    helps: int = HELPS
    finished: int = FINISHED
    fresh: int = FRESH
    runs: int = RUNS


class Task(Kept, frozen=True):
    """Seconds and peak memory (MB; None: not kept) of one task in a process of its own."""

    cpu: float
    wall: float
    peak_mb: float | None


class Samples(Kept, frozen=True):
    """`help`, `click`: CPU seconds of a process each; `overheads`: milliseconds of every cell, by run."""

    help: list[float]
    click: list[float]
    plans: list[Task]
    reports: list[Task]
    overheads: list[list[float]]


def main() -> None:
    settings = Settings()
    record("standing_by", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    helps = interleaved({"help": _help, "click": _click}, settings.helps, clock=_children)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        matrix = write_matrix(root / "many.yaml", settings.cells)
        write_results(root / "results", matrix, list(matrix.cells))
        plans, reports = [], []
        for repeat in range(settings.repeats):
            plans.append(Task(**alone("plan", root / "many.yaml", root / f"fresh{repeat}")))
            reports.append(Task(**alone("report", root / "results")))
        overheads = []
        for run in range(settings.runs):
            (root / f"run{run}").mkdir()
            overheads.append(_overheads(root / f"run{run}", settings))
    return Samples(helps["help"], helps["click"], plans, reports, overheads)


def answer(settings: Settings, samples: Samples) -> Table:
    times, medians = ratio(samples.help, samples.click), [statistics.median(run) for run in samples.overheads]
    plan, report = (statistics.median(task.cpu for task in tasks) for tasks in (samples.plans, samples.reports))
    overhead, cells = statistics.median(medians), f"{settings.cells:,}"
    return Table(
        title="What does standing by cost?",
        question=f"CPU seconds of one core (a process of its own for each sample). Medians of {settings.helps} "
        f"interleaved pairs, of {settings.repeats} plans and reports in turn, of {settings.runs} runs (of each the "
        f"median of {settings.fresh} cells).",
        command="python benchmarks/standing_by.py",
        columns=["what", "measured", "goal"],
        rows=[
            ["`invbench --help` over `import click`", f"**{times:.2f}** times", "at most 4"],
            [f"{cells} cells read, validated and planned", f"**{plan:.1f}** s", "20 s"],
            [f"report and summary of {cells} records", f"**{report:.1f}** s", "20 s"],
            [
                f"a cell beside attack, scores and controls, {settings.finished:,} done",
                f"**{overhead:.0f}** ms",
                "50 ms",
            ],
        ],
        text=[
            "Planned: the matrix read, what cannot be played told (15 of 40 cells) and written, what is done "
            "looked up, what is made first named. The records' numbers are made up, 8 targets each. The last row "
            "is the wall time between two records of a run with one worker, less what the record says of its "
            "attack, scores and controls: it grows with whatever else the machine does. The runs' medians: "
            f"{', '.join(f'{median:.0f}' for median in medians)} ms."
        ],
    )


def alone(*words: object, file: str = __file__) -> dict[str, Any]:
    """CPU and wall seconds and peak memory (MB) of one task in a process of its own, as it tells them itself."""
    done = subprocess.run([sys.executable, file, *map(str, words)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def plan(matrix: Path, folder: Path) -> None:
    """What `invbench run` does before its first cell starts."""
    from invbench.play.asking import artefacts, with_unplayable
    from invbench.runs.run import is_done  # torch with it: not the report's business

    read, results = load(matrix), Results(folder)
    with results.lock():
        results.create(read.text, [cell.id for cell in read.cells], {})
        left = [cell for cell in read.cells if not is_done(results, cell)]
        told = list(with_unplayable(left))
        results.write_many([(played.record, played.files) for _, played in told if played])
        for cell, played in told:
            if played is None:
                artefacts(cell)


def _overheads(root: Path, settings: Settings) -> list[float]:
    """Milliseconds of every cell of a real run that are neither attack nor scores nor controls."""
    path, folder = root / "cheap.yaml", root / "cheap"
    path.write_text(CHEAP.format(seeds=", ".join(map(str, range(settings.finished + settings.fresh)))))
    matrix = load(path)
    fresh: list[Cell] = list(matrix.cells[settings.finished :])
    results = write_results(folder, matrix, list(matrix.cells[: settings.finished]))
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


def _told(task: Any, *arguments: Path) -> None:
    began = time.perf_counter()
    task(*arguments)
    print(json.dumps({"cpu": time.process_time(), "wall": time.perf_counter() - began, "peak_mb": peak_memory()}))


def peak_memory() -> float | None:
    """This process's peak in MB, None where the system does not tell it.

    Not `ru_maxrss`, which on Linux a process inherits from the one that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "plan":
        _told(plan, Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        _told(lambda folder: report.write_files(Results(folder)), Path(sys.argv[2]))
