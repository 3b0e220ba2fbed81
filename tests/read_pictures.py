"""How well an attack reads the pictures of a deal, without the metrics that take long."""

from __future__ import annotations

from typing import Any

import numpy as np

from invbench.cell import Cell
from invbench.games import Deal
from invbench.metrics import psnr
from invbench.play.asking import attack_of


def decibels(cell: Cell, deal: Deal[Any, Any]) -> list[float]:
    """PSNR of every picture of every target; one that is not answered is scored as the game scores it."""
    arrays = deal.arrays(attack_of(cell).attack_all(deal.observations))
    found = psnr(*(np.concatenate(arrays[name]).astype(np.float64) for name in ("reconstructions", "originals")))
    return [float(value) for value in found]


def share(cell: Cell, deal: Deal[Any, Any], above: float) -> float:
    """Of all pictures those above so many dB."""
    values = decibels(cell, deal)
    return sum(value > above for value in values) / len(values)
