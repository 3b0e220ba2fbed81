"""How much an update can tell: its independent equations, and how many directions of an unknown they determine.

One count and one notion of full rank, for the note that nothing can determine a batch and for certificates that
nothing else explains an update.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

OPEN = 0.01
"""Most posterior variance, in prior variances and summed over all directions, with which a rank is full.

Then no direction's error is more than a tenth of what the prior leaves it. A direction that is open has about 1.
"""

TELLABLE = 1e7
"""Above this condition number full rank is not claimed.

It is that of the equations; their normal matrix has its square, 1e14. Float64 leaves in a sum of n terms a relative
error of sqrt(n) 2^-53, 1e-14 for the 8,192 unknowns that are solved for at most: what is smaller may be rounding.
"""


def rank(unknowns: int, open_share: float, condition: float) -> int:
    """Directions told: n - trace(posterior covariance * prior precision), rounded down where more than `OPEN` is left.

    `open_share`: that trace, between 0 and n; one that is not finite tells nothing. Above `TELLABLE` rounding may hide
    a direction: one counts as open.
    """
    if not math.isfinite(open_share):
        return 0
    told = unknowns - math.ceil(open_share - OPEN)
    return max(0, min(told, unknowns if condition < TELLABLE else unknowns - 1))


def underdetermined(
    network: nn.Module,
    image_shape: Sequence[int],
    batch_size: int,
    shared: Mapping[str, Tensor] | None = None,
    weights: int = 1,
    beside: int = 0,
) -> str | None:
    """A sentence where the pictures have more numbers than their gradient tells; None where it may suffice.

    `network` on the meta device, `image_shape` `(C, H, W)`; `shared` as in `independent_equations`. `weights`: at how
    many the gradient is told, one after the other. `beside`: numbers that are seen beside the gradient.
    """
    unknown = batch_size * math.prod(image_shape)
    told = weights * independent_equations(network, image_shape, batch_size, shared) + beside
    if told >= unknown:
        return None
    numbers = "number" if told == 1 else "numbers"
    return f"an update tells at most {told:,} {numbers} and its pictures have {unknown:,}: it does not determine them"


def independent_equations(
    network: nn.Module, image_shape: Sequence[int], batch_size: int, shared: Mapping[str, Tensor] | None = None
) -> int:
    """An upper bound of the rank of the Jacobian of what is shared of a batch's gradient, biases included.

    `network` on the meta device; `shared`: which entries were sent, by parameter name; None: all of them.

    The gradient of a linear layer that sees one vector a picture is D' [H | 1], error signals times inputs, the bias's
    as one more column: a matrix m x n of rank B has B (m + n - B) free entries. Of the last layer D is a function of
    H alone, p - y, so it tells no more than H has. Only rows and columns count that hold a shared entry, and no tensor
    tells more than it shares. All others, and every layer of a network that cannot be followed without values, count
    by their shared entries.
    """
    inside = copy.deepcopy(network).to("meta", torch.float32).eval()
    known = {name: _Shared.of(parameter, (shared or {}).get(name)) for name, parameter in inside.named_parameters()}
    total = sum(one.entries for one in known.values())
    seen = _vectors(inside, torch.zeros(batch_size, *image_shape, device="meta"))
    for name, layer in inside.named_modules():
        if layer in seen:
            assert isinstance(layer, nn.Linear)
            prefix = f"{name}." if name else ""
            own = [known[key] for key in (f"{prefix}weight", f"{prefix}bias") if key in known]
            total -= sum(one.entries for one in own) - _of_linear(layer, seen[layer], own)
    return total


@dataclass(frozen=True, eq=False)
class _Shared:
    """What was sent of one tensor: how many entries, in which rows, and in how many columns of its matrix."""

    entries: int
    rows: Tensor
    columns: int

    @classmethod
    def of(cls, parameter: Tensor, mask: Tensor | None) -> _Shared:
        matrix = torch.ones(parameter.shape, dtype=torch.bool, device="cpu") if mask is None else mask
        matrix = matrix.reshape(len(matrix), -1)
        return cls(int(matrix.sum()), matrix.any(dim=1), int(matrix.any(dim=0).sum()))


@dataclass
class _Seen:
    """How many vectors a linear layer saw, in how many calls, and whether its output was the network's."""

    vectors: int = 0
    calls: int = 0
    last: bool = False


def _vectors(network: nn.Module, images: Tensor) -> dict[nn.Module, _Seen]:
    """What each linear layer sees of a batch; empty for a network that cannot be followed without values."""
    found: dict[nn.Module, _Seen] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def note(layer: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        one = found.setdefault(layer, _Seen())
        one.vectors, one.calls = one.vectors + math.prod(given[0].shape[:-1]), one.calls + 1
        outputs[layer] = output

    for layer in network.modules():
        if type(layer) is nn.Linear:
            layer.register_forward_hook(note)
    try:
        with torch.no_grad():
            scores = network(images)
    except Exception:  # of somebody else's network, which has run with values; a bound need not be the least
        return {}
    for layer, one in found.items():
        one.last = one.calls == 1 and outputs[layer] is scores
    return found


def _of_linear(layer: nn.Linear, seen: _Seen, own: Sequence[_Shared]) -> int:
    """At most as many numbers as `independent_equations` says of a linear layer. `own`: its weight, and its bias."""
    rows = int(torch.stack([one.rows for one in own]).any(dim=0).sum())
    columns, entries = sum(one.columns for one in own), sum(one.entries for one in own)
    least = min(seen.vectors, rows, columns)
    told = min(least * (rows + columns - least), entries)
    return min(told, seen.vectors * layer.in_features) if seen.last else told
