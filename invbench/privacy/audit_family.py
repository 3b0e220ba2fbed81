"""Null families: mechanisms of one parameter, against which an audit is held. So far the Gaussian one.

A bound that supposes a family says nothing of mechanisms outside it: its name stands beside the number.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from invbench.defenses._accountant import FURTHEST, gaussian_epsilon

Array = npt.NDArray[np.float64]

MOST = FURTHEST
"""The largest parameter looked at."""
STEPS = 60  # of a bisection: float64 holds no more


class Family(Protocol):
    """Mechanisms ordered by one parameter, 0 for one that tells nothing: what a null hypothesis can be."""

    name: str

    def epsilon(self, parameter: float, delta: float) -> float:
        """The least epsilon that the mechanism has at this delta."""
        ...

    def least_false(self, true: float, parameter: float) -> float:
        """Least probability out of an event whose probability in is `true`: f^-1(1 - true), f the trade-off curve."""
        ...

    def error(self, parameter: float, quantile: Array) -> Array:
        """Mean posterior error of canaries whose |log-likelihood ratio| lies above its quantiles, each in [0, 1)."""
        ...


class Gaussian:
    """N(0, 1) without a canary, N(mu, 1) with it: one release of a sum with noise 1/mu of the sensitivity.

    T releases that hold the canary for sure (q = 1) are one with mu sqrt(T). Sampled batches (q < 1) are none of it.
    """

    name = "Gaussian"

    def epsilon(self, parameter: float, delta: float) -> float:
        """Of the exact mechanism (Balle and Wang 2018, arXiv 1805.06530, theorem 8)."""
        return gaussian_epsilon(parameter, delta) if parameter > 0 else 0.0

    def least_false(self, true: float, parameter: float) -> float:
        """Phi(Phi^-1(true) - mu)."""
        return float(ndtr(ndtri(true) - parameter))

    def error(self, parameter: float, quantile: Array) -> Array:
        """With y = x - mu/2 the ratio is mu y, and |y| is at most t with probability Phi(t - mu/2) - Phi(-t - mu/2).

        Above t the likelier side is wrong with probability Phi(-t - mu/2) / P(|y| > t).
        """
        half = parameter / 2
        low, high = np.zeros_like(quantile), np.full_like(quantile, half + 40.0)  # 40: beyond any float64's quantile
        for _ in range(STEPS):
            middle = (low + high) / 2
            below = ndtr(middle - half) - ndtr(-middle - half) < quantile
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        wrong, right = ndtr(-low - half), ndtr(half - low)
        return np.asarray(wrong / (wrong + right), dtype=np.float64)


GAUSSIAN = Gaussian()
