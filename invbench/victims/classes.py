"""What a game of classes needs beside its victim: class means, a classifier of its own, how often a network errs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from invbench import registry
from invbench.cell import Cell, Choice
from invbench.core.randomness import seed_of
from invbench.data import ImagePool

Array = npt.NDArray[Any]
BLOCK = 256
"""Pictures that a network is given at a time."""


def always_trained(cell: Cell) -> Cell:
    """The cell with its model trained, whatever the matrix says: an untrained one has nothing to give away."""
    settings = tuple((key, True if key == "trained" else value) for key, value in cell.model.settings)
    return replace(cell, model=replace(cell.model, settings=settings))


def classifier_cell(cell: Cell) -> Cell:
    """The cell whose victim is the separate classifier: `mlp` of one seed whatever the cell's, without defences.

    A ReLU network of two hidden layers: it shares the training pictures with the model attacked, and no weights.
    """
    settings = registry.load("model", "mlp").settings({"trained": True, "training_steps": 500})
    own = Choice("model", "mlp", tuple(settings.items()))
    return replace(cell, model=own, defense=(), seed=seed_of("the classifier that names answers"))


@lru_cache(maxsize=8)
def without_last_classes(pool: ImagePool, known: int) -> ImagePool:
    """The pool of which nothing of the last `known` classes is trained on or held out; they keep their numbers."""
    private = pool.classes - known
    train, held_out = (places[pool.labels[places] < private] for places in (pool.train, pool.trained_targets))
    return replace(pool, train=train, trained_targets=held_out)


def training_pictures(pool: ImagePool, label: int) -> Array:
    """Indexes of the training pictures of a class."""
    found: Array = pool.train[pool.labels[pool.train] == label]
    return found


@lru_cache(maxsize=8)
def class_means(pool: ImagePool) -> Array:
    """The mean of each class's training pictures `(classes, C, H, W)`, float64 in [0, 1], NaN where it has none."""
    means = np.full((pool.classes, *pool.images.shape[1:]), np.nan)
    for label in range(pool.classes):
        chosen = training_pictures(pool, label)
        if len(chosen):
            blocks = range(0, len(chosen), BLOCK)
            total = sum(pool.unit(chosen[k : k + BLOCK]).sum(axis=0, dtype=np.float64) for k in blocks)
            means[label] = total / len(chosen)
    return means


def training_mean(pool: ImagePool) -> Array:
    """The mean of all training pictures `(C, H, W)`."""
    counts = np.array([len(training_pictures(pool, label)) for label in range(pool.classes)])
    mean: Array = np.tensordot(counts / counts.sum(), np.nan_to_num(class_means(pool)), axes=1).clip(0, 1)
    return mean


def nearest_picture(pool: ImagePool, label: int, picture: Array) -> Array:
    """The training picture `(C, H, W)` of a class that has the least squared error to this one."""
    chosen = training_pictures(pool, label)
    errors = [
        np.square(pool.unit(chosen[k : k + BLOCK]) - picture).sum(axis=(1, 2, 3)) for k in range(0, len(chosen), BLOCK)
    ]
    nearest: Array = pool.unit(chosen[[int(np.concatenate(errors).argmin())]])[0].astype(np.float64)
    return nearest


def error_rate(answers: Callable[[Tensor], Tensor], pool: ImagePool, device: torch.device) -> float | None:
    """The share of held-out pictures whose likeliest class is another; None where none are held out."""
    held_out = pool.trained_targets
    wrong = 0
    for start in range(0, len(held_out), BLOCK):
        chosen = held_out[start : start + BLOCK]
        said = answers(torch.from_numpy(pool.unit(chosen)).to(device)).argmax(dim=1).cpu().numpy()
        wrong += int((said != pool.labels[chosen]).sum())
    return wrong / len(held_out) if len(held_out) else None
