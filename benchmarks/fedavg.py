"""What is it worth to simulate a client's local steps, instead of taking its update for one gradient?

python benchmarks/fedavg.py [--data cifar10-test-first100.npz] [--only lenet-1-0.1 ...] [--anew]

On `lenet` as it was published (sigmoid, weights from uniform(-0.5, 0.5)) one step at a rate of 0.1 already answers the
batch, so that four more change little, and batches of four are hardly read however the update is taken: there little
can be told. The same network with tanh and PyTorch's start is read.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import product
from pathlib import Path

import _parts
import torch
from _cells import DATA, cell_of, decibels, refuse_others
from _measure import steps_on
from _raw import Kept, Name
from _summary import summary
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

STEPS, RATES, BATCHES = 5, (0.1, 1e-4), (1, 4)
MODELS = {"lenet": "lenet", "lenet,tanh": "{name: lenet, activation: tanh, start: pytorch}"}
MATRIX = """\
dataset: {{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}
targets: {targets}
grid:
  attack:
    - {{name: inverting-gradients, simulate: {simulate}, iterations: {iterations}, tv: {tv}}}
  model: [{model}]
  batch_size: [{batch}]
  protocol: [{{name: fedavg, steps: 5, lr: {lr}}}]
"""


class Settings(Kept, frozen=True):
    targets: int = 8
    iterations: int = 600
    tv: float = 0.01


class Row(Kept, frozen=True):
    """PSNR in dB of each picture of each target, with the client's steps simulated and without."""

    model: Name
    batch: int
    lr: float
    simulated: list[list[float]]
    one_gradient: list[list[float]]
    grey: list[list[float]]

    @property
    def gain(self) -> list[list[float]]:
        """dB by which simulation is better, of each target."""
        return [
            [statistics.mean(a) - statistics.mean(b)] for a, b in zip(self.simulated, self.one_gradient, strict=True)
        ]


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    asked = _parts.options(__doc__, DATA, names()).parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    settings = Settings()

    def make(name: str) -> Row:
        model, batch, lr = name.split("-", 2)
        return measure(settings, model, int(batch), float(lr), asked.data, asked.device)

    _parts.measure("fedavg", asked, names(), make, Row, settings, Samples)


def names() -> list[str]:
    return [f"{model}-{batch}-{lr:g}" for model, batch, lr in product(MODELS, BATCHES, RATES)]


def measure(settings: Settings, model: str, batch: int, lr: float, data: Path, device: str = "cpu") -> Row:
    """Both attacks on the same updates, from the same starts but for the name of their stream."""
    cells = [_cell(settings, model, batch, lr, simulate, data) for simulate in (True, False)]
    found = []
    for cell in cells:
        deal = dealt(cell, torch.device(device))
        answers = answered(attack_of(cell), deal.observations, steps_on(device)).answers
        found.append([decibels(deal, k, one.images) for k, one in enumerate(answers)])
    grey = dealt(replace(cells[0], controls=("grey",)), torch.device("cpu")).controls()["grey"]["psnr"]
    row = Row(model, batch, lr, found[0], found[1], [[float(v) for v in of if v is not None] for of in grey])
    print(
        model, batch, lr, *(round(_mean(side), 2) for side in (row.simulated, row.one_gradient, row.grey)), flush=True
    )
    return row


def _cell(settings: Settings, model: str, batch: int, lr: float, simulate: bool, data: Path) -> Cell:
    words = {"data": data, "targets": settings.targets, "batch": batch, "lr": lr}
    words |= {"iterations": settings.iterations, "tv": settings.tv, "model": MODELS[model]}
    cell = cell_of(MATRIX.format(**words, simulate=str(simulate).lower()))
    refuse_others(cell, data)
    return cell


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What is it worth to simulate a client's local steps?",
        question=f"`inverting-gradients`, {settings.iterations} steps, on an untrained `lenet`, as published and with "
        f"tanh and PyTorch's start, {settings.targets} batches of CIFAR-10; clients take {STEPS} steps of SGD on their "
        "whole batch. Mean PSNR in dB; the gain is paired, with its 95 % interval over batches. Grey: the best grey of "
        "each picture, which reads nothing.",
        command="python benchmarks/fedavg.py",
        columns=["network", "batch", "lr", "steps simulated", "taken for one gradient", "gain", "grey"],
        rows=[_line(row) for row in samples.rows],
    )


def _line(row: Row) -> list[str]:
    gain = summary(row.gain)
    means = [f"{_mean(side):.2f}" for side in (row.simulated, row.one_gradient, row.grey)]
    interval = f"{gain.mean:+.2f} [{gain.ci_low:.2f}, {gain.ci_high:.2f}]" if gain.ci_low is not None else "-"
    return [f"`{row.model}`", str(row.batch), f"{row.lr:g}", *means[:2], interval, means[2]]


def _mean(side: list[list[float]]) -> float:
    return statistics.mean(value for target in side for value in target)


if __name__ == "__main__":
    main()
