"""Blocks of cells: the grid, and each included cell as a grid of one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from invbench import registry
from invbench.cell import Cell, Choice
from invbench.data import BadData
from invbench.matrix.choices import Reader, read_choice
from invbench.matrix.source.nodes import Entry, Node, Place, Table, plain, show
from invbench.matrix.values import AXES, INCLUDE_KEYS, SETTINGS, read_axis, read_value, refuse_unknown, setting

MAX_CELLS = 1_000_000


@dataclass(frozen=True)
class Data:
    """A data set as named, and what of its content enters a cell's id."""

    choice: Choice
    content: str
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None


@dataclass(frozen=True)
class Batches:
    """Which batches a cell attacks, and with which seeds."""

    data: Data | None
    targets: int
    offset: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Limits:
    """What is the same for every cell of a matrix."""

    threads: int
    compile: str
    controls: tuple[str, ...]
    timeout: float


@dataclass(frozen=True)
class Block:
    """Every combination of these values. `axes` holds a value for each axis that an attack's game uses."""

    axes: Mapping[str, tuple[Any, ...]]
    batches: Batches

    def cells(self, limits: Limits) -> Iterator[Cell]:
        """Cells in order: attack varies slowest, then model, batch size, defence, protocol, seed."""
        data = self.batches.data
        assert data is not None
        for attack in self.axes["attack"]:
            used = _axes_of(attack)
            for *values, seed in itertools.product(*(self.axes[axis] for axis in used), self.batches.seeds):
                chosen = dict(zip(used, values, strict=True))
                yield Cell(
                    game=attack.part.facts["game"],
                    attack=attack,
                    model=chosen["model"],
                    dataset=data.choice,
                    data_hash=data.content,
                    normalisation=data.normalisation,
                    batch_size=chosen.get("batch_size"),
                    defense=chosen.get("defense"),
                    protocol=chosen.get("protocol"),
                    targets=self.batches.targets,
                    offset=self.batches.offset,
                    seed=seed,
                    threads=limits.threads,
                    compile=limits.compile,
                    controls=limits.controls,
                    timeout=limits.timeout,
                )

    def __len__(self) -> int:
        """How many cells, without making them."""
        sizes = [math.prod(len(self.axes[axis]) for axis in _axes_of(attack)) for attack in self.axes["attack"]]
        return sum(sizes) * len(self.batches.seeds)


def read_data(node: Node, reader: Reader) -> Data | None:
    """The data set that a node names, loaded; None, with the reason noted, where that fails."""
    choice = read_choice("dataset", node, reader)
    if choice is None:
        return None
    try:
        pool = choice.build().load()
    except BadData as error:
        reader.errors.add(_place_of_path(node), str(error))
        return None
    normalised = hasattr(pool, "mean") and hasattr(pool, "std")
    return Data(choice, pool.content, (tuple(pool.mean), tuple(pool.std)) if normalised else None)


def read_grid(entry: Entry, batches: Batches, reader: Reader) -> Block | None:
    """The grid. Its `attack` and `model` must be given; of the other axes each has a default of one value."""
    table = entry.value
    if not isinstance(table, Table):
        reader.errors.add(table.place, f"grid must be a mapping of axes, not {show(plain(table))}")
        return None
    refuse_unknown(table, AXES, "grid", reader.errors)
    axes = {axis: _default(axis) for axis in AXES[2:]}
    for axis in AXES:
        if axis in table.entries:
            axes[axis] = read_axis(axis, table.entries[axis].value, reader)
        elif axis not in axes:
            reader.errors.add(entry.place, f"grid lacks {axis!r}")
    if batches.data is None or not all(axes.get(axis) for axis in AXES):
        return None
    block = Block(axes, batches)
    if len(block) > MAX_CELLS:
        reader.errors.add(entry.place, f"grid makes {len(block):,} cells; at most {MAX_CELLS:,}")
        return None
    return block


def read_include(node: Node, batches: Batches, reader: Reader) -> Block | None:
    """One included cell (one for each seed of the matrix unless it has its own); `protocol` alone has a default."""
    if not isinstance(node, Table):
        reader.errors.add(node.place, f"an included cell is a mapping of axes, not {show(plain(node))}")
        return None
    refuse_unknown(node, INCLUDE_KEYS, "an included cell", reader.errors)
    given = node.entries
    values = {axis: read_value(axis, given[axis].value, reader) for axis in AXES if axis in given}
    own = Batches(
        data=read_data(given["dataset"].value, reader) if "dataset" in given else batches.data,
        targets=setting("targets", node, reader.errors, batches.targets),
        offset=setting("offset", node, reader.errors, batches.offset),
        seeds=(setting("seed", node, reader.errors),) if "seed" in given else batches.seeds,
    )
    attack = values.get("attack")
    needed = ("model", *_axes_of(attack)) if isinstance(attack, Choice) else ("attack", "model")
    lacking = [axis for axis in AXES if axis in needed and axis not in given and axis != "protocol"]
    for axis in lacking:
        reader.errors.add(node.place, f"an included cell lacks {axis!r}")
    if lacking or None in values.values() or own.data is None:
        return None
    defaults = {"protocol": _default("protocol")}
    return Block(defaults | {axis: (value,) for axis, value in values.items()}, own)


def _axes_of(attack: Choice) -> tuple[str, ...]:
    """The axes beside the attack that its game uses, in their fixed order."""
    used = registry.load("game", attack.part.facts["game"]).cls.axes  # type: ignore[attr-defined]
    return tuple(axis for axis in AXES[1:] if axis in used)


def _default(axis: str) -> tuple[Any, ...]:
    if axis == "batch_size":
        return (SETTINGS["batch_size"].default,)
    if axis == "defense":
        return ((),)
    settings = registry.load("protocol", "fedsgd").settings({})
    return (Choice("protocol", "fedsgd", tuple(settings.items())),)


def _place_of_path(node: Node) -> Place:
    """Where a data set's path stands, else the data set itself."""
    if isinstance(node, Table):
        for key in ("path", "root"):
            if key in node.entries:
                return node.entries[key].value.place
    return node.place
