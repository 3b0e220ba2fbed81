"""Signs instead of values (signSGD: Bernstein et al. 2018, arXiv 1802.04434, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.defenses._sending import whole_bytes
from invbench.observation import Update
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class Sign(Defense):
    """Share the sign of every coordinate: -1, 1, or 0 where it is exactly zero."""

    hides_scale = True
    signs = True

    def update(self, shared: Update, context: Context) -> Update:
        return tuple(tensor.sign() for tensor in shared)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """A sign that is not the expected one counts as two standard deviations."""
        return tuple(m.sign() for m in expected), tuple(torch.ones_like(v) for v in variance)

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """One bit a coordinate, as signSGD sends; two where some are exactly zero."""
        zeros = any(bool((tensor == 0).any()) for tensor in shared)
        return whole_bytes((2 if zeros else 1) * sum(tensor.numel() for tensor in shared))
