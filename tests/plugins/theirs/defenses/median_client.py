"""Stage `aggregate`: the median in the place of the mean (Yin et al. 2018, arXiv 1803.01498, definition 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.defenses import Context, Defense
from invbench.observation import Update
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class MedianClient(Defense):
    """The clients' median, entry by entry; of an even number of clients the lower one."""

    def aggregate(self, updates: list[Update], context: Context) -> list[Update]:
        median = tuple(torch.stack(tensors).median(dim=0).values for tensors in zip(*updates, strict=True))
        return [tuple(tensor.clone() for tensor in median) for _ in updates]
