"""What does a search read of a hundred pictures at once, and of one picture at 224 x 224? With benchmarks/large.png.

python benchmarks/large.py [--data cifar10-train-4660.npz] [--device cuda] [--only convnet,100]
                           [--iterations N] [--tv W] [--anew]

Parts that are done are kept in unfinished/, so that they may be measured one by one (`--only`, without a table).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _parts
import numpy as np
import torch
from _cells import TRAIN, cell_of, in_order
from _measure import clock_of, steps_on
from _raw import HERE, Kept, Name
from _table import Table
from numpy.typing import NDArray
from PIL import Image

from invbench.cell import Cell
from invbench.core import execution
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

PARTS = _parts.UNFINISHED / "large"
CIFAR = "{{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}"
CASES = {
    "convnet,100": (CIFAR, "{name: convnet, width: 16}", 100, 1, 400, 0.01),
    "resnet18,224": ("{{name: natural, size: 224}}", "resnet18", 1, 2, 600, 0.01),
}
"""Name to data, model, batch size, targets, steps of signed Adam on a CPU and the weight of total variation."""
BEST, CANDIDATES = 5, 100
MATRIX = """\
dataset: {dataset}
targets: {targets}
offset: {offset}
grid:
  attack: [{{name: inverting-gradients, iterations: {iterations}, tv: {tv}}}]
  model: [{model}]
  batch_size: [{batch}]
"""


class Settings(Kept, frozen=True):
    candidates: int = CANDIDATES


class Part(Kept, frozen=True):
    """Scores of each picture of all targets, and the PSNR of each control; CPU seconds (wall on a GPU)."""

    case: Name
    iterations: int
    tv: float
    psnr: list[float]
    lpips: list[float]
    identified: list[float]
    chance: float
    controls: dict[Name, list[float]]
    seconds: float


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    arguments = _parts.options(__doc__, TRAIN, [*CASES])
    arguments.add_argument("--iterations", type=int, help="steps, instead of a case's own")
    arguments.add_argument("--tv", type=float, help="weight of total variation, instead of a case's own")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()

    def make(name: str) -> Part:
        return measure(name, asked.data, asked.device, asked.iterations, asked.tv)

    _parts.measure("large", asked, [*CASES], make, Part, Settings(), Samples)
    if not asked.only:
        show([PARTS / f"{case}.png" for case in CASES], HERE / "large.png")


def measure(
    case: str,
    data: Path,
    device: str = "cpu",
    iterations: int | None = None,
    tv: float | None = None,
    offset: int = 0,
) -> Part:
    *_, own_iterations, own_tv = CASES[case]
    iterations, tv = iterations or own_iterations, own_tv if tv is None else tv
    cell, clock = _cell(case, data, iterations, tv, offset), clock_of(device)
    deal = dealt(cell, torch.device(device))
    started = clock()
    answers = answered(attack_of(cell), deal.observations, steps_on(device)).answers
    seconds = clock() - started
    scores, controls = deal.score(answers), deal.controls()
    draw(PARTS / f"{case}.png", *best(deal, [one.images for one in answers]))
    part = Part(
        case=case,
        iterations=iterations,
        tv=tv,
        psnr=_flat(scores["psnr"]),
        lpips=_flat(scores["lpips"]),
        identified=_flat(scores["identified"]),
        chance=1 / CANDIDATES,
        controls={name: _flat(found["psnr"]) for name, found in controls.items()},
        seconds=seconds,
    )
    print(case, *(round(statistics.mean(one), 3) for one in (part.psnr, part.lpips, part.identified)), flush=True)
    return part


def best(deal: Any, found: Sequence[torch.Tensor]) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """The pictures of all targets that were read best, at most five: the originals, and what was found of them."""
    true = np.concatenate([truth.images for truth in deal.truths])
    ours = np.concatenate([np.asarray(in_order(deal, k, images)) for k, images in enumerate(found)])
    order = np.square(true - ours).mean(axis=(1, 2, 3)).argsort()[:BEST]
    return true[order], ours[order]


def draw(path: Path, true: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> None:
    """Originals above, `(n, C, H, W)` in [0, 1], what was found below."""
    rows = [np.concatenate(list(pictures), axis=2) for pictures in (true, found)]
    pixels = (255 * np.concatenate(rows, axis=1).transpose(1, 2, 0)).clip(0, 255).round().astype("uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def show(drawn: Sequence[Path], path: Path) -> None:
    """These drawings under each other, each as wide as the widest."""
    opened = [Image.open(one) for one in drawn]
    width = max(one.width for one in opened)
    sized = [one.resize((width, one.height * width // one.width), Image.Resampling.NEAREST) for one in opened]
    whole = Image.new("RGB", (width, sum(one.height for one in sized)))
    for k, one in enumerate(sized):
        whole.paste(one, (0, sum(other.height for other in sized[:k])))
    whole.save(path)


def _cell(case: str, data: Path, iterations: int, tv: float, offset: int) -> Cell:
    dataset, model, batch, targets, *_ = CASES[case]
    words = {"dataset": dataset.format(data=data), "model": model, "batch": batch, "targets": targets}
    return cell_of(MATRIX.format(**words, iterations=iterations, tv=tv, offset=offset))


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
        f"Identified: nearest by LPIPS among {settings.candidates} candidates. The best five: chosen after the fact.",
        command="python benchmarks/large.py",
        columns=[
            "case",
            "steps",
            "tv",
            "PSNR",
            "best five (their control)",
            "LPIPS",
            "identified",
            "chance",
            "controls, dB",
            "time, s",
        ],
        rows=[_row(part) for part in samples.parts],
        text=["![The best pictures of each case: originals above, what was found below](large.png)"],
    )


def _row(part: Part) -> list[str]:
    strongest = max(part.controls.values(), key=statistics.mean)
    best = sorted(zip(part.psnr, strongest, strict=True), reverse=True)[:BEST]
    controls = ", ".join(f"{name} {statistics.mean(values):.2f}" for name, values in sorted(part.controls.items()))
    return [
        f"`{part.case}`",
        f"{part.iterations:,}",
        f"{part.tv:g}",
        f"{statistics.mean(part.psnr):.2f}",
        ", ".join(f"{found:.1f} ({control:.1f})" for found, control in best),
        f"{statistics.mean(part.lpips):.3f}",
        f"{statistics.mean(part.identified):.2f}",
        f"{part.chance:.3g}",
        controls,
        f"{part.seconds:.0f}",
    ]


if __name__ == "__main__":
    main()
