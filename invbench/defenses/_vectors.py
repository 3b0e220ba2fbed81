"""Updates as vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invbench.observation import Update


def mean(gradients: Sequence[Update]) -> Update:
    """The average of several updates."""
    return tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*gradients, strict=True))


def flatten(update: Update) -> tuple[Tensor, Callable[[Tensor], Update]]:
    """The whole update as one vector `(n,)`, and the way back to its shapes and types.

    Tensors of several types are joined in the widest. The way back returns tensors with memory of their own.
    """
    shapes = [(tensor.shape, tensor.dtype) for tensor in update]
    sizes = [tensor.numel() for tensor in update]

    def restore(vector: Tensor) -> Update:
        pieces = zip(torch.split(vector, sizes), shapes, strict=True)
        return tuple(piece.reshape(shape).to(dtype, copy=True) for piece, (shape, dtype) in pieces)

    return torch.cat([tensor.reshape(-1) for tensor in update]), restore
