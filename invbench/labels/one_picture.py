"""The label of a batch of one from the last layer's gradient (iDLG; Zhao, Mopuri and Bilen 2020, arXiv 2001.02610)."""

from __future__ import annotations

import torch
from torch import Tensor

from invbench.labels.last_layer import last_layer, never_negative
from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import stack_of

LEFT_OUT = {"random-k": 2, "top-k": 2}
"""Versions of attacks that read labels, beside defences that leave entries out: labels come from those sent."""


def guess_label(seen: UpdateObservation) -> Tensor:
    """The label `(1,)` of a batch of one from the last layer's gradient (Zhao et al. 2020, arXiv 2001.02610).

    With cross-entropy dL/dz_i = p_i - [i = y]: only the label's entry is negative (equation 3). The last
    bias's gradient is that vector. Without a bias there is dL/dW_i = (p_i - [i = y]) h, and the label's row
    is the heaviest, 1 - p_y being the sum of the other p_i. Where another is as heavy (always with two
    classes) the label's has the opposite sign: the negative one, for features h that are not negative (where
    two classes leave no other way, `why_not` asks for such).
    """
    last = last_layer(seen)
    weight, bias = last.weight, last.bias
    if stack_of(seen.public).leaves_out:
        return _from_what_was_sent(weight, bias, never_negative=never_negative(seen.public))
    if bias is not None:
        return bias.argmin().reshape(1)
    size = weight.square().sum(dim=1)
    heaviest = size >= (1 - 1e-5) * size.max()  # more than one only where one other class holds all of 1 - p_y
    return weight.sum(dim=1).where(heaviest, torch.inf).argmin().reshape(1)


def _from_what_was_sent(weight: Tensor, bias: Tensor | None, *, never_negative: bool) -> Tensor:
    """The label `(1,)` where entries are left out of dL/dW `(K, n)` and dL/db `(K,)`, and are zero.

    What tells it, the surest first: a negative entry of the bias; a row whose signs differ from those of at least two
    others, column by column, for dL/dW_ij dL/dW_kj = d_i d_k h_j^2 and only d of the label is negative; where features
    are never negative, the negative row, or where there is none the first of which nothing was sent; else the heaviest
    row, by the entries sent, of those whose bias is not positive.
    """
    if bias is not None and bias.min() < 0:
        return bias.argmin().reshape(1)
    rows = weight.double()
    others = torch.zeros(len(rows), dtype=torch.bool, device=rows.device) if bias is None else bias > 0
    agree = (rows @ rows.T).sign()
    votes = agree.sum(dim=1) - agree.diagonal()
    if votes.min() <= -2:
        return votes.argmin().reshape(1)
    evidence = rows.sum(dim=1)
    if not never_negative:
        evidence = -rows.square().sum(dim=1) / (rows != 0).sum(dim=1).clamp(min=1)
    return evidence.where(~others, torch.inf).argmin().reshape(1)


def why_not(public: Public) -> str | None:
    """Why the label cannot be read, None where it can."""
    if (several := public.not_one_picture()) is not None:
        return f"idlg {several}"
    if (last := public.last_linear()) is None:
        return f"idlg needs a last fully connected layer; {public.model} does not end in one"
    if public.classes == 2 and last[1].bias is None and not never_negative(public):
        return (
            f"idlg cannot tell two classes apart by {public.model}: its last layer has no bias and sees features of "
            "either sign, and (h, y) and (-h, the other class) give it one gradient"
        )
    return None
