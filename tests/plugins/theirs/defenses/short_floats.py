"""Stage `update`: a shorter floating-point format."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.observation import Update
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class ShortFloats(Defense):
    """Share the update in bfloat16: 8 binary digits of each entry."""

    def update(self, shared: Update, context: Context) -> Update:
        return tuple(tensor.to(torch.bfloat16).to(tensor.dtype) for tensor in shared)
