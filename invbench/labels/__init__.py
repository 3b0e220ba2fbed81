"""Which labels a batch holds, as attacks come by them: granted, read off the last layer's gradient, or sought.

`known`: those that the protocol grants; `idlg` (`one_picture.py`) of a batch of one, exact; `joint`: soft labels that
are optimised together with the pictures. Of batches, a file a strategy: `column-min`, `llg` with `llg-dummy` and
`llg-aux`, `ilrg`, `rlu`. They read a multiset: which picture has which label is for the search to find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch

from invbench.labels import column_min, ilrg, llg, one_picture, rlu
from invbench.labels.counts import Read, labels_of, whole
from invbench.labels.one_picture import LEFT_OUT, guess_label
from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import hidden_scale, protocol_of, stack_of

__all__ = ["LEFT_OUT", "Counting", "Read", "Strategy", "guess_label", "label_strategy", "labels_for", "read_labels"]

Counting = Literal["column-min", "llg", "llg-dummy", "llg-aux", "ilrg", "rlu"]
Strategy = Literal["known", "idlg", "joint", "column-min", "llg", "llg-dummy", "llg-aux", "ilrg", "rlu"]

_WHY_NOT: Mapping[str, Callable[[Public], str | None]] = {
    "idlg": one_picture.why_not,
    "column-min": column_min.why_not,
    **{asked: partial(llg.why_not, asked) for asked in ("llg", "llg-dummy", "llg-aux")},
    "ilrg": ilrg.why_not,
    "rlu": rlu.why_not,
}
_READ: Mapping[str, Callable[[Sequence[UpdateObservation]], list[Read]]] = {
    "idlg": lambda group: [Read(guess_label(seen)) for seen in group],
    "column-min": column_min.read,
    **{asked: partial(llg.read, asked) for asked in ("llg", "llg-dummy", "llg-aux")},
    "ilrg": ilrg.read,
    "rlu": rlu.read,
}


_BY_LENGTH = ("llg-dummy", "llg-aux", "ilrg", "rlu")
"""Those that hold an update's length against what a loss of known scale gives; the others read signs and ratios."""


def label_strategy(asked: str, public: Public) -> tuple[str, str | None]:
    """The strategy that will be used, and why it cannot be (None where it can).

    Under `labels: hidden` an attack set to `known` uses `idlg` at batch 1.
    """
    strategy = "idlg" if asked == "known" and public.labels == "hidden" else asked
    if strategy not in _WHY_NOT:
        return strategy, None
    reason = _WHY_NOT[strategy](public)
    if reason is None and strategy in _BY_LENGTH:
        reason = hidden_scale(public)
    if reason is None and strategy != "idlg" and not protocol_of(public).even(public.batch_size):
        reason = f"{strategy} counts pictures, and {public.protocol} takes some of a client's batch oftener than others"
    if reason is not None and asked == "known" and public.not_one_picture() is not None:
        ways = "`labels: ilrg` reads how many there are of each class, `labels: joint` seeks them as well"
        reason = f"the protocol hides the labels, and {reason}; {ways}"
    return strategy, reason


def labels_for(strategy: str, seen: UpdateObservation) -> torch.Tensor | None:
    """Fixed labels `(B,)` for one observation, or None where they are optimised."""
    read = read_labels(strategy, [seen])
    return None if read is None else read[0].labels


def read_labels(strategy: str, group: Sequence[UpdateObservation]) -> list[Read] | None:
    """The labels of each observation of one global model, or None where they are optimised.

    Of an update that is not finite nothing is read: classes share alike.
    """
    if strategy == "joint":
        return None
    if strategy in _READ:
        left_out = "labels are counted from the entries that were sent, as if they were all"
        partly = strategy != "idlg" and stack_of(group[0].public).leaves_out
        readable = [seen for seen in group if seen.is_finite]
        read = iter(_READ[strategy](readable) if readable else [])
        found = [next(read) if seen.is_finite else _even(seen) for seen in group]
        return [Read(one.labels, (*one.notes, left_out) if partly else one.notes) for one in found]
    return [Read(_granted(seen)) for seen in group]


def _even(seen: UpdateObservation) -> Read:
    labels = labels_of(whole(torch.zeros(seen.public.classes), seen.public.pictures))
    return Read(labels, ("the update is not finite: no label was read from it, classes share alike",))


def _granted(seen: UpdateObservation) -> torch.Tensor:
    if seen.labels is None:
        raise ValueError("the observation has no labels")
    return seen.labels.to(torch.int64)
