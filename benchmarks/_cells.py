"""What the benchmarks attack: CIFAR-10 test pictures in the published normalisation, on untrained victims."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from invbench.cell import Cell
from invbench.games import Game
from invbench.matrix import load
from invbench.metrics import psnr
from invbench.observation import Guess, UpdateObservation
from invbench.play.asking import why_unsupported
from invbench.registry import load as part
from invbench.scoring.controls import stand_in
from invbench.scoring.reconstruction import match

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-test-first100.npz"
"""The first 100 test pictures: an npz with `images` and `labels`, beside the checkout unless `--data` says where."""
TRAIN = DATA.with_name("cifar10-train-4660.npz")
"""The first 932 pictures of each training batch, in the same form."""
CONTENT = "de71749c6bab751794a8894d38269f4df4cc5fc7e0d106ec550dc5d2bf3012c1"
"""The hash of their images and labels: the tables say that these are the pictures."""
MATRIX = """\
dataset: {{name: npz, path: {data}, mean: [.4914, .4822, .4465], std: [.2470, .2435, .2616]}}
targets: {targets}
seed: {seed}
grid:
  attack: [inverting-gradients]
  model: [{model}]
  batch_size: [{batch}]
  defense: [{defense}]
  protocol: [{{name: fedsgd, labels: {labels}}}]
"""


def stage(
    data: Path,
    model: str,
    batch: int,
    targets: int,
    device: str = "cpu",
    *,
    seed: int = 0,
    defense: str = "none",
    labels: str = "known",
) -> Any:
    """The round of one cell: its observations, and its truths for scoring. SystemExit where `data` is others."""
    words = {"data": data, "targets": targets, "model": model, "batch": batch}
    cell = cell_of(MATRIX.format(**words, seed=seed, defense=defense, labels=labels))
    refuse_others(cell, data)
    return part("game", cell.game).build({}, Game).deal(cell, torch.device(device))


def cell_of(text: str) -> Cell:
    """The one cell of a matrix; SystemExit where it is unsupported."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cell.yaml"
        path.write_text(text)
        (cell,) = load(path).cells
    if (why := why_unsupported(cell)) is not None:
        raise SystemExit(f"{cell.names['attack']}: {why}")
    return cell


def refuse_others(cell: Cell, data: Path) -> None:
    """SystemExit where a cell's pictures are not the first 100 test pictures of CIFAR-10."""
    if cell.data_hash != CONTENT:
        raise SystemExit(f"{data} does not hold the first 100 test pictures of CIFAR-10, which the tables speak of")


def known_labels(seen: UpdateObservation) -> torch.Tensor:
    assert seen.labels is not None
    return seen.labels


def decibels(round_: Any, index: int, images: torch.Tensor | None) -> list[float]:
    """PSNR of every picture of batch `index`."""
    return [float(value) for value in psnr(in_order(round_, index, images), round_.truths[index].images)]


def in_order(round_: Any, index: int, images: torch.Tensor | None) -> Any:
    """The pictures found of batch `index` in the order of least error, `(B, C, H, W)`.

    One that is missing (all of them for None: the attack failed) is there as it is scored, as the mean of the data
    set's other pictures, so that a mean is never one over survivors.
    """
    truth = round_.truths[index]
    found = images if images is not None else torch.zeros(0, *truth.images.shape[1:])
    return match(Guess(found), truth, stand_in(round_.pool, truth.indexes)).images
