"""Stage `model`: a network without kinks."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn

from invbench.defenses import Context, Defense
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class SmoothNetwork(Defense):
    """Softplus in the place of every ReLU."""

    def model(self, network: nn.Module, context: Context) -> nn.Module:
        changed = copy.deepcopy(network)
        for parent in list(changed.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.ReLU):
                    setattr(parent, name, nn.Softplus())
        return changed
