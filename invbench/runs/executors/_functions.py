"""What functions do, seen below their names: their code, their defaults and the functions that they close over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from operator import attrgetter
from types import CellType, FunctionType, MethodType
from typing import Any

_does = attrgetter("__code__", "__defaults__", "__closure__")  # none of them can be changed within, only replaced


class Functions:
    """Those that have been looked at, with what each did then."""

    def __init__(self) -> None:
        self.known: dict[int, FunctionType] = {}
        self.did: list[tuple[Any, ...]] = []  # of each, in their order
        self.by_name: list[tuple[FunctionType, dict[str, Any]]] = []  # those with defaults by name, which a dict holds
        self.held: list[tuple[FunctionType, CellType, FunctionType]] = []  # a function, and one that it closes over

    def look(self, values: Iterable[object]) -> None:
        """See what these functions do, and those behind them; values of other types have none."""
        left = list(values)
        while left:
            value = left.pop()
            if not isinstance(value, FunctionType):
                left += _behind(value)
            elif id(value) not in self.known:
                self.known[id(value)] = value
                self.did.append(_does(value))
                left.append(getattr(value, "__wrapped__", None))
                if value.__kwdefaults__:
                    self.by_name.append((value, dict(value.__kwdefaults__)))
                for cell, content in _closed_over(value):
                    left.append(content)
                    if isinstance(content, FunctionType):
                        self.held.append((value, cell, content))

    def changed(self) -> Iterator[str]:
        """The names of those that do something else by now."""
        now = list(map(_does, self.known.values()))
        if now != self.did:  # compared as a whole first, which takes a tenth of the time
            pairs = zip(self.known.values(), now, self.did, strict=True)
            yield from (_name(function) for function, does, did in pairs if does != did)
        yield from (_name(function) for function, named in self.by_name if function.__kwdefaults__ != named)
        yield from (_name(function) for function, cell, held in self.held if cell.cell_contents is not held)


def _behind(value: object) -> list[object]:
    """What a method, a property, a partial or a remembered function calls."""
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, staticmethod | classmethod | MethodType):
        return [value.__func__]
    if isinstance(value, partial | cached_property):
        return [value.func]
    return [value.__wrapped__] if type(value).__name__ == "_lru_cache_wrapper" else []  # type: ignore[attr-defined]


def _closed_over(function: FunctionType) -> Iterator[tuple[CellType, object]]:
    for cell in function.__closure__ or ():
        try:
            yield cell, cell.cell_contents
        except ValueError:  # nothing in it yet
            continue


def _name(function: FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"
