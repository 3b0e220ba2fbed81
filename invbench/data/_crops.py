"""Which squares of a photograph become pictures: by integer arithmetic, so the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from invbench.data._photographs import Box

Square = tuple[int, int, int]
"""Left, top, side in pixels of the photograph."""

THUMBNAIL = 16
"""Side of the small copies by which squares are compared."""

LEAST_CONTRAST = 24
"""Standard deviation, in grey levels, below which a square is too flat to be a target."""


def squares(region: Box, smallest: int, steps: int) -> list[Square]:
    """Squares of three sizes (1, 3/2 and 9/4 of the smallest) all over a region, `steps` to a side's length."""
    return [
        (left, top, side)
        for side in (smallest, smallest * 3 // 2, smallest * 9 // 4)
        for top in range(region.top, region.bottom - side + 1, side // steps)
        for left in range(region.left, region.right - side + 1, side // steps)
    ]


def cut(photograph: Image.Image, square: Square, size: int) -> NDArray[np.uint8]:
    """The square as a (3, size, size) picture.

    Pillow resizes 8-bit pictures in fixed point, and its bicubic filter widens when it shrinks (no aliasing).
    Cropped before it is resized: with `resize(box=...)` the filter would look at pixels outside the square.
    """
    left, top, side = square
    alone = photograph.crop((left, top, left + side, top + side))
    small = alone.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(small).transpose(2, 0, 1)


def thumbnails(photograph: Image.Image, chosen: Sequence[Square], factor: int) -> NDArray[np.float64]:
    """Copies of the squares small enough to compare, one row each, (n, 3 * 16 * 16).

    Whole numbers in float64, so sums of their products are exact. The photograph is first made `factor` times
    smaller, which is what makes this fast.
    """
    reduced = photograph.reduce(factor)
    rows = np.zeros((len(chosen), 3 * THUMBNAIL**2))
    for row, (left, top, side) in zip(rows, chosen, strict=True):
        right, bottom = (left + side) / factor, (top + side) / factor
        box = (left / factor, top / factor, min(right, reduced.width), min(bottom, reduced.height))
        small = reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX, box=box)
        row[:] = np.asarray(small).transpose(2, 0, 1).reshape(-1)
    return rows


def contrast(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over each thumbnail's pixels, in grey levels: the root of the channels' mean variance."""
    pixels = rows.reshape(len(rows), 3, -1)
    count = pixels.shape[-1]
    variance = count * np.square(pixels).sum(-1) - np.square(pixels.sum(-1))  # count^2 variances, exact
    result: NDArray[np.float64] = np.sqrt(variance.sum(-1) / 3) / count
    return result


def most_different(rows: NDArray[np.float64], seen: NDArray[np.float64]) -> Iterator[int]:
    """Indexes of rows, each time the one farthest (squared distance) from all seen and chosen so far.

    Of equals the earlier; none that equals one seen or chosen. So no two pictures are nearly the same while
    there are others left to choose.
    """
    norms = np.square(rows).sum(1)
    distance = np.full(len(rows), np.inf)
    pending = list(seen)
    while len(rows):
        for row in pending:
            distance = np.minimum(distance, norms + np.square(row).sum() - 2 * (rows @ row))
        best = int(distance.argmax())
        if distance[best] <= 0:
            return
        yield best
        pending = [rows[best]]
