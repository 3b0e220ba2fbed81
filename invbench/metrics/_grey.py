"""The control that knows one number of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invbench.metrics._images import Floats, unit_images

if TYPE_CHECKING:
    from invbench.metrics._images import Images


def best_grey(images: Images) -> Floats:
    """For each picture the grey one nearest to it, `(N, C, H, W)`: one level over all channels and pixels.

    The level of least mean squared error is the picture's mean. ValueError for images that are not
    `(N, C, H, W)` floats in [0, 1].
    """
    exact = unit_images(images, "images")
    return np.broadcast_to(exact.mean(axis=(1, 2, 3), keepdims=True), exact.shape).copy()
