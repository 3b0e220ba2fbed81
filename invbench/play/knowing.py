"""What a cell's attack is told: everything that is public, or without the defences where it is not adaptive."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from invbench.cell import Cell
from invbench.games import game_of
from invbench.observation import Observation

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
    """The observations as the cell's attack gets them. What is shared by several stays shared."""
    if cell.attack.adaptive:
        return observations
    known = {id(seen.public): as_told(cell, seen.public) for seen in observations}
    return [dataclasses.replace(seen, public=known[id(seen.public)]) for seen in observations]
