"""Who took part in which round of secure aggregation: how many clients, and how much noise and drift hide them?

python benchmarks/disaggregate.py [--targets 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.attacks.disaggregate import Disaggregate
from invbench.disaggregation.counts import counted
from invbench.disaggregation.recovering import Search, recovered
from invbench.games.participation import Participation
from invbench.matrix import load

CPU = torch.device("cpu")
SIZES = (
    (16, 64, 4, 8),
    (32, 128, 8, 8),
    (50, 200, 25, 10),
    (100, 400, 10, 10),
    (200, 800, 20, 10),
    (400, 1600, 40, 10),
)
LENGTH = 1000
MATRIX = """\
dataset: digits
targets: {targets}
grid:
  attack: [disaggregate]
  model: [{{name: mlp, width: 16, depth: 1}}]
  defense: [{defense}]
  protocol: [{{name: many-rounds, clients: 16, taking_part: 4, rounds: 64, window: 8{more}}}]
"""
FEDERATIONS = (
    ("none", "none", ""),
    ("secure-aggregation", "secure-aggregation", ""),
    ("noise,std=0.01", "{name: gaussian, std: 0.01}", ""),
    ("noise,std=0.03", "{name: gaussian, std: 0.03}", ""),
    ("noise,std=0.1", "{name: gaussian, std: 0.1}", ""),
    ("top-k,0.1", "{name: top-k, fraction: 0.1}", ""),
    ("moving,lr=0.01", "none", ", server_lr: 0.01"),
    ("moving,lr=0.1", "none", ", server_lr: 0.1"),
    ("batches,1_of_2", "none", ", pictures: 2"),
    ("batches,1_of_8", "none", ", pictures: 8"),
)
"""Name, defence, and what its protocol says beside the others'."""


class Settings(Kept, frozen=True):
    targets: int
    sizes: list[list[int]]


class Drawn(Kept, frozen=True):
    """Normal updates of so many clients, summed without noise. `control`: what counts alone have right."""

    clients: int
    rounds: int
    taking_part: int
    window: int
    right: float
    exact: float
    control: float
    seconds: float


class Federation(Kept, frozen=True):
    """Of each federation: entries and columns right, median update error, and the same of the counts alone."""

    name: Name
    right: list[float]
    exact: list[float]
    error: list[float]
    control_right: list[float]
    control_error: list[float]


class Samples(Kept, frozen=True):
    drawn: list[Drawn]
    federations: list[Federation]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--targets", type=int, default=2)
    settings = Settings(arguments.parse_args().targets, [list(size) for size in SIZES])
    torch.set_num_threads(1)
    record("disaggregate", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    drawn = [_drawn(*size) for size in settings.sizes]
    return Samples(drawn, [_federation(*one, settings.targets) for one in FEDERATIONS])


def _drawn(clients: int, rounds: int, taking_part: int, window: int) -> Drawn:
    draws = np.random.default_rng(0)
    there = np.zeros((rounds, clients))
    for row in there:
        row[draws.permutation(clients)[:taking_part]] = 1
    sums, counts = there @ draws.normal(size=(clients, LENGTH)), counted(there.astype(int), window)
    started = time.process_time()
    found = recovered(sums, counts, taking_part, (clients,), Search(iterations=1000, restarts=3, nodes=10), draws)
    seconds, same = time.process_time() - started, found.participation == there
    likely = np.repeat(2 * counts.values > window, window, axis=0)[:rounds]
    right, exact, control = (float(np.mean(one)) for one in (same, same.all(axis=0), likely == there))
    print(clients, rounds, right, exact, control, round(seconds, 1), flush=True)
    return Drawn(clients, rounds, taking_part, window, right, exact, control, seconds)


def _federation(name: str, defense: str, more: str, targets: int) -> Federation:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cell.yaml"
        path.write_text(MATRIX.format(targets=targets, defense=defense, more=more))
        (cell,) = load(path).cells
        deal = Participation().deal(cell, CPU)
        scores = deal.score(Disaggregate().attack_all(deal.observations))
        control = deal.controls()["counts"]
    means = [[float(np.mean(one)) for one in scores[metric]] for metric in ("rounds_right", "column_right")]
    error, theirs = ([float(np.median(one)) for one in said["update_error"]] for said in (scores, control))
    found = Federation(name, *means, error, [float(np.mean(one)) for one in control["rounds_right"]], theirs)
    print(found, flush=True)
    return found


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Who took part in which round of secure aggregation?",
        question="`disaggregate` on sums of updates: `digits`, an untrained `mlp(width=16,depth=1)`, 16 clients with "
        "one picture each, 4 of them in each of 64 rounds, counts for every 8 rounds. Share of (client, round) told "
        "rightly, of clients without a mistake, and the error of a client's update beside its length (median over "
        f"clients): means of {settings.targets} federations. Counts alone: in all rounds of a window in which it was "
        "in more than half, and the mean of all updates. `moving`: the server's step after each round at that rate; "
        "`batches`: each round one of so many pictures of a client.",
        command="python benchmarks/disaggregate.py",
        columns=["rounds", "right", "counts alone", "clients exact", "update error", "counts alone"],
        rows=[_line(one) for one in samples.federations],
        text=[f"Drawn normal updates of {LENGTH} entries, without noise. {' '.join(map(_said, samples.drawn))}"],
    )


def _line(one: Federation) -> list[str]:
    columns: Sequence[Sequence[float]] = (one.right, one.control_right, one.exact, one.error, one.control_error)
    return [f"`{one.name}`", *(f"{statistics.mean(values):.3f}" for values in columns)]


def _said(one: Drawn) -> str:
    return (
        f"{one.clients} clients, {one.taking_part} a round, {one.rounds} rounds, counts of {one.window}: "
        f"{one.right:.4f} of the matrix (counts alone {one.control:.3f}), {one.exact:.3f} of the clients exactly, "
        f"{one.seconds:.1f} CPU s."
    )


if __name__ == "__main__":
    main()
