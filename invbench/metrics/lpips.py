"""Learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924): AlexNet, v0.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

if TYPE_CHECKING:
    from invbench.metrics._images import Floats, Images


def lpips(a: Images, b: Images) -> Floats:
    """LPIPS of each pair, `(N,)`, at least 0; 0 for equal pictures.

    `a`, `b`: arrays or tensors `(N, 1 or 3, H, W)` of any float type in [0, 1], else ValueError. Grey is
    repeated to three channels; a smaller side under 32 pixels is first upsampled to 32 (bilinear, aspect
    kept). Pairs pass one at a time, in float32 on the CPU: a pair's bits do not depend on its neighbours.
    """
    from invbench.metrics._lpips import distances_of_pairs  # torch with it: a report needs the column alone

    return distances_of_pairs(a, b)


def _of_pictures(pictures: Floats, originals: Floats) -> Floats:
    """LPIPS of each pair, NaN where the pictures have neither 1 nor 3 channels."""
    return lpips(pictures, originals) if pictures.shape[1] in (1, 3) else np.full(len(pictures), np.nan)


METRIC = Metric(
    column=Column("lpips", "perceptual distance, AlexNet v0.1", better="lower", title="LPIPS", least=0.0),
    games=("update",),
    inputs=("pictures", "originals"),
    values=_of_pictures,
)
