"""Which candidates several independent searches agree on: chosen without any truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Recurring:
    """Candidates in the order of trust. `pictures` (K, d), `signs` (K,), `weights` (K,), `lanes` (K,): in how many."""

    pictures: Tensor
    signs: Tensor
    weights: Tensor
    lanes: Tensor

    def seen_in(self, least: int) -> Recurring:
        """Those that recur in at least so many lanes."""
        kept = self.lanes >= least
        return Recurring(self.pictures[kept], self.signs[kept], self.weights[kept], self.lanes[kept])


def correlations(one: Tensor, other: Tensor) -> Tensor:
    """Correlation of each row of `one` (N, d) with each of `other` (M, d), (N, M); 0 for a flat row."""
    sides = [rows - rows.mean(dim=1, keepdim=True) for rows in (one, other)]
    ours, theirs = (functional.normalize(rows, dim=1) for rows in sides)
    return ours @ theirs.T


def recurring(pictures: Tensor, signs: Tensor, weights: Tensor, alike: float) -> Recurring:
    """The candidates of all lanes without repetitions, those first that recur in most lanes, then by weight.

    `pictures` (lanes, m, d), `signs` (m,), `weights` (lanes, m). Two are one where their signs agree and they correlate
    above `alike`; of those the first in this order stands for all.
    """
    lanes, count, _ = pictures.shape
    flat, sign, weight = pictures.flatten(0, 1), signs.repeat(lanes), weights.flatten()
    same = (correlations(flat, flat) > alike) & (sign[:, None] == sign[None])
    same.fill_diagonal_(True)
    number = same.reshape(lanes * count, lanes, count).any(dim=2).sum(dim=1)
    order = sorted(range(lanes * count), key=lambda k: (-int(number[k]), -float(weight[k]), k))
    taken, kept = torch.zeros(lanes * count, dtype=torch.bool), list[int]()
    same = same.cpu()
    for one in order:
        if not taken[one]:
            kept.append(one)
            taken |= same[one]
    return Recurring(flat[kept], sign[kept], weight[kept], number[kept])
