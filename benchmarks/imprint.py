"""How many pictures of a batch does the imprint module read exactly, and how many should it?

python benchmarks/imprint.py [--data cifar10-train-4660.npz] [--targets 20] [--only cumulative sparse]
"""

from __future__ import annotations

import argparse
import statistics
from math import comb
from pathlib import Path

import torch
from _cells import TRAIN, cell_of, decibels
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.crafting.imprint import STRUCTURES, Structure
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

CPU = torch.device("cpu")
ALL, EXACT = 4660, 80.0
MATRIX = """\
dataset: {{name: npz, path: {data}}}
targets: 1
offset: {offset}
grid:
  attack: [{{name: imprint, structure: {structure}, bins: {bins}}}]
  model: [{model}]
  batch_size: [{batch}]
  protocol: [{{name: fedsgd, public: {public}}}]
"""


class Settings(Kept, frozen=True):
    """`public`: pictures of the attacker's own, which place the bins' edges."""

    targets: int
    batch: int
    bins: int
    public: int
    model: Name
    structures: list[Name]


class Row(Kept, frozen=True):
    """Of each batch how many pictures are exact (above 80 dB), mean PSNR in dB, and D-SNR crafted and honest."""

    structure: Name
    exact: list[int]
    psnr: list[float]
    d_snr: list[float]
    d_snr_honest: list[float]


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=TRAIN)
    arguments.add_argument("--targets", type=int, default=20)
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--bins", type=int, default=1000)
    arguments.add_argument("--model", default="lenet")
    arguments.add_argument("--only", nargs="+", choices=STRUCTURES, default=list(STRUCTURES))
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    public = ALL - asked.targets * asked.batch
    settings = Settings(asked.targets, asked.batch, asked.bins, public, asked.model, asked.only)
    record("imprint", settings, lambda: measure(settings, asked.data))


def measure(settings: Settings, data: Path) -> Samples:
    return Samples([_row(settings, structure, data) for structure in STRUCTURES if structure in settings.structures])


def _row(settings: Settings, structure: Structure, data: Path) -> Row:
    """One batch at a time: an update with the module's 6 million weights is 25 MB."""
    exact, psnr, crafted, honest = [], [], [], []
    for number in range(settings.targets):
        cell = _cell(settings, structure, data, number)
        deal = dealt(cell, CPU)
        (guess,) = answered(attack_of(cell), deal.observations, execution.Settings()).answers
        values, told = decibels(deal, 0, guess.images), deal.limits()
        exact.append(sum(value > EXACT for value in values))
        psnr.append(statistics.mean(values))
        crafted.append(told["d_snr"][0][0])
        honest.append(told["d_snr_honest"][0][0])
        print(structure, number, exact[-1], round(psnr[-1], 2), round(crafted[-1], 3), round(honest[-1], 3), flush=True)
    return Row(structure, exact, psnr, crafted, honest)


def _cell(settings: Settings, structure: Structure, data: Path, number: int) -> Cell:
    words = {"data": data, "structure": structure, "offset": number, "public": settings.public}
    sizes = {"bins": settings.bins, "batch": settings.batch, "model": settings.model}
    return cell_of(MATRIX.format(**words, **sizes))


def alone(pictures: int, bins: int) -> float:
    """Expected pictures alone in their bin, where each falls into any bin equally likely, independently of the others.

    n (1 - 1/k)^(n-1).
    """
    return pictures * (1 - 1 / bins) ** (pictures - 1)


def alone_by_vectors(pictures: int, bins: int) -> float:
    """The same where every vector of how many pictures each bin holds is equally likely.

    So the authors' `expected_amount` counts: of all C(n+k-1, k-1) vectors C(k, i) C(k-i, j) C(n-i-j-1, j-1) have i bins
    of one and j bins of more. From that it takes n / k, the pictures of the bin that their reading loses.
    """
    total, found = comb(pictures + bins - 1, bins - 1), 0
    for i in range(pictures + 1):
        left = pictures - i
        ways = sum(comb(bins - i, j) * comb(left - j - 1, j - 1) for j in range(1, left // 2 + 1) if j <= bins - i)
        found += i * comb(bins, i) * (ways if left else 1)
    return found / total


def answer(settings: Settings, samples: Samples) -> Table:
    expected = alone(settings.batch, settings.bins)
    theirs = alone_by_vectors(settings.batch, settings.bins) - settings.batch / settings.bins
    return Table(
        title="How many pictures of a batch does the imprint module read exactly?",
        question=f"{settings.targets} batches of {settings.batch} CIFAR-10 pictures before an untrained "
        f"`{settings.model}`, {settings.bins:,} bins of brightness placed by {settings.public:,} other pictures: "
        f"share above 80 dB, where {expected / settings.batch:.3f} is expected of independent pictures.",
        command="python benchmarks/imprint.py",
        columns=["structure", "exact", "pictures a batch", "PSNR", "D-SNR", "D-SNR (honest)"],
        rows=[_line(settings, row) for row in samples.rows],
        text=[
            f"Each picture falls into one of {settings.bins:,} equally likely bins, and n (1 - 1/k)^(n-1) = "
            f"{expected:.2f} of {settings.batch} are expected alone. The formula that the authors coded gives "
            f"{theirs:.2f}: it takes all vectors of how many pictures each bin holds for equally likely, as if "
            "pictures were all alike, which puts several into one bin too often, and leaves out the brightest bin, "
            "which their reading overwrites. D-SNR is the mean over batches, and low: the module spreads over all "
            "pictures, and what a client can check by it does not show it."
        ],
    )


def _line(settings: Settings, row: Row) -> list[str]:
    share = statistics.mean(row.exact) / settings.batch
    means = [statistics.mean(values) for values in (row.psnr, row.d_snr, row.d_snr_honest)]
    return [
        f"`{row.structure}`",
        f"{share:.4f}",
        f"{statistics.mean(row.exact):.2f}",
        f"{means[0]:.1f} dB",
        *(f"{value:.2f}" for value in means[1:]),
    ]


if __name__ == "__main__":
    main()
