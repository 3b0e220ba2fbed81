"""How a victim is trained, as a value that a defence may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""Class scores `(B, classes)` and labels `(B,)` to the mean loss of a batch."""


def backward(network: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
    """One batch's loss; every parameter's `.grad` is its gradient, as the optimiser takes it."""
    value = loss(network(images), labels)
    value.backward()  # type: ignore[no-untyped-call]
    return value


@dataclass(frozen=True)
class Training:
    """How a victim is trained, for a defence's `training` stage to change: batches of 32, loss, gradient of a batch."""

    steps: int
    loss: Loss = functional.cross_entropy
    backward: Callable[[nn.Module, Loss, Tensor, Tensor], Tensor] = backward
