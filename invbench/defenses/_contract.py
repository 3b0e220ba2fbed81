"""What every defence keeps: the number, shapes, types and devices of its tensors, and what it answers when asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

_MOST_WORDS = 1000  # characters of a reason, which stands in a line of tables


class BrokenContract(ValueError):
    """A defence gave something else than it may; the message names it, the stage and what is wrong."""


def check_kept(defense: str, stage: str, before: Any, after: Any) -> None:
    """BrokenContract where the value after a stage is not of the kind of the value before it."""
    wrong = _wrong(stage, before, after)
    if wrong:
        raise BrokenContract(f"defence {defense} at stage {stage}: {wrong}")


def check_bytes(defense: str, sent: object) -> None:
    """BrokenContract where a defence's `message_bytes` is no number of bytes."""
    if type(sent) is not int or sent < 0:
        raise BrokenContract(f"defence {defense}: message_bytes must be a whole number of bytes, not {sent!r}")


def check_clients(defense: str, seen: object, there: int) -> None:
    """BrokenContract where a defence's `clients_seen` is no number of the clients that are there."""
    if type(seen) is not int or not 1 <= seen <= there:
        clients = "1 client" if there == 1 else f"1 to {there} clients"
        raise BrokenContract(f"defence {defense}: clients_seen must be {clients}, not {seen!r}")


def check_is(defense: str, method: str, given: object, face: type) -> None:
    """BrokenContract where a defence's `method` gives something else than a `face`."""
    if not isinstance(given, face):
        raise BrokenContract(f"defence {defense}: {method} must give a {face.__name__}, not {_kind(given)}")


def check_variance(defense: str, variance: object) -> None:
    """BrokenContract where the variance of a defence's noise is none."""
    if not isinstance(variance, float | int) or not math.isfinite(variance) or variance < 0:
        what = repr(variance) if isinstance(variance, float | int) else _kind(variance)
        raise BrokenContract(f"defence {defense}: the variance of its noise must be at least 0, not {what}")


def checked_notes(defense: str, notes: object) -> tuple[str, ...]:
    """A defence's notes; BrokenContract where they are no sequence of texts."""
    if not isinstance(notes, list | tuple) or not all(isinstance(note, str) for note in notes):
        raise BrokenContract(f"defence {defense}: notes must be a list of texts, not {_kind(notes)}")
    return tuple(notes)


def checked_reason(defense: str, said: object) -> str | None:
    """Why a defence cannot take part; BrokenContract where that is neither None nor words."""
    if said is not None and (not isinstance(said, str) or not said.strip()):
        what = repr(said) if isinstance(said, str) else _kind(said)
        raise BrokenContract(f"defence {defense}: gives None or why it cannot take part in words, not {what}")
    return None if said is None else " ".join(said.split())[:_MOST_WORDS]


def check_expected(defense: str, method: str, before: Sequence[Tensor], after: Any) -> None:
    """BrokenContract where a defence's `method`, which is to give two updates, gives something else than numbers."""
    if not isinstance(after, list | tuple) or len(after) != 2:
        raise BrokenContract(f"defence {defense}: {method} must give two updates, not {_kind(after)}")
    sound = not _undefined(before)
    for one in after:
        if not isinstance(one, list | tuple) or [getattr(t, "shape", None) for t in one] != [t.shape for t in before]:
            raise BrokenContract(f"defence {defense}: {method} must keep the shapes of {len(before)} tensors")
        if sound and _undefined(one):
            raise BrokenContract(f"defence {defense}: {method} gives NaN")


def _undefined(update: Sequence[Tensor]) -> bool:
    return any(bool(tensor.isnan().any()) for tensor in update)


def _wrong(stage: str, before: Any, after: Any) -> str:
    if stage == "corpus":
        text = isinstance(after, list) and bool(after) and all(isinstance(passage, str) for passage in after)
        return "" if text else f"must give a list of passages of text, not {_kind(after)}"
    if stage == "model":
        return "" if isinstance(after, nn.Module) else f"must give a network, not {_kind(after)}"
    if stage == "training":
        if not isinstance(after, type(before)):
            return f"must give a Training, not {_kind(after)}"
        same = after.examples == before.examples
        return "" if same else f"must keep the number of examples, {before.examples}, and gives {after.examples!r}"
    if stage == "regression":
        if not isinstance(after, type(before)):
            return f"must give a Regression, not {_kind(after)}"
        return _of_tensors((before.gram, before.moment, before.noise), (after.gram, after.moment, after.noise))
    if stage == "update":
        return _of_update(before, after)
    if stage == "answer":
        return _of_tensors((before,), (after,))
    if stage == "inputs":
        return _of_inputs(before, after)
    if not isinstance(after, list | tuple) or not after:  # those of some clients or examples may be left out
        return f"must give a list of updates, not {_kind(after)}"
    return next((wrong for update in after if (wrong := _of_update(before[0], update))), "")


def _of_inputs(before: tuple[Tensor, Tensor], after: Any) -> str:
    """Labels may become probabilities, one row a picture."""
    if not isinstance(after, list | tuple) or len(after) != 2:
        return f"must give pictures and labels, not {_kind(after)}"
    images, labels = after
    if not isinstance(labels, Tensor) or labels.dim() not in (1, 2) or len(labels) != len(before[1]):
        return f"must give {len(before[1])} labels, not {_kind(labels)}"
    return _of_tensors(before[:1], (images,))


def _of_update(before: Sequence[Tensor], after: Any) -> str:
    if not isinstance(after, list | tuple) or len(after) != len(before):
        return f"must give {len(before)} tensors, one a parameter, not {_kind(after)}"
    return _of_tensors(before, after)


def _of_tensors(before: Sequence[Tensor], after: Sequence[Any]) -> str:
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        if not isinstance(new, Tensor) or (new.shape, new.dtype, new.device) != (old.shape, old.dtype, old.device):
            return f"must keep tensor {number}, {_kind(old)}, and gives {_kind(new)}"
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)} on {value.device}"
    return f"{len(value)} of them" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
