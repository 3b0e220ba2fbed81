"""What the gradient of units that are bins tells: of each bin the mean picture, weighted by each picture's signal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.crafting.imprint import Structure
from invbench.updates.arithmetic import UNIT

_SURE = 4.0
"""Standard deviations of rounding above which a bin's signal is no rounding: one of 16,000 empty bins passes."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Of each bin that holds a picture: its content `(K, pixels)`, and the sum of its signals `(K,)`, float64."""

    pictures: Tensor
    signals: Tensor


def read_bins(weight: Tensor, bias: Tensor, structure: Structure, pictures: int) -> Bins:
    """The bins' contents from the gradient of the units' weights `(k, pixels)` and biases `(k,)`, up to a factor.

    With s(x) the gradient of the loss by a unit that x switches on, a row holds sum s(x) x and its bias sum s(x), over
    the pictures above its edge where `cumulative`: the difference to the next row is of one bin, that of the last row
    the row itself. One picture in a bin is then exact, several are their mean weighted by s. A bin is taken for empty
    where its signal is within what rounding leaves of the sums of so many `pictures` (`updates/arithmetic.py`).
    """
    rows, signals = weight.double(), bias.double()
    rounding = 0.0
    if structure == "cumulative":
        rounding = _SURE * UNIT * math.sqrt(pictures / 3) * float(signals.abs().max())
        rows, signals = _differences(rows), _differences(signals)
    held = signals.abs() > rounding
    return Bins(rows[held] / signals[held, None], signals[held])


def _differences(sums: Tensor) -> Tensor:
    """Each row without the next one; the last as it is."""
    return sums - torch.cat([sums[1:], torch.zeros_like(sums[:1])])
