"""How exactly a client multiplies: TF32 and bfloat16 round what goes into a product, on any device by the same bits.

Tensor cores round the operands of matrix products and convolutions and add the products in float32. That is done here
in software: each operand is rounded to the nearest number (ties to even) of fewer bits before the product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

Precision = Literal["float32", "tf32", "bfloat16"]

_DROPPED: Mapping[Precision, int] = {"float32": 0, "tf32": 13, "bfloat16": 16}
"""Bits of float32's 23 that a mantissa loses: TF32 keeps 10 (NVIDIA 2020, A100 white paper), bfloat16 7."""

_aten = torch.ops.aten
_OPERANDS: Mapping[Any, tuple[int, ...]] = {
    _aten.mm.default: (0, 1),
    _aten.mv.default: (0, 1),
    _aten.dot.default: (0, 1),
    _aten.bmm.default: (0, 1),
    _aten.addmm.default: (1, 2),
    _aten.addmv.default: (1, 2),
    _aten.baddbmm.default: (1, 2),
    _aten.convolution.default: (0, 1),
    _aten.convolution_backward.default: (0, 1, 2),
}
"""Every kind of product that PyTorch's layers and their gradients come down to, and which arguments it multiplies."""


def roundoff(precision: Precision) -> float:
    """The largest relative error of rounding one operand; 0 for float32, whose operands stay as they are."""
    dropped = _DROPPED[precision]
    return 2.0 ** (dropped - 24) if dropped else 0.0


def rounded(tensor: Tensor, precision: Precision) -> Tensor:
    """A float32 tensor with its mantissas rounded to the nearest of that precision, ties to even."""
    dropped = _DROPPED[precision]
    bits = tensor.contiguous().view(torch.int32)
    half = (1 << (dropped - 1)) - 1 + ((bits >> dropped) & 1)
    nearest = ((bits + half) & -(1 << dropped)).view(torch.float32)
    return torch.where(tensor.isfinite(), nearest, tensor)


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """Products inside the block are of operands of this precision. Attention is made of such products, not fused."""
    if precision == "float32":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH), _Rounding(precision):
        yield


class _Rounding(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, precision: Precision) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.precision = precision

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        places = _OPERANDS.get(func, ())
        given = [self._operand(one) if place in places else one for place, one in enumerate(args)]
        return func(*given, **(kwargs or {}))

    def _operand(self, one: Any) -> Any:
        return rounded(one, self.precision) if isinstance(one, Tensor) and one.dtype == torch.float32 else one
