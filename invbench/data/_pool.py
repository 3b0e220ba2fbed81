"""From checked arrays to a pool: normalisation constants and the split of a user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invbench.data import BadData, ImagePool

Constants = tuple[float, ...]


BLOCK = 1 << 23
"""Values that statistics take to float64 at a time: 64 MiB. At least 128, which NumPy adds without halving."""
MOST_BYTES = 4 << 30
"""Of a user's pictures in memory. Every worker holds them: 28,000 RGB pictures of 224 x 224."""


def channel_statistics(images: NDArray[Any]) -> tuple[Constants, Constants]:
    """Mean and standard deviation per channel of pictures in [0, 1], to six digits so that machines agree.

    `images` is (N, C, H, W), uint8 or float in [0, 1]. A channel that never varies has no scale: its std is 1.
    """
    sums = np.zeros((2, images.shape[1]))
    for start in range(0, len(images), 512):
        sums += _sums(images[start : start + 512])
    mean, square = sums / (images.size // images.shape[1])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    scale = 255 if images.dtype == np.uint8 else 1
    return (
        tuple(round(float(value) / scale, 6) for value in mean),
        tuple(round(float(value) / scale, 6) or 1.0 for value in std),
    )


def _sums(images: NDArray[Any]) -> NDArray[np.float64]:
    """Sums of values and of their squares per channel, (2, C), in float64 copies of at most BLOCK values.

    Whatever the size, the numbers are added in NumPy's own order, so that no constant depends on BLOCK: one channel is
    one contiguous row; of several, picture after picture.
    """
    if images.size <= BLOCK:
        values = images.astype(np.float64)
        return np.stack([values.sum(axis=(0, 2, 3)), np.square(values).sum(axis=(0, 2, 3))])
    if images.shape[1] == 1:
        return _sums_of_row(images.reshape(-1))[:, None]
    total = np.zeros((2, images.shape[1]))
    for picture in images:
        total += np.stack([_sums_of_row(channel.reshape(-1)) for channel in picture], axis=1)
    return total


def _sums_of_row(values: NDArray[Any]) -> NDArray[np.float64]:
    """The two sums of a contiguous row, (2,), by halves as NumPy's pairwise summation makes them."""
    if values.size <= BLOCK:
        row = values.astype(np.float64)
        return np.array([row.sum(), np.square(row).sum()])
    half = values.size // 2
    half -= half % 8  # NumPy adds eight numbers at a time, and cuts between those
    return _sums_of_row(values[:half]) + _sums_of_row(values[half:])


def refuse_too_large(place: Path, bytes_: int, what: str, remedy: str) -> None:
    """BadData where what would take so many bytes in memory does not fit the budget; asked before it is read."""
    if bytes_ > MOST_BYTES:
        size = f"{bytes_ / (1 << 30):,.1f} GiB of memory; at most {MOST_BYTES >> 30} GiB"
        raise BadData(f"{place}: {what} take {size}: {remedy}")


def user_pool(
    place: Path,
    images: NDArray[Any],
    labels: NDArray[np.int64],
    classes: int,
    mean: Constants | None,
    std: Constants | None,
    notes: tuple[str, ...] = (),
) -> ImagePool:
    """The pool of a user's own pictures, in their own order.

    Untrained victims: every picture is a target. Trained ones: the first 70 % of each class train (rounded
    down), the rest are targets. Constants that the user did not give are the pictures' own.
    """
    own_mean, own_std = channel_statistics(images)
    trains = first_of_each_class(labels)
    try:
        return ImagePool(
            images=images,
            labels=labels,
            classes=classes,
            mean=own_mean if mean is None else mean,
            std=own_std if std is None else std,
            train=np.flatnonzero(trains),
            targets=np.arange(len(images)),
            trained_targets=np.flatnonzero(~trains),
            notes=notes,
        )
    except BadData as bad:
        raise BadData(f"{place}: {bad}") from None


def first_of_each_class(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pictures are among the first 70 % of their class, rounded down, in file order."""
    first = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        first[members[: len(members) * 7 // 10]] = True
    return first
