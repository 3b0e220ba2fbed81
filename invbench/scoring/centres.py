"""A few pictures that stand for many: k-means, the same for the same pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STEPS = 10
"""Of Lloyd's algorithm. For 2, 4 and 8 centres of each label the mean squared error is then at most 3.2 % above what
it is after 200 (`digits`; on `lfw` and `natural` 0.0 %)."""


def centres(pictures: Array, count: int) -> Array:
    """`count` pictures `(count, C, H, W)`, float64, near which those of `(N, C, H, W)`, N >= count, lie.

    Lloyd's algorithm (1982, 10.1109/TIT.1982.1056489) from pictures at equal steps of brightness. A centre to which no
    picture is nearest stays where it was.
    """
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    by_brightness = np.argsort(flat.mean(axis=1), kind="stable")
    found = flat[by_brightness[((np.arange(count) + 0.5) * len(flat) / count).astype(int)]]
    for _ in range(STEPS):
        nearest = (np.square(found).sum(axis=1) - 2 * flat @ found.T).argmin(axis=1)
        for place in np.unique(nearest):
            found[place] = flat[nearest == place].mean(axis=0)
    centred: Array = found.reshape(count, *pictures.shape[1:])
    return centred
