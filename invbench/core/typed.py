"""Whether a value that somebody's file made is of the types that its class says."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def must_be_typed(made: Any) -> None:
    """TypeError for the first field of a dataclass whose value is not of its annotation.

    Numbers are finite, a list will do for a tuple. Called by `__post_init__`, so that no wrong one comes to be.
    """
    cls: Any = type(made)
    hints = _hints(cls)
    for field in fields(made):
        value, kind = getattr(made, field.name), hints[field.name]
        if not _is(value, kind):
            name = getattr(kind, "__name__", "") if isinstance(kind, type) else str(kind)
            raise TypeError(f"{type(made).__name__}.{field.name} must be {name}, not {_short(value)}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _is(value: Any, kind: Any) -> bool:
    origin, within = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_is(value, one) for one in within)
    if origin is Literal:
        return isinstance(value, str) and value in within
    if origin is tuple:
        return isinstance(value, tuple | list) and (
            all(_is(one, within[0]) for one in value)
            if within[1:] == (...,)
            else len(value) == len(within) and all(map(_is, value, within))
        )
    if origin is Callable:
        return callable(value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _short(value: Any) -> str:
    try:
        words = repr(value)
    except Exception:  # somebody's own __repr__
        words = type(value).__name__
    return words if len(words) <= 60 else words[:57] + "..."
