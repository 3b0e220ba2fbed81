"""Clipping to an L2 ball."""

from __future__ import annotations

import torch
from torch.linalg import vector_norm

from invbench.observation import Update


def clipped(update: Update, norm: float) -> Update:
    """update / max(1, ||update||_2 / norm), the norm taken over all tensors together.

    Abadi et al. 2016 (arXiv 1607.00133), Algorithm 1. An update inside the ball comes back bit for bit;
    one outside ends on its surface, up to the rounding of its own type.
    """
    length = vector_norm(torch.stack([vector_norm(tensor, dtype=torch.float64) for tensor in update]))
    factor = (norm / length).clamp(max=1)  # norm / 0 is infinite: a zero update stays
    return tuple(tensor * factor.to(tensor.dtype) for tensor in update)
