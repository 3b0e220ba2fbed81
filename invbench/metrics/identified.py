"""Whether a reconstruction can be told to be of its original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

Unit = Callable[[Sequence[int]], npt.NDArray[np.floating[Any]]]
"""Numbers of pictures to the pictures `(N, C, H, W)` in [0, 1]."""


class Candidates(Protocol):
    """Pictures by number, among which each guess looks for its original: `places` `(B, K)`, the original's first."""

    @property
    def places(self) -> npt.NDArray[np.integer[Any]]: ...
    @property
    def unit(self) -> Unit: ...


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


def _among_candidates(pictures: Floats, candidates: Candidates) -> Floats:
    """1 where the nearest candidate by LPIPS is the original, else 0, `(B,)`; NaN for neither 1 nor 3 channels."""
    from invbench.metrics._lpips import lpips_distances, lpips_features  # torch with it

    if pictures.shape[1] not in (1, 3):
        return np.full(len(pictures), np.nan)
    found = []
    for features, places in zip(lpips_features(pictures), candidates.places, strict=True):
        others = np.stack([_features(candidates.unit, int(place)) for place in places])
        found.append(identified(lpips_distances(features[None], others), np.array([0]))[0])
    return np.array(found, dtype=np.float64)


@lru_cache(maxsize=128)  # the candidates of one picture and a few more: 2 MB each at 224 x 224
def _features(unit: Unit, place: int) -> npt.NDArray[np.float32]:
    from invbench.metrics._lpips import lpips_features

    features: npt.NDArray[np.float32] = lpips_features(unit([place]))[0]
    return features


METRIC = Metric(
    column=Column(
        "identified",
        "share whose nearest of up to 100 candidates, by LPIPS, is the original",
        least=0.0,
        most=1.0,
    ),
    games=("update",),
    inputs=("pictures", "candidates"),
    values=_among_candidates,
)
