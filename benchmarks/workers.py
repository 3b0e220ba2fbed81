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

from _measure import Table, interleaved, ratio, save

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
ONE, TWO, RAY = "one worker", "two workers", "Ray, two nodes of one CPU"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cells", type=int, default=24)
    asked.add_argument("--iterations", type=int, default=1000)
    asked.add_argument("--repeats", type=int, default=3)
    given = asked.parse_args()
    with TemporaryDirectory() as place, two_nodes() as address:
        folder = Path(place)
        matrix = MATRIX.format(seeds=list(range(given.cells)), iterations=given.iterations)
        (folder / "workers.yaml").write_text(matrix)
        busy: dict[str, list[float]] = {}
        sides = {
            ONE: ("--workers", "1"),
            TWO: ("--workers", "2"),
            RAY: ("--executor", "ray", "--ray-address", address),
        }
        samples = interleaved(
            {name: runner(folder, name, words, busy) for name, words in sides.items()},
            given.repeats,
            clock=time.perf_counter,
            warm=False,
        )
    rows = []
    for name in sides:
        faster = f"**{1 / ratio(samples, name, ONE):.2f}**"
        seconds, inside = statistics.median(samples[name]), statistics.median(busy[name])
        rows.append([name, f"{seconds:.1f}", f"{inside:.1f}", f"{inside / given.cells:.2f}", faster])
    save(
        "workers",
        Table(
            title="Do workers pay?",
            question=f"Wall time of `invbench run` on {given.cells} cells (`inverting-gradients`, "
            f"{given.iterations} iterations, `lenet`, batch 1), from the command to its end, on two cores. Medians of "
            f"{given.repeats} interleaved runs.",
            command=" ".join(["python", "benchmarks/workers.py", *sys.argv[1:]]),
            columns=["workers", "wall time, s", "in cells, s", "a cell, s", "times as fast as one"],
            rows=rows,
            samples={**samples, "in cells": busy},
            text=[
                "A worker imports torch and loads kernels once; the parent starts, plans and reports alone. The Ray "
                "cluster is up before the clock starts, its workers are not.",
            ],
            threads="1 a worker",
            facts={"cores": len(os.sched_getaffinity(0)), "load before": os.getloadavg()[2]},
        ),
    )


def runner(folder: Path, name: str, words: tuple[str, ...], busy: dict[str, list[float]]) -> Callable[[], None]:
    """One whole run; what its cells took inside goes to `busy`."""

    def run() -> None:
        command = ["-m", "invbench", "run", "workers.yaml", "--device", "cpu", "--fresh", "--quiet", "-o", name, *words]
        subprocess.run([sys.executable, *command], cwd=folder, check=True)
        with (folder / name / "summary.csv").open(newline="") as file:
            busy.setdefault(name, []).append(sum(float(row["cell_seconds"]) for row in csv.DictReader(file)))

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
