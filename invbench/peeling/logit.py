"""The logit, and the error signal, behind the gradient of a last layer with one output under the logistic loss.

With m = W x the logit, y = -1 or 1 and u = y m, the loss is log(1 + exp(-u)) and

    <dL/dW, W> = m dL/dm = -u / (1 + exp(u)) = h(u)                         (Zhu and Blaschko 2021, section 3.1)

h falls from infinity to 0 at u = 0 and to its least value at `LOWEST`, and rises to 0 again: where <dL/dW, W> is
negative two logits have it. A network without biases whose activations scale with their input cannot tell the two
apart: (1 + exp(u_2)) / (1 + exp(u_1)) times the picture has the same gradient in every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from invbench.observation import Failed

LOWEST = 1.2784645427610738
"""Where h is least: u = 1 + W(1 / e), with Lambert's W; h there is -W(1 / e)."""
_LEAST = 1 - LOWEST
_HIGHEST = 740.0
"""Above it exp(u) is too large for float64."""
_TINY = 1e-300
"""What is nearer to 0 counts as 0: its other root is near `_HIGHEST`."""


def logits(weight: Tensor, gradient: Tensor) -> tuple[float, ...]:
    """Every u = y m with h(u) = <dL/dW, W>, the least in size first; Failed where there is none."""
    return roots(float((weight * gradient).sum()))


def roots(product: float) -> tuple[float, ...]:
    """Every u with h(u) = `product`, to the last digits of a float64; Failed where there is none."""
    if product > -_TINY:
        product = max(product, 0.0)
        return (-_bisect(lambda t: t / (1 + math.exp(-t)) - product, product, 2 * product),)
    if product < _LEAST * (1 + 1e-6):
        raise Failed(f"no logit has this gradient under the logistic loss: <dL/dW, W> is {product:.4g}")
    below = max(product, _LEAST)

    def missing(u: float) -> float:
        return u / (1 + math.exp(u)) + below

    small = _bisect(missing, 0.0, LOWEST)
    large = _bisect(lambda u: -missing(u), LOWEST, _HIGHEST)
    return (small, large) if large > small else (small,)


def error_signal(u: float, label: int) -> float:
    """dL/dm at u of a picture of class 0 or 1."""
    return (1 - 2 * label) / (1 + math.exp(u))


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that rises is zero between `low` and `high`."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high if abs(rising(high)) < abs(rising(low)) else low
