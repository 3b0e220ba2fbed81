"""Do workers pay? The wall time of a matrix with one worker, with two, and on a Ray cluster of two nodes.

python benchmarks/workers.py [--cells 24] [--iterations 1000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from _measure import interleaved, ratio, record
from _raw import Kept
from _table import Table

MATRIX = """\
name: workers
dataset: natural
targets: 1
seed: {seeds}
grid:
  attack: [{{name: inverting-gradients, iterations: {iterations}, restarts: 1}}]
  model: [lenet]
  batch_size: [1]
"""
SIDES = {
    "one worker": ("--workers", "1"),
    "two workers": ("--workers", "2"),
    "Ray, two nodes of one CPU": ("--executor", "ray", "--ray-address"),  # and the address
}


class Settings(Kept, frozen=True):
    cells: int
    iterations: int
    repeats: int


class Side(Kept, frozen=True):
    """Wall seconds of every whole run, and what its cells took inside."""

    wall: list[float]
    inside: list[float]


class Samples(Kept, frozen=True):
    one: Side
    two: Side
    ray: Side


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--cells", type=int, default=24)
    asked.add_argument("--iterations", type=int, default=1000)
    asked.add_argument("--repeats", type=int, default=3)
    given = asked.parse_args()
    settings = Settings(given.cells, given.iterations, given.repeats)
    record("workers", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    with TemporaryDirectory() as place, two_nodes() as address:
        folder = Path(place)
        matrix = MATRIX.format(seeds=list(range(settings.cells)), iterations=settings.iterations)
        (folder / "workers.yaml").write_text(matrix)
        inside: dict[str, list[float]] = {name: [] for name in SIDES}
        runs = {}
        for name, words in SIDES.items():
            given = (*words, address) if "ray" in words else words
            runs[name] = runner(folder, name, given, inside[name])
        wall = interleaved(runs, settings.repeats, clock=time.perf_counter, warm=False)
    return Samples(*(Side(wall[name], inside[name]) for name in SIDES))


def answer(settings: Settings, samples: Samples) -> Table:
    sides = dict(zip(SIDES, (samples.one, samples.two, samples.ray), strict=True))
    rows = []
    for name, side in sides.items():
        seconds, inside = statistics.median(side.wall), statistics.median(side.inside)
        faster = f"**{ratio(samples.one.wall, side.wall):.2f}**"
        rows.append([name, f"{seconds:.1f}", f"{inside:.1f}", f"{inside / settings.cells:.2f}", faster])
    return Table(
        title="Do workers pay?",
        question=f"Wall time of `invbench run` on {settings.cells} cells (`inverting-gradients`, "
        f"{settings.iterations} iterations, `lenet`, batch 1), from the command to its end, on two cores, one thread "
        f"a worker. Medians of {settings.repeats} interleaved runs.",
        command=f"python benchmarks/workers.py --cells {settings.cells} --iterations {settings.iterations} "
        f"--repeats {settings.repeats}",
        columns=["workers", "wall time, s", "in cells, s", "a cell, s", "times as fast as one"],
        rows=rows,
        text=[
            "A worker imports torch and loads kernels once; the parent starts, plans and reports alone. The Ray "
            "cluster is up before the clock starts, its workers are not.",
        ],
    )


def runner(folder: Path, name: str, words: tuple[str, ...], inside: list[float]) -> Callable[[], None]:
    """One whole run; what its cells took goes to `inside`."""

    def run() -> None:
        command = ["-m", "invbench", "run", "workers.yaml", "--device", "cpu", "--fresh", "--quiet", "-o", name, *words]
        subprocess.run([sys.executable, *command], cwd=folder, check=True)
        with (folder / name / "summary.csv").open(newline="") as file:
            inside.append(sum(float(row["cell_seconds"]) for row in csv.DictReader(file)))

    return run


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with one CPU each, on loopback addresses."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for node in ("127.0.0.2", "127.0.0.3"):
            cluster.add_node(node_ip_address=node, num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False)
        yield str(cluster.address)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
