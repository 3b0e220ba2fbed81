"""Label leakage from gradients (Wainakh et al. 2022, PoPETs 2022(2), arXiv 2105.09369, algorithm 1).

With g_j the sum of row j of dL/dW and features that are not negative, g_j < 0 only for classes in the batch, and
g_j is about n_j m + s_j: the impact m < 0 of one picture, and an offset s_j of all others. Classes with g_j < 0 get one
label each; then the class with the least g_j gets the next, each label takes m from its class, until there are B.

`llg` knows the update alone. `llg-dummy` (the paper's LLG*) and `llg-aux` (LLG+) also have the network, and noise, or
own labelled pictures. Of a batch of B pictures of class i alone, g_j = mean (p_j - [j = i]) H, with H the sum of a
picture's features: one forward pass gives impact and offset, whatever B.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invbench.labels.counts import Read, labels_of
from invbench.labels.last_layer import INSTEAD, last_layer, never_negative
from invbench.labels.own_pictures import answers, by_class, dummies, missing_classes
from invbench.observation import Public, UpdateObservation


def why_not(asked: str, public: Public) -> str | None:
    """Why labels cannot be read so, None where they can."""
    if public.last_linear() is None:
        return f"{asked} needs a last fully connected layer; {public.model} does not end in one"
    if not never_negative(public):
        return f"{asked} reads signs, and the last layer of {public.model} sees features of either sign; {INSTEAD}"
    return missing_classes(public, asked) if asked == "llg-aux" else None


def read(asked: str, group: Sequence[UpdateObservation]) -> list[Read]:
    """Of updates of one global model."""
    rows = [last_layer(seen).double().weight.sum(dim=1) for seen in group]
    pictures = group[0].public.pictures
    if asked == "llg":
        told = [(impact_alone(row, pictures), torch.zeros_like(row)) for row in rows]
    else:
        told = [_impact_and_offset(asked, group[0])] * len(group)
    pairs = zip(rows, told, strict=True)
    return [Read(labels_of(counted(row, impact, offset, pictures))) for row, (impact, offset) in pairs]


def impact_alone(row_sums: Tensor, pictures: int) -> float:
    """The impact that the update itself suggests: (1 + 1/K) / B of the sum of what is negative in `(K,)`."""
    return float((1 + 1 / len(row_sums)) / pictures * row_sums.clamp(max=0).sum())


def counted(row_sums: Tensor, impact: float, offset: Tensor, pictures: int) -> Tensor:
    """How many pictures of each class, `(K,)`, by algorithm 1; of more negative classes than pictures the least."""
    counts = torch.zeros(len(row_sums), dtype=torch.int64)
    left = row_sums - offset
    there = row_sums.argsort(stable=True)[: min(pictures, int((row_sums < 0).sum()))]  # signs before the offset goes
    counts[there] += 1
    left[there] -= impact
    for _ in range(pictures - len(there)):
        least = int(left.argmin())
        counts[least] += 1
        left[least] -= impact
    return counts


def _impact_and_offset(asked: str, seen: UpdateObservation) -> tuple[float, Tensor]:
    """m = (1 + 1/K) / B times the mean of g_i over batches of class i alone; s_j the mean of g_j over the others."""
    public, reference = seen.public, seen.public.reference
    layer, classes = last_layer(seen).name, public.classes
    if asked == "llg-aux":
        assert reference is not None
        found = answers(seen.model, reference.images, layer)
        weighed = by_class(found.softmax * found.features.sum(dim=1, keepdim=True), reference, classes)
        sums = by_class(found.features.sum(dim=1), reference, classes)
    else:
        found = answers(seen.model, dummies(seen), layer)
        weighed = (found.softmax * found.features.sum(dim=1, keepdim=True)).mean(dim=0).expand(classes, -1)
        sums = found.features.sum(dim=1).mean().expand(classes)
    own = weighed.diagonal() - sums  # g_i of a batch of class i
    offset = (weighed.sum(dim=0) - weighed.diagonal()) / (classes - 1)
    return float((1 + 1 / classes) / public.pictures * own.mean()), offset
