"""Where an attack's labels come from.

`known`: those that the protocol grants; `idlg`: read off the last layer's gradient, exact at batch 1;
`joint`: soft labels optimised together with the pictures.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import as_gradient


def guess_label(seen: UpdateObservation) -> Tensor:
    """The label `(1,)` of a batch of one from the last layer's gradient (Zhao et al. 2020, arXiv 2001.02610).

    With cross-entropy dL/dz_i = p_i - [i = y]: only the label's entry is negative (equation 3). The last
    bias's gradient is that vector. Without a bias there is dL/dW_i = (p_i - [i = y]) h, and the label's row
    is the heaviest, 1 - p_y being the sum of the other p_i. Where another is as heavy (always with two
    classes) the label's has the opposite sign: the negative one, for features h that are not negative.
    """
    last = seen.public.last_linear()
    if last is None:
        raise ValueError(f"{seen.public.model} does not end in a fully connected layer")
    weight, bias = replace(seen, update=as_gradient(seen)).update_of(last[0])
    if bias is not None:
        return bias.argmin().reshape(1)
    size = weight.square().sum(dim=1)
    heaviest = size >= (1 - 1e-5) * size.max()  # more than one only where one other class holds all of 1 - p_y
    return weight.sum(dim=1).where(heaviest, torch.inf).argmin().reshape(1)


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
    if public.last_linear() is None:
        return strategy, f"idlg needs a last fully connected layer; {public.model} does not end in one"
    return strategy, None


def labels_for(strategy: str, seen: UpdateObservation) -> Tensor | None:
    """Fixed labels `(B,)` for one observation, or None where they are optimised."""
    if strategy == "joint":
        return None
    if strategy == "idlg":
        return guess_label(seen)
    if seen.labels is None:
        raise ValueError("the observation has no labels")
    return seen.labels.to(torch.int64)
