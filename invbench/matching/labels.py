"""Where an attack's labels come from.

`known`: those that the protocol grants; `idlg`: read off the last layer's gradient, exact at batch 1;
`joint`: soft labels optimised together with the pictures.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import as_gradient, stack_of

_NEVER_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus)
_KEEP_SIGNS = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Layers whose output is not negative where their input is not."""

LEFT_OUT = {"random-k": 2, "top-k": 2}
"""Versions of attacks that read labels, beside defences that leave entries out: labels come from those sent."""


def guess_label(seen: UpdateObservation) -> Tensor:
    """The label `(1,)` of a batch of one from the last layer's gradient (Zhao et al. 2020, arXiv 2001.02610).

    With cross-entropy dL/dz_i = p_i - [i = y]: only the label's entry is negative (equation 3). The last
    bias's gradient is that vector. Without a bias there is dL/dW_i = (p_i - [i = y]) h, and the label's row
    is the heaviest, 1 - p_y being the sum of the other p_i. Where another is as heavy (always with two
    classes) the label's has the opposite sign: the negative one, for features h that are not negative (where
    two classes leave no other way, `label_strategy` asks for such).
    """
    last = seen.public.last_linear()
    if last is None:
        raise ValueError(f"{seen.public.model} does not end in a fully connected layer")
    weight, bias = replace(seen, update=as_gradient(seen)).update_of(last[0])
    if stack_of(seen.public).leaves_out:
        return _from_what_was_sent(weight, bias, never_negative=_never_negative(seen.public))
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


def label_strategy(asked: str, public: Public) -> tuple[str, str | None]:
    """The strategy that will be used, and why it cannot be (None where it can).

    Under `labels: hidden` an attack set to `known` uses `idlg` at batch 1.
    """
    strategy = "idlg" if asked == "known" and public.labels == "hidden" else asked
    if strategy != "idlg":
        return strategy, None
    if (several := public.not_one_picture()) is not None:
        if asked == "known":
            return strategy, f"the protocol hides the labels, and idlg {several}; `labels: joint` seeks them as well"
        return strategy, f"idlg {several}"
    if (last := public.last_linear()) is None:
        return strategy, f"idlg needs a last fully connected layer; {public.model} does not end in one"
    if public.classes == 2 and last[1].bias is None and not _never_negative(public):
        return strategy, (
            f"idlg cannot tell two classes apart by {public.model}: its last layer has no bias and sees features of "
            "either sign, and (h, y) and (-h, the other class) give it one gradient"
        )
    return strategy, None


def _never_negative(public: Public) -> bool:
    """Whether what the last layer sees comes from an activation that is never negative, as far as modules tell."""
    network, called = copy.deepcopy(public.network), list[nn.Module]()
    for layer in network.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_pre_hook(lambda layer, _: called.append(layer))
    with torch.no_grad():
        network(torch.zeros(1, *public.image_shape, device="meta"))
    last = max(index for index, layer in enumerate(called) if isinstance(layer, nn.Linear))
    before = [layer for layer in called[:last] if not isinstance(layer, _KEEP_SIGNS)]
    return bool(before) and isinstance(before[-1], _NEVER_NEGATIVE)


def labels_for(strategy: str, seen: UpdateObservation) -> Tensor | None:
    """Fixed labels `(B,)` for one observation, or None where they are optimised."""
    if strategy == "joint":
        return None
    if strategy == "idlg":
        return guess_label(seen)
    if seen.labels is None:
        raise ValueError("the observation has no labels")
    return seen.labels.to(torch.int64)
