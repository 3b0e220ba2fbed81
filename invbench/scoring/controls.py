"""Pictures that stand beside a guess: made without the update, and but for `grey` without the pictures attacked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.data import ImagePool
from invbench.metrics import best_grey, psnr

Array = npt.NDArray[Any]

BLOCK = 1 << 22
"""Values that are taken to float32 at a time: 16 MiB."""
MID_GREY = 0.5
EXACT = 80.0  # dB, as of the metric `exact`


def grey_control(originals: Array) -> Array:
    """The best single grey level of every picture, `(B, C, H, W)`: what knowing one number of each would score."""
    return best_grey(originals)


def mean_of_others(pool: ImagePool, attacked: Array) -> Array | None:
    """The mean `(C, H, W)`, unit range, float64, of the data set's pictures but those at these indexes.

    None where there are no others.
    """
    rest = len(pool.images) - len(attacked)
    if rest == 0:
        return None
    mean: Array = (_total(pool) - pool.unit(attacked).sum(axis=0, dtype=np.float64)) / rest
    return mean.clip(0, 1)  # the difference of two sums may be 1e-13 below zero


def stand_in(pool: ImagePool, attacked: Array) -> Array:
    """What a missing answer is scored as, `(C, H, W)`: the mean of the others, mid-grey where there are none."""
    mean = mean_of_others(pool, attacked)
    return np.full(pool.images.shape[1:], MID_GREY) if mean is None else mean


@lru_cache(maxsize=256)
def exact_already(pool: ImagePool, attacked: tuple[int, ...]) -> int:
    """Of how many of these pictures a control is exact, so that no attack can be seen to read more of them."""
    originals = pool.unit(attacked)
    mean = stand_in(pool, np.array(attacked))
    near = np.maximum(psnr(grey_control(originals), originals), psnr(np.broadcast_to(mean, originals.shape), originals))
    return int((near > EXACT).sum())


@lru_cache(maxsize=8)
def _total(pool: ImagePool) -> Array:
    """The sum of all pictures `(C, H, W)`, float64."""
    total = np.zeros(pool.images.shape[1:], dtype=np.float64)
    step = max(1, BLOCK // total.size)
    for begin in range(0, len(pool.images), step):
        total += pool.unit(np.arange(begin, min(begin + step, len(pool.images)))).sum(axis=0, dtype=np.float64)
    return total
