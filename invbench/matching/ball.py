"""Euclidean projection onto l1 balls (Duchi, Shalev-Shwartz, Singer and Chandra 2008, ICML, figure 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.matching.adam import Confine


def onto_ball(rows: Tensor, radii: Tensor) -> Tensor:
    """Each row of `(n, D)` as the nearest point whose absolute values add up to at most its radius `(n,)`.

    sign(v) max(|v| - theta, 0), theta such that the sum is the radius; a row inside its ball stays as it is.
    """
    sizes = rows.abs()
    falling = sizes.sort(dim=1, descending=True).values
    over = falling.cumsum(dim=1) - radii[:, None]
    count = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    kept = (falling * count > over).sum(dim=1).clamp(min=1)  # a ball of radius 0 keeps none: theta is the largest
    theta = over.gather(1, kept[:, None] - 1) / kept[:, None]
    nearest = rows.sign() * (sizes - theta).clamp(min=0)
    return torch.where(sizes.sum(dim=1, keepdim=True) <= radii[:, None], rows, nearest)


def within_balls(centres: Tensor, balls: int, share: float) -> Confine:
    """Keep each lane's first numbers in `balls` l1 balls of equal parts, around those of `centres` `(L, size)`.

    A ball's radius is `share` of the l1 length of its centre. Numbers behind these are left alone.
    """
    parts = centres.reshape(len(centres), balls, -1)
    radii = share * parts.abs().sum(dim=2)

    def confine(variables: Tensor, lanes: Tensor) -> Tensor:
        size, middle = centres.shape[1], parts[lanes]
        apart = variables[:, :size].reshape(middle.shape) - middle
        held = onto_ball(apart.flatten(0, 1), radii[lanes].flatten()).reshape(middle.shape)
        return torch.cat([(middle + held).flatten(1), variables[:, size:]], dim=1)

    return confine
