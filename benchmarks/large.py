"""What does a search read of a hundred pictures at once, and of one picture at 224 x 224?

python benchmarks/large.py [--data cifar10-train-4660.npz] [--only convnet,100] [--anew]

Parts that are done are kept in unfinished/, so that they may be measured one by one (`--only`, without a table).
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from _cells import TRAIN, cell_of
from _measure import record
from _parts import UNFINISHED, finish
from _parts import read as read_parts
from _raw import Kept, Name, Revision
from _revision import clean_revision
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

CPU = torch.device("cpu")
PARTS = UNFINISHED / "large"
CIFAR = "{{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}"
CASES = {
    "convnet,100": (CIFAR, "{name: convnet, width: 16}", 100, 1, 400),
    "resnet18,224": ("{{name: natural, size: 224}}", "resnet18", 1, 2, 600),
}
"""Name to data, model, batch size, targets and steps of signed Adam."""
BEST, CANDIDATES = 5, 100
MATRIX = """\
dataset: {dataset}
targets: {targets}
grid:
  attack: [{{name: inverting-gradients, iterations: {iterations}, tv: {tv}}}]
  model: [{model}]
  batch_size: [{batch}]
"""
TV = 0.01


class Settings(Kept, frozen=True):
    tv: float = TV


class Part(Kept, frozen=True):
    """Scores of each picture of all targets, and the PSNR of each control; CPU seconds."""

    case: Name
    revisions: list[Revision]
    iterations: int
    psnr: list[float]
    lpips: list[float]
    identified: list[float]
    chance: float
    controls: dict[Name, list[float]]
    seconds: float


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=TRAIN)
    arguments.add_argument("--only", nargs="+", choices=CASES, help="these parts alone, without a table")
    arguments.add_argument("--anew", action="store_true", help="throw away what is done")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    revision, settings = clean_revision(), Settings()

    def make(name: str) -> Part:
        return measure(settings, name, asked.data, revision)

    finish(PARTS, asked.only or list(CASES), make, revision, asked.anew)
    if not asked.only:
        record("large", settings, lambda: Samples(read_parts(PARTS, list(CASES), Part)))


def measure(settings: Settings, case: str, data: Path, revision: str) -> Part:
    cell = _cell(settings, case, data)
    deal, started = dealt(cell, CPU), time.process_time()
    answers = answered(attack_of(cell), deal.observations, execution.Settings()).answers
    seconds = time.process_time() - started
    scores, controls = deal.score(answers), deal.controls()
    part = Part(
        case=case,
        revisions=[revision],
        iterations=CASES[case][4],
        psnr=_flat(scores["psnr"]),
        lpips=_flat(scores["lpips"]),
        identified=_flat(scores["identified"]),
        chance=1 / CANDIDATES,
        controls={name: _flat(found["psnr"]) for name, found in controls.items()},
        seconds=seconds,
    )
    print(case, *(round(statistics.mean(one), 3) for one in (part.psnr, part.lpips, part.identified)), flush=True)
    return part


def _cell(settings: Settings, case: str, data: Path) -> Cell:
    dataset, model, batch, targets, iterations = CASES[case]
    words = {"dataset": dataset.format(data=data), "model": model, "batch": batch, "targets": targets}
    return cell_of(MATRIX.format(**words, iterations=iterations, tv=settings.tv))


def _flat(values: list[list[float | None]]) -> list[float]:
    """Of every picture; SystemExit where one has no value."""
    every = [value for of in values for value in of]
    found = [value for value in every if value is not None]
    if len(found) < len(every):
        raise SystemExit(f"{len(every) - len(found)} of {len(every)} pictures have no value of a metric")
    return found


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What does a search read of a hundred pictures, and of one at 224 x 224?",
        question="`inverting-gradients`, untrained networks, labels known, BatchNorm in evaluation mode. "
        "`convnet,100`: width 16, a hundred CIFAR-10 pictures in one batch; `resnet18,224`: single photographs. "
        "Identified: nearest by LPIPS among 100 candidates. The best five pictures are chosen after the fact.",
        command="python benchmarks/large.py",
        columns=["case", "steps", "PSNR", "best five", "LPIPS", "identified", "chance", "controls, dB", "CPU, s"],
        rows=[_row(part) for part in samples.parts],
    )


def _row(part: Part) -> list[str]:
    best = sorted(part.psnr, reverse=True)[:BEST]
    controls = ", ".join(f"{name} {statistics.mean(values):.2f}" for name, values in sorted(part.controls.items()))
    return [
        f"`{part.case}`",
        str(part.iterations),
        f"{statistics.mean(part.psnr):.2f}",
        ", ".join(f"{value:.1f}" for value in best),
        f"{statistics.mean(part.lpips):.3f}",
        f"{statistics.mean(part.identified):.2f}",
        f"{part.chance:.3g}",
        controls,
        f"{part.seconds:.0f}",
    ]


if __name__ == "__main__":
    main()
