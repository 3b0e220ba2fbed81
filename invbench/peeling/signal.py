"""What is known at one point of a chain."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Signal:
    """The values there and dL/dvalue, the error signal, with the variance of each; four tensors of one shape."""

    value: Tensor
    value_variance: Tensor
    slope: Tensor
    slope_variance: Tensor

    def reshape(self, shape: tuple[int, ...]) -> Signal:
        return replace(self, **{name: tensor.reshape(shape) for name, tensor in vars(self).items()})
