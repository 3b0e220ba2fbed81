"""Inputs of a first fully connected layer behind ReLU, read off a batch's gradient.

A unit that is active for one picture of a batch alone has that picture's input as the quotient of its weights' gradient
and its bias's: (dL/dW)_u / (dL/db)_u (neuron exclusivity; Pan, Zhang, Zhang et al. 2022, arXiv 2010.13356, section 4).
A unit that is active for several has a mixture of its own. So quotients that many units share are inputs. Of a batch of
B about B / 2^B of all units are exclusive.
"""

from __future__ import annotations

import torch
from torch import Tensor

SAME = 1e-5
"""Relative distance of two quotients that are one input: float32 leaves 1e-6 in those of units with usual slopes."""
FEWEST = 3
"""Units that must share a quotient: of a few hundred, two with different mixtures come that near once in a while."""
_FAINT = 1e-3
"""Slopes below this share of the largest have lost digits."""


def exclusive_inputs(weight: Tensor, bias: Tensor, most: int) -> Tensor:
    """At most so many inputs `(N, n)` in float64, those that most units share first.

    `weight` `(units, n)` and `bias` `(units,)`: gradients of the layer's.
    """
    weight, bias = weight.double(), bias.double()
    told = bias.abs() > _FAINT * bias.abs().max()
    quotients = weight[told] / bias[told][:, None]
    found = [members.mean(dim=0) for members in groups(quotients, SAME, FEWEST)[:most]]
    return torch.stack(found) if found else weight[:0]


def groups(rows: Tensor, near: float, fewest: int) -> list[Tensor]:
    """Rows `(N, n)` that lie within a relative distance of each other, as groups of at least so many, largest first."""
    lengths = rows.norm(dim=1)
    close = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist") <= near * lengths[:, None]
    found, free = [], torch.ones(len(rows), dtype=torch.bool)
    while len(rows) and bool(free.any()):
        counts = (close & free[None, :]).sum(dim=1) * free
        centre = int(counts.argmax())
        if int(counts[centre]) < fewest:
            break
        members = close[centre] & free
        found.append(rows[members])
        free &= ~members
    return found
