"""Pictures and labels as mixtures of those of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from invbench.defenses import Context


def mixed(mixing: Tensor, values: Tensor) -> Tensor:
    """Row i: the values, one a picture `(B, ...)`, added up with the weights `mixing[i]` `(B,)`."""
    return torch.einsum("ij,j...->i...", mixing.to(values), values)


def one_hot(labels: Tensor, context: Context) -> Tensor:
    """Labels `(B,)` as probabilities `(B, classes)`; what are probabilities already stay. Classes: the client's."""
    if labels.dim() == 2:
        return labels
    classes = int(labels.max()) + 1 if context.client is None else context.client.public.classes
    return functional.one_hot(labels, classes).to(torch.float32)


def beta(alpha: float, generator: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha), as X / (X + Y) of two of Gamma(alpha, 1), by Marsaglia and Tsang (2000)."""
    one, two = (_log_gamma_draw(alpha, generator) for _ in range(2))
    return float(torch.sigmoid(one - two))


def _log_gamma_draw(alpha: float, generator: torch.Generator) -> Tensor:
    """Logarithm of a draw of Gamma(alpha, 1): below shape 1 Gamma(alpha + 1, 1) times U^(1 / alpha)."""

    def uniform() -> Tensor:
        return 1 - torch.rand((), generator=generator, dtype=torch.float64)  # never 0

    boost = uniform().log() / alpha if alpha < 1 else torch.zeros((), dtype=torch.float64)
    d = (alpha + 1 if alpha < 1 else alpha) - 1 / 3
    while True:
        normal = torch.randn((), generator=generator, dtype=torch.float64)
        v = (1 + normal / (9 * d) ** 0.5) ** 3
        if v > 0 and uniform().log() < 0.5 * normal.square() + d - d * v + d * v.log():
            drawn: Tensor = (d * v).log() + boost
            return drawn
