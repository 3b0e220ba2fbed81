"""From checked arrays to a pool: normalisation constants and the split of a user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invbench.data import BadData, ImagePool

Constants = tuple[float, ...]


def channel_statistics(images: NDArray[Any]) -> tuple[Constants, Constants]:
    """Mean and standard deviation per channel of pictures in [0, 1], to six digits so that machines agree.

    `images` is (N, C, H, W), uint8 or float in [0, 1]. A channel that never varies has no scale: its std is 1.
    """
    sums = np.zeros((2, images.shape[1]))
    for start in range(0, len(images), 512):  # in parts: float64 takes eight times the memory of uint8
        part = images[start : start + 512].astype(np.float64)
        sums += part.sum(axis=(0, 2, 3)), np.square(part).sum(axis=(0, 2, 3))
    mean, square = sums / (images.size // images.shape[1])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    scale = 255 if images.dtype == np.uint8 else 1
    return (
        tuple(round(float(value) / scale, 6) for value in mean),
        tuple(round(float(value) / scale, 6) or 1.0 for value in std),
    )


def user_pool(
    place: Path,
    images: NDArray[Any],
    labels: NDArray[np.int64],
    classes: int,
    mean: Constants | None,
    std: Constants | None,
) -> ImagePool:
    """The pool of a user's own pictures, in their own order.

    Untrained victims: every picture is a target. Trained ones: the first 70 % of each class train (rounded
    down), the rest are targets. Constants that the user did not give are the pictures' own.
    """
    channels = images.shape[1]
    for name, given in (("mean", mean), ("std", std)):
        if given is not None and len(given) != channels:
            raise BadData(f"{place}: {name} has {len(given)} values; the images have {channels} channels")
    own_mean, own_std = channel_statistics(images)
    trains = first_of_each_class(labels)
    return ImagePool(
        images=images,
        labels=labels,
        classes=classes,
        mean=own_mean if mean is None else mean,
        std=own_std if std is None else std,
        train=np.flatnonzero(trains),
        targets=np.arange(len(images)),
        trained_targets=np.flatnonzero(~trains),
    )


def first_of_each_class(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pictures are among the first 70 % of their class, rounded down, in file order."""
    first = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        first[members[: len(members) * 7 // 10]] = True
    return first
