"""Which picture of a data set each answer is nearest to, whatever its brightness and contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def nearest(answers: Array, pictures: Array) -> tuple[Array, Array]:
    """For each of `answers` (M, ...) the index of the one of `pictures` (N, ...) that correlates most, and how much.

    Correlation over all values, (M,): the squared distance of pictures brought to mean 0 and length 1, the measure of
    Haim et al. 2022 (appendix). A flat answer correlates with nothing: index -1. Of equal ones the first.
    """
    if not len(answers):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    ours, theirs = _standard(answers), _standard(pictures)
    match = ours @ theirs.T
    index = match.argmax(axis=1)
    flat = ~ours.any(axis=1)
    return np.where(flat, -1, index), np.where(flat, 0.0, match[np.arange(len(match)), index])


def _standard(pictures: Array) -> Array:
    """Rows of mean 0 and length 1, float64; zeros where a picture is flat."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-5 * np.sqrt(rows.shape[1]), rows / np.where(length > 0, length, 1), 0.0)
