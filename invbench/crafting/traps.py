"""Trap weights: rows of a first layer that fire on few pictures, each on others (Boenisch et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

SCALES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99, 0.999)
"""Where the scale of the positive weights is looked for, from rows that hardly ever fire to rows that often do."""


@dataclass(frozen=True, eq=False)
class Traps:
    """Rows before their positive weights are scaled: `negative` and `positive` `(units, inputs)`, 0 elsewhere."""

    negative: Tensor
    positive: Tensor

    def rows(self, scale: float) -> Tensor:
        """The rows `(units, inputs)` for inputs in [0, 1]: unit i fires where scale * positive_i.x > -negative_i.x."""
        return self.negative + scale * self.positive

    def recall(self, pictures: Tensor, scale: float) -> float:
        """Share of these pictures `(B, inputs)` that fire some unit alone (the paper's extraction recall)."""
        fires = pictures @ self.rows(scale).T > 0
        alone = fires & (fires.sum(dim=0) == 1)
        return float(alone.any(dim=1).double().mean())


def draw_traps(units: int, inputs: int, std: float, generator: torch.Generator) -> Traps:
    """A random half of each row is negative, -|N(0, std)|; the other half holds the same numbers, positive, shuffled.

    Of an odd number of inputs one has weight 0.
    """
    half = inputs // 2
    sizes = (torch.randn(units, half, generator=generator) * std).abs()
    shuffled = sizes.gather(1, torch.rand(units, half, generator=generator).argsort(dim=1))
    places = torch.rand(units, inputs, generator=generator).argsort(dim=1)
    nothing = torch.zeros(units, inputs)
    negative = nothing.scatter(1, places[:, :half], -sizes)
    return Traps(negative, nothing.scatter(1, places[:, half : 2 * half], shuffled))


def tuned_scale(traps: Traps, pictures: Tensor, batch: int) -> float:
    """The scale of most recall over batches of the attacker's own unit-range `pictures` `(N, inputs)`."""
    batches = [one for one in torch.split(pictures, batch) if len(one) == min(batch, len(pictures))]
    return max(SCALES, key=lambda scale: sum(traps.recall(one, scale) for one in batches))


def folded(rows: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and biases that make of normalised inputs what `rows` make of inputs in [0, 1].

    `mean`, `std` `(inputs,)`: x = normalised * std + mean, so w.x = (w std).normalised + w.mean.
    """
    return rows * std, rows @ mean


def stream_of(weights: Tensor) -> torch.Generator:
    """A stream that follows from the global weights: clients get the same draws, another victim others."""
    seed = sha256(weights.detach().cpu().contiguous().numpy().tobytes()).digest()[:7]
    return torch.Generator().manual_seed(int.from_bytes(seed, "big"))
