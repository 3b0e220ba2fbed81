"""What the signs of a noisy update say of its values, sent in several rounds at the same weights.

Of an entry v behind noise with distribution function F the sign is positive with probability F(v / b), b the noise's
scale. Positive in c of R rounds, the most likely value is b F^-1(c / R); with (c + 1/2) / (R + 1) in the share's place
it is finite, too, where all signs agree. Its variance there, by the inverse of the Fisher information of R signs, is
p (1 - p) / (R f^2), f the density at v. Where all signs agree nothing says how large v is: at least b F^-1(2^(-1/R)),
below which R equal signs have a chance of less than a half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import Defense, Stack
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.laplace import Laplace
from invbench.observation import Update


def of_signs(stack: Stack, sent: Sequence[Update]) -> tuple[Update, Stack] | None:
    """Most likely values before noise and signs, and the stack before them; None where no signs of noise are sent."""
    acting = [defense for defense in stack.defenses if "update" in defense.stages()]
    place = next((k for k, defense in enumerate(acting) if defense.signs), 0)
    if not place or not stack.signs_alone or not isinstance(noise := acting[place - 1], Gaussian | Laplace):
        return None
    if not noise.std or any(defense.redraws for defense in acting[: place - 1]):
        return None
    before = stack.defenses[: stack.defenses.index(noise)]
    read = [_most_likely(torch.stack([t.sign() for t in of_one]), noise) for of_one in zip(*sent, strict=True)]
    value, variance, low, high = (tuple(part) for part in zip(*read, strict=True))
    return value, _BeforeSigns(before, variance, low, high)


@dataclass(frozen=True, eq=False)
class _BeforeSigns(Stack):
    """Defences before noise whose signs were sent: the values read off them have a variance and ends of their own."""

    variance: Update = ()
    low: Update = ()
    high: Update = ()

    def expected(self, mean: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Where all signs agree, no value beyond the one read is less likely: it counts as that one."""
        mean, before = super().expected(mean, variance, seen)
        ends = zip(mean, seen, self.low, self.high, strict=True)
        return (
            tuple(
                torch.where(hi == torch.inf, torch.minimum(m, u), torch.where(lo == -torch.inf, torch.maximum(m, u), m))
                for m, u, lo, hi in ends
            ),
            tuple(b + own.to(b) for b, own in zip(before, self.variance, strict=True)),
        )

    def interval(self, seen: Update) -> tuple[Update, Update]:
        low, high = self.low, self.high
        for defense in reversed(self.defenses):
            low, high = defense.interval(low, high, seen)
        return low, high


def _most_likely(signs: Tensor, noise: Gaussian | Laplace) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value, variance, and the ends between which it lies, of each entry from its signs in R rounds `(R, ...)`."""
    rounds = len(signs)
    positive = (signs.double() + 1).mean(dim=0) / 2  # a zero counts half
    smooth = (positive * rounds + 0.5) / (rounds + 1)
    value, density = _quantile(smooth, noise)
    bound = _quantile(torch.tensor(0.5 ** (1 / rounds), dtype=torch.float64), noise)[0]
    low = torch.where(positive == 1, bound, torch.where(positive == 0, -torch.inf, value))
    high = torch.where(positive == 0, -bound, torch.where(positive == 1, torch.inf, value))
    variance = smooth * (1 - smooth) / (rounds * density.square())
    return tuple(tensor.to(signs) for tensor in (value, variance, low, high))  # type: ignore[return-value]


def _quantile(share: Tensor, noise: Defense) -> tuple[Tensor, Tensor]:
    """The value below which noise lies with this probability, and its density there."""
    if isinstance(noise, Gaussian):
        normal = torch.special.ndtri(share)
        return noise.std * normal, torch.exp(-normal.square() / 2) / (math.sqrt(2 * math.pi) * noise.std)
    assert isinstance(noise, Laplace)
    scale, tail = noise.std / math.sqrt(2), torch.minimum(share, 1 - share)
    return -scale * (share - 0.5).sign() * (2 * tail).log(), tail / scale
