"""Foreign networks made fit for gradient matching, which differentiates a gradient.

Some of PyTorch's layers work in place or have a first derivative only. Each is replaced by the same
function in a form that has both; parameters and their names stay.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class Hardsigmoid(nn.Module):
    """relu6(x + 3) / 6. PyTorch's own hard sigmoid has no second derivative."""

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu6(values + 3) / 6


def make_twice_differentiable(network: nn.Module) -> nn.Module:
    """The same network, changed in place: nothing overwrites its input and every layer has two derivatives."""
    for layer in list(network.modules()):
        if getattr(layer, "inplace", False):
            layer.inplace = False  # type: ignore[assignment]
        if isinstance(layer, nn.MultiheadAttention):
            layer.register_forward_pre_hook(_ask_for_weights, with_kwargs=True)
        for name, child in layer.named_children():
            if isinstance(child, nn.Hardsigmoid):
                setattr(layer, name, Hardsigmoid())
    return network


def _ask_for_weights(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Attention that also returns its weights is computed step by step; the fused kernel has one derivative only."""
    return args, {**kwargs, "need_weights": True}
