"""Pictures as networks see them: (x - mean) / std, by channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from invbench.data import ImagePool
from invbench.observation import Labelled

Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel."""


def normalised(images: npt.NDArray[np.floating], normalisation: Normalisation) -> Tensor:
    """Unit-range pictures `(N, C, H, W)` normalised, float32 on the CPU."""
    mean, std = (torch.tensor(channels, dtype=torch.float32).reshape(-1, 1, 1) for channels in normalisation)
    return (torch.from_numpy(images) - mean) / std


def labelled(pool: ImagePool, chosen: npt.NDArray[np.integer], normalisation: Normalisation | None) -> Labelled:
    """These pictures of a pool, normalised, with their labels; rows of a table by the constants of their pool."""
    own = normalised(pool.unit(chosen), normalisation or pool.normalisation)
    return Labelled(own, torch.from_numpy(pool.labels[chosen]))
