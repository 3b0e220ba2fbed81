"""Which different labels a batch holds: the rows with the most negative entry (Yin et al. 2021, arXiv 2104.07586)."""

from __future__ import annotations

from collections.abc import Sequence

from invbench.labels.counts import Read
from invbench.labels.last_layer import INSTEAD, last_layer, never_negative
from invbench.observation import Public, UpdateObservation


def why_not(public: Public) -> str | None:
    """Why labels cannot be read so, None where they can."""
    if public.last_linear() is None:
        return f"column-min needs a last fully connected layer; {public.model} does not end in one"
    if public.pictures > public.classes:
        return (
            f"column-min finds different labels; of {public.pictures} pictures of {public.classes} classes some repeat,"
            " and `labels: ilrg` counts them"
        )
    if not never_negative(public):
        return f"column-min reads signs, and the last layer of {public.model} sees features of either sign; {INSTEAD}"
    return None


def read(group: Sequence[UpdateObservation]) -> list[Read]:
    """The B classes whose rows of dL/dW have the least entry, the least first (section 3.1).

    dL/dW_j is the mean of (p_j - [j = y]) h over pictures, and h is not negative: the row of a class that is not in the
    batch has no negative entry. A batch that repeats a label has fewer such rows than pictures, and a note says so.
    """
    return [_of_one(seen) for seen in group]


def _of_one(seen: UpdateObservation) -> Read:
    least = last_layer(seen).weight.amin(dim=1)
    negative, wanted = int((least < 0).sum()), seen.public.pictures
    note = f"column-min: {negative} rows of the last layer have a negative entry for {wanted} pictures: labels repeat"
    return Read(least.argsort(stable=True)[:wanted].cpu(), (note,) if negative < wanted else ())
