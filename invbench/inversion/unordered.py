"""A batch has no order: answers are compared with pictures in the order that fits best."""

from __future__ import annotations

import torch
from torch import Tensor

APART = 1e6
"""Mean squared error that counts for a picture of another label: more than any of pixels in [0, 1]."""


def in_the_best_order(pictures: Tensor, answers: Tensor, labels: Tensor | None = None) -> Tensor:
    """`pictures` `(n, B, D)`, each batch in the order in which its squared error to `answers` `(n, B, D)` is least.

    The Hungarian assignment (Kuhn 1955). With `labels` `(n, B)`, which both have in one order, a picture changes places
    with those of its own label alone. Both hold values from 0 to 1.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # slow to load, for batches alone

    with torch.no_grad():
        errors = torch.cdist(answers, pictures).square() / pictures.shape[2]  # (n, B, B): answer i against picture j
        if labels is not None:
            errors = errors + APART * (labels[:, :, None] != labels[:, None, :])
        chosen = [torch.from_numpy(linear_sum_assignment(one)[1]) for one in errors.double().cpu().numpy()]
        places = torch.stack(chosen).to(pictures.device)
    return pictures.gather(1, places[:, :, None].expand_as(pictures))
