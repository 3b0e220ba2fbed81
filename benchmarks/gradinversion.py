"""Is GradInversion better than inverting-gradients on a trained ResNet-20, and what are the batch's statistics worth?

python benchmarks/gradinversion.py [--data cifar10-train-4660.npz] [--device cuda]
                                   [--only gradinversion-0 ...] [--anew]

One attack on one batch is a part, `WAY-BATCH`; a part that is done lies in unfinished/ and is not computed again at the
same revision. Each runs on one thread: two of these commands with different parts take two cores, or share a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import _parts
import torch
from _cells import TRAIN, cell_of
from _measure import clock_of, steps_on
from _raw import Kept, Name
from _summary import summary
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

BATCHES, PICTURES, RESTARTS, ITERATIONS = 4, 8, 4, 1500
MODEL = "{name: resnet20, trained: true, training_steps: 2000}"
WAYS = {
    "inverting-gradients": ("inverting-gradients", "before"),
    "gradinversion": ("gradinversion", "before"),
    "gradinversion,given": ("gradinversion", "given"),
}
"""Name to attack and grant; the first is what the others are held against."""
MATRIX = """\
dataset: {{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}
targets: 1
offset: {index}
grid:
  attack: [{{name: {attack}, iterations: {iterations}, restarts: {restarts}}}]
  model: [{model}]
  batch_size: [{batch}]
  protocol: [{{name: fedsgd, batch_statistics: {grant}}}]
"""


class Settings(Kept, frozen=True):
    batches: int = BATCHES
    pictures: int = PICTURES
    restarts: int = RESTARTS
    iterations: int = ITERATIONS


class Part(Kept, frozen=True):
    """Scores of each picture of one batch, and of the better of two controls that read nothing; CPU seconds (wall on a
    GPU)."""

    way: Name
    index: int
    psnr: list[float]
    lpips: list[float]
    control: list[float]
    seconds: float


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    asked = _parts.options(__doc__, TRAIN, names()).parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    settings = Settings()

    def make(name: str) -> Part:
        way, index = name.rsplit("-", 1)
        return measure(settings, way, int(index), asked.data, device=asked.device)

    _parts.measure("gradinversion", asked, names(), make, Part, settings, Samples)


def names() -> list[str]:
    return [f"{way}-{index}" for index in range(BATCHES) for way in WAYS]


def measure(settings: Settings, way: str, index: int, data: Path, model: str = MODEL, device: str = "cpu") -> Part:
    """One attack on one batch of a network that is trained on none of its pictures."""
    cell = _cell(settings, way, index, data, model)
    deal = dealt(cell, torch.device(device))
    clock = clock_of(device)
    started = clock()
    answers = answered(attack_of(cell), deal.observations, steps_on(device)).answers
    seconds = clock() - started
    scores, controls = deal.score(answers), deal.controls()
    best = max(controls.values(), key=lambda found: sum(found["psnr"][0]))
    return Part(way, index, scores["psnr"][0], scores["lpips"][0], best["psnr"][0], seconds)


def _cell(settings: Settings, way: str, index: int, data: Path, model: str) -> Cell:
    attack, grant = WAYS[way]
    words = {"data": data, "index": index, "attack": attack, "grant": grant, "model": model}
    numbers = {"iterations": settings.iterations, "restarts": settings.restarts, "batch": settings.pictures}
    return cell_of(MATRIX.format(**words, **numbers))


def answer(settings: Settings, samples: Samples) -> Table:
    first, *_ = WAYS
    return Table(
        title="Is GradInversion better than inverting-gradients on a trained network?",
        question=f"Mean PSNR and LPIPS of {settings.batches} batches of {settings.pictures} CIFAR-10 pictures, "
        f"{settings.restarts} restarts of {settings.iterations:,} steps, labels known, BatchNorm in evaluation mode, "
        "`resnet20` trained for 2,000 batches of 32 on other pictures; `given`: with the batch's own statistics. The "
        f"difference to `{first}` has its paired 95 % interval over batches; a star where it excludes zero.",
        command="python benchmarks/gradinversion.py",
        text=["The control is the better of the best grey and the mean of other pictures; it reads nothing."],
        columns=["attack", "PSNR, dB", "control, dB", "LPIPS", "PSNR gained, dB", "LPIPS lowered", "time, s a batch"],
        rows=[_row(way, samples.parts) for way in WAYS],
    )


def _row(way: str, parts: Sequence[Part]) -> list[str]:
    first, *_ = WAYS
    mine, theirs = ([part for part in parts if part.way == one] for one in (way, first))
    of = {name: summary([getattr(part, name) for part in mine]).mean for name in ("psnr", "control", "lpips")}
    gained = _gain([(one.psnr, other.psnr) for one, other in zip(mine, theirs, strict=True)])
    lowered = _gain([(other.lpips, one.lpips) for one, other in zip(mine, theirs, strict=True)])
    seconds = sum(part.seconds for part in mine) / len(mine)
    shown = [f"{of['psnr']:.2f}", f"{of['control']:.2f}", f"{of['lpips']:.3f}"]
    return [f"`{way}`", *shown, *(["", ""] if way == first else [gained, lowered]), f"{seconds:.0f}"]


def _gain(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> str:
    found = summary([[a - b for a, b in zip(ours, theirs, strict=True)] for ours, theirs in pairs])
    if found.ci_low is None or found.ci_high is None:
        return f"{found.mean:.3f}"
    star = " *" if found.ci_low > 0 or found.ci_high < 0 else ""
    return f"{found.mean:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}]{star}"


if __name__ == "__main__":
    main()
