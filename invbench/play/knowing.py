"""What a cell's attack is told: all that is public, or neither defences nor later rounds where it is not adaptive."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from invbench.cell import Cell
from invbench.games import game_of
from invbench.observation import Observation, UpdateObservation
from invbench.updates.pooling import pooled

Known = TypeVar("Known")
Seen = TypeVar("Seen", bound=Observation[object])


def public_of(cell: Cell) -> Any:
    """What the cell's attack knows before anything is seen."""
    return as_told(cell, game_of(cell).public(cell))


def as_told(cell: Cell, public: Known) -> Known:
    """What is public, as the cell's attack knows it: one that is not adaptive takes no defence for declared."""
    if cell.attack.adaptive or not getattr(public, "defenses", ()):
        return public
    assert dataclasses.is_dataclass(public)
    assert not isinstance(public, type)
    return dataclasses.replace(public, **{"defenses": ()})


def told_observations(cell: Cell, observations: Sequence[Seen]) -> Sequence[Seen]:
    """The observations as the cell's attack gets them. What is shared by several stays shared.

    Where one batch was in several rounds, an adaptive attack reads them together (`updates/pooling.py`); one that is
    not takes the first alone.
    """
    if cell.attack.adaptive:
        return [_together(seen) for seen in observations]
    known = {id(seen.public): as_told(cell, seen.public) for seen in observations}
    return [dataclasses.replace(_first(seen), public=known[id(seen.public)]) for seen in observations]


def _together(seen: Seen) -> Seen:
    return pooled(seen) if isinstance(seen, UpdateObservation) else seen  # type: ignore[return-value]


def _first(seen: Seen) -> Seen:
    return dataclasses.replace(seen, rounds=()) if isinstance(seen, UpdateObservation) else seen
