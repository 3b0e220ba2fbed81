"""What crosses from a part into a record: made plain, or refused with the part, the field and what is wrong there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from invbench.core.errors import sound
from invbench.core.theirs import PartRaised, theirs
from invbench.games import Deal, Scores
from invbench.observation import Answer, Json
from invbench.play.outcomes import Played
from invbench.store import StoreError, text_of

_DEEPEST = 32  # lists within lists: more is a cycle, or nothing that anybody reads
_MOST = 100_000  # values in one field: a record is a page, not an archive
_LONGEST = 100_000  # characters of one text
_LARGEST = 2**63 - 1  # a whole number that every reader of JSON can hold


class NotPlain(ValueError):
    """A part gave something that no record can hold, or that its contract does not allow."""


def told(attack: str, deal: Deal[Any, Any], answers: Sequence[object]) -> list[Answer]:
    """What an attack says beside each of its answers, plain.

    NotPlain names the attack and the answer where that is not what its contract says: then nothing is scored.
    """
    return [_told(f"attack {attack}: answer {k + 1}", partial(deal.complaint, k), one) for k, one in enumerate(answers)]


def _told(where: str, complaint_of: Callable[[object], str | None], answer: Any) -> Answer:
    try:
        with theirs(NotPlain):
            return _read(where, complaint_of(answer), answer)
    except PartRaised as raised:  # an answer may be an object of the part's own
        raise NotPlain(f"{where}: cannot be read: {raised}") from raised.error


def _read(where: str, complaint: str | None, answer: Any) -> Answer:
    if complaint is not None:
        raise NotPlain(f"{where}: {complaint}")
    if any(not hasattr(answer, field.name) for field in fields(Answer)):
        raise NotPlain(f"{where}: must be an Answer, not {short(answer)}")
    objective, stopped = answer.objective, _mapping(answer.stopped, f"{where}: stopped")
    return Answer(
        evaluations=count(answer.evaluations, f"{where}: evaluations"),
        diverged=_flag(answer.diverged, f"{where}: diverged"),
        objective=None if objective is None else _number(objective, f"{where}: objective"),
        notes=tuple(texts(answer.notes, f"{where}: notes")),
        facts=_mapping(answer.facts, f"{where}: facts"),
        stopped={why: count(number, f"{where}: stopped") for why, number in stopped.items()},
    )


def scores_of(scores: object, where: str) -> Scores:
    """A game's scores: metric to targets to items, each a number or None."""
    if not isinstance(scores, Mapping):
        raise NotPlain(f"{where}: scores must be a mapping, not {short(scores)}")
    return {_key(metric, where): _targets(targets, f"{where}: {metric}") for metric, targets in scores.items()}


def _targets(targets: object, where: str) -> list[list[float | None]]:
    if not isinstance(targets, list | tuple) or not all(isinstance(items, list | tuple) for items in targets):
        raise NotPlain(f"{where}: must be a list of lists of numbers, one a target, not {short(targets)}")
    return [[None if item is None else _number(item, where) for item in items] for items in targets]


def writable(where: str, played: Played) -> Played:
    """What is played, once it is certain that the results folder takes it: it is another process that writes."""
    for name, content in played.files.items():
        if not isinstance(name, str) or type(content) is not bytes:
            raise NotPlain(f"{where}: file {short(name)} must be bytes, not {short(content)}")
    arrays = played.arrays or {}
    for name, array in arrays.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.hasobject:
            raise NotPlain(f"{where}: array {short(name)} must be one of NumPy's, of numbers or texts")
    try:
        text_of(played.record, played.files)
    except StoreError as error:
        raise NotPlain(f"{where}: {error}") from error
    return replace(played, arrays={text(name): np.asarray(array) for name, array in arrays.items()})


def plain(value: object, where: str) -> Json:
    """The value as JSON has it; numbers of NumPy and torch become Python's. NotPlain where it is none."""
    return _plain(value, where, _DEEPEST, [_MOST])


def text(value: str) -> str:
    """Words that any file can hold, and no more of them than anybody reads."""
    own = str.__str__(value)
    return sound(own if len(own) <= _LONGEST else own[: _LONGEST - 4] + " ...")


def texts(values: object, where: str) -> list[str]:
    """A sequence of words."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(isinstance(v, str) for v in values):
        raise NotPlain(f"{where}: must be texts, not {short(values)}")
    return [text(value) for value in values]


def count(value: object, where: str) -> int:
    """A whole number, not below 0."""
    number = _scalar(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or not 0 <= number <= _LARGEST:
        raise NotPlain(f"{where}: must be a whole number from 0 on, not {short(value)}")
    return int.__int__(number)


def short(value: object) -> str:
    """What a value is, in a few words: a part's own `__repr__` is not asked."""
    if value is None or type(value) in (bool, int, float, str):
        shown = repr(value) if not isinstance(value, int) or abs(value) <= _LARGEST else "a very large number"
        return shown if len(shown) <= 60 else shown[:57] + "..."
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in tuple('aeiou') else 'a'} {name}"


def _number(value: object, where: str) -> float:
    number = _scalar(value)
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) <= _LARGEST:
        return float(number)
    if isinstance(number, float):
        return float.__float__(number)
    raise NotPlain(f"{where}: must be a number, not {short(value)}")


def _flag(value: object, where: str) -> bool:
    flag = _scalar(value)
    if not isinstance(flag, bool):
        raise NotPlain(f"{where}: must be true or false, not {short(value)}")
    return flag


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise NotPlain(f"{where}: must be a mapping, not {short(value)}")
    made = plain(value, where)
    assert isinstance(made, dict)
    return made


def _plain(value: object, where: str, deeper: int, left: list[int]) -> Json:
    left[0] -= 1
    if deeper < 0 or left[0] < 0:
        most = f"nested deeper than {_DEEPEST}" if deeper < 0 else f"of more than {_MOST} values"
        raise NotPlain(f"{where}: is {most}, which no record holds")
    if isinstance(value, Mapping):
        pairs = [(_key(key, where), part) for key, part in value.items()]
        return {key: _plain(part, f"{where}: {key[:40]}", deeper - 1, left) for key, part in pairs}
    if isinstance(value, list | tuple):
        return [_plain(part, where, deeper - 1, left) for part in value]
    scalar = _scalar(value)
    if isinstance(scalar, str):
        return text(scalar)
    if scalar is None or isinstance(scalar, bool):
        return scalar
    if isinstance(scalar, float):
        return float.__float__(scalar)
    if isinstance(scalar, int) and abs(scalar) <= _LARGEST:
        return int.__int__(scalar)
    raise NotPlain(f"{where}: {short(value)} is nothing that JSON knows")


def _key(key: object, where: str) -> str:
    scalar = _scalar(key)
    if isinstance(scalar, str):
        return text(scalar)
    if isinstance(scalar, int | float):
        return str(scalar)
    raise NotPlain(f"{where}: a key must be text, not {short(key)}")


def _scalar(value: object) -> object:
    """A number of NumPy or torch that holds one value as Python's own; anything else as it is."""
    if isinstance(value, np.generic | np.ndarray):
        return value.item() if value.size == 1 else value
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
