"""Which guess is of which original: a batch has no order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import unit_images

if TYPE_CHECKING:
    from invbench.metrics._images import Images


def assign(guesses: Images, originals: Images) -> npt.NDArray[np.int64]:
    """For each original the index of its guess, `(B,)`, or -1 where no guess is left for it.

    The Hungarian assignment of least total mean squared error (Kuhn 1955). `guesses` `(M, C, H, W)` and
    `originals` `(B, C, H, W)` in [0, 1]; M may be smaller than B, equal or larger. ValueError for other
    images.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # slow to load, for batches alone

    guessed, true = unit_images(guesses, "guesses"), unit_images(originals, "originals")
    if guessed.shape[1:] != true.shape[1:]:
        raise ValueError(f"guesses and originals must be images of one shape, not {guessed.shape} and {true.shape}")
    mse = np.empty((len(true), len(guessed)))
    for row, original in zip(mse, true, strict=True):
        row[:] = np.square(guessed - original).mean(axis=(1, 2, 3))
    index = np.full(len(true), -1, dtype=np.int64)
    rows, columns = linear_sum_assignment(mse)
    index[rows] = columns
    return index
