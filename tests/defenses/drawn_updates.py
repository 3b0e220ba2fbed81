"""Drawn updates and small measures of them, for the property tests of the defences."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

from invbench.defenses import Context
from invbench.observation import Update


def updates(*, zeros: bool = True) -> st.SearchStrategy[Update]:
    """One to four tensors of any rank up to four, float32 or float64, with repeated values among them."""
    values = st.floats(-1000, 1000, width=32, allow_subnormal=False)
    if not zeros:
        values = values.filter(lambda v: v != 0)

    def tensors(dtype: type) -> st.SearchStrategy[Update]:
        shapes = array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4)
        array = shapes.flatmap(lambda shape: arrays(dtype, shape, elements=values))
        return st.lists(array.map(lambda a: torch.from_numpy(np.asarray(a).copy())), min_size=1, max_size=4).map(tuple)

    return st.sampled_from([np.float32, np.float64]).flatmap(tensors)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(update: Update) -> Tensor:
    """All coordinates as one float64 vector."""
    return torch.cat([tensor.reshape(-1).to(torch.float64) for tensor in update])


def length(update: Update) -> float:
    """The whole update's L2 norm."""
    return float(values(update).norm())


def same_bits(a: Update, b: Update) -> bool:
    """Equal types, shapes and bits, the sign of zero included."""
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.numpy().tobytes() == y.numpy().tobytes()
        for x, y in zip(a, b, strict=True)
    )


def context(seed: int) -> Context:
    """A client whose stream has this seed."""
    return Context(seeded(seed))
