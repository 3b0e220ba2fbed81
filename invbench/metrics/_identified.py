"""Whether a reconstruction can be told to be of its original."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def identified(
    distances: npt.NDArray[np.floating[Any]], originals: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.bool_]:
    """Whether each guess's nearest candidate is its original, `(N,)`.

    `distances`: `(N, K)`, guess to candidate, as `lpips_distances` gives them; `originals`: `(N,)`, the
    column of each guess's original. A candidate as near as the original (a copy of it) takes nothing
    away. ValueError for other shapes, for NaN, for a column that is not there.
    """
    if distances.ndim != 2 or originals.shape != distances.shape[:1]:
        raise ValueError(f"need distances (N, K) and originals (N,), not {distances.shape} and {originals.shape}")
    if np.isnan(distances).any():
        raise ValueError("distances hold NaN")
    if originals.size and not (originals.min() >= 0 and originals.max() < distances.shape[1]):
        raise ValueError(f"originals must be columns 0 to {distances.shape[1] - 1}")
    own = distances[np.arange(len(distances)), originals]
    return np.asarray((distances >= own[:, None]).all(axis=1))
