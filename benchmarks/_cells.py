"""What the benchmarks attack: CIFAR-10 test pictures in the published normalisation, on untrained victims."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from invbench.games import Game
from invbench.matrix import load
from invbench.metrics import assign, psnr
from invbench.observation import UpdateObservation
from invbench.registry import load as part

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-test-first100.npz"
"""The first 100 test pictures: an npz with `images` and `labels`, beside the checkout unless `--data` says where."""
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
    """The round of one cell: its observations, and its truths for scoring."""
    words = {"data": data, "targets": targets, "model": model, "batch": batch}
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(**words, seed=seed, defense=defense, labels=labels))
        (cell,) = load(matrix).cells
    return part("game", cell.game).build({}, Game).deal(cell, torch.device(device))


def known_labels(seen: UpdateObservation) -> torch.Tensor:
    assert seen.labels is not None
    return seen.labels


def decibels(images: torch.Tensor, truth: Any) -> list[float]:
    """PSNR of every picture of a batch, in the order of least error."""
    guess = images.detach().cpu().double().numpy()
    return [float(value) for value in psnr(guess[assign(guess, truth.images)], np.asarray(truth.images))]
