"""How many pictures are recovered to the last visible digit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.metrics.psnr import psnr
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

_EXACT = 80.0  # dB


def exact(pictures: Floats, originals: Floats, returned: npt.NDArray[np.bool_]) -> Floats:
    """1 for each returned picture whose PSNR is above 80 dB, else 0, `(B,)`."""
    return (returned & (psnr(pictures, originals) > _EXACT)).astype(np.float64)


METRIC = Metric(
    column=Column("exact", "share recovered above 80 dB", least=0.0, most=1.0),
    games=("update",),
    inputs=("pictures", "originals", "returned"),
    values=exact,
)
