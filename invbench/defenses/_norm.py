"""Clipping to an L2 or an L1 ball."""

from __future__ import annotations

from typing import Literal

import torch
from torch.linalg import vector_norm

from invbench.observation import Update

Norm = Literal["l2", "l1"]


def clipped(update: Update, norm: float, p: Norm = "l2") -> Update:
    """update / max(1, ||update||_p / norm), the norm taken over all tensors together.

    Abadi et al. 2016 (arXiv 1607.00133), Algorithm 1. An update inside the ball comes back bit for bit;
    one outside ends on its surface, up to the rounding of its own type.
    """
    order = {"l2": 2, "l1": 1}[p]
    length = vector_norm(torch.stack([vector_norm(tensor, order, dtype=torch.float64) for tensor in update]), order)
    factor = (norm / length).clamp(max=1)  # norm / 0 is infinite: a zero update stays
    return tuple(tensor * factor.to(tensor.dtype) for tensor in update)
