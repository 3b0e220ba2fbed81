"""Additive noise over the whole update."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from invbench.defenses import VALUE, flatten
from invbench.observation import Update

MOST = 1e15
"""Largest standard deviation, and largest norm that noise is a multiple of: its square fits into float32."""


def add_noise(shared: Update, draw: Callable[[int], Tensor]) -> Update:
    """The update plus `draw(n)`: one CPU vector `(n,)` in float64 for all its n coordinates.

    One draw over the whole vector, because the mechanisms are defined on R^n: how a model cuts its
    parameters into tensors does not change the noise. In float64, because it is then the same noise, up
    to rounding, for every type of update.
    """
    vector, restore = flatten(shared)
    return restore(vector + draw(vector.numel()).to(vector))


def noisy_bytes(shared: Update) -> int:
    """Bytes of a noisy update: every value is a number of its own again, whatever was left out or rounded before."""
    return VALUE * sum(map(Tensor.numel, shared))
