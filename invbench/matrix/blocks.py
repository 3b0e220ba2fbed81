"""Blocks of cells: the grid, and each included cell as a grid of one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from invbench import cell as cells
from invbench import registry
from invbench.cell import Cell, Choice
from invbench.core.errors import in_words
from invbench.core.theirs import PartRaised, theirs
from invbench.data import BadData, Dataset, Pool
from invbench.matrix.choices import Reader, read_choice
from invbench.matrix.controls import controls_of
from invbench.matrix.source.nodes import Entry, Node, Place, Table, plain, show
from invbench.matrix.values import AXES, INCLUDE_KEYS, SETTINGS, read_axis, read_value, refuse_unknown, setting

DEFAULTED = ("batch_size", "defense")
"""Axes of the grid that have a value where none is given: one picture, no defence."""


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
    controls: Mapping[str, Place]  # those asked for, whichever game's
    timeout: float


@dataclass(frozen=True)
class Block:
    """Every combination of these values. `axes` holds values for each axis that an attack's game uses.

    An axis may hold no `protocol`: then it is the default one of each attack's game.
    """

    axes: Mapping[str, tuple[Any, ...]]
    batches: Batches

    def cells(self, limits: Limits) -> Iterator[Cell]:
        """Cells in order: attack varies slowest, then model, batch size, defence, protocol, seed.

        Without a defence an attack that is not adaptive makes the cell of its twin, which is computed once.
        """
        data = self.batches.data
        assert data is not None
        for attack in self.axes["attack"]:
            game = attack.part.facts["game"]
            controls = controls_of(game, limits.controls, attack.part.facts["controls"])
            for chosen, seed in itertools.product(self._of_attack(attack), self.batches.seeds):
                yield Cell(
                    game=game,
                    attack=attack.told_of(chosen.get("defense")),
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
                    controls=controls,
                    timeout=limits.timeout,
                )

    def __len__(self) -> int:
        """How many cells, without making them."""
        sizes = [
            math.prod(len(self.axes[axis]) for axis in axes_of(attack, protocol) if axis != "protocol")
            for attack in self.axes["attack"]
            for protocol in self._protocols(attack)
        ]
        return sum(sizes) * len(self.batches.seeds)

    def _protocols(self, attack: Choice) -> tuple[Choice | None, ...]:
        """The attack's protocols: those of the axis, else its game's default; None for a game that has none."""
        default = default_protocol(attack)
        return (self.axes.get("protocol") or (default,)) if default is not None else (None,)

    def _of_attack(self, attack: Choice) -> Iterator[dict[str, Any]]:
        """The other axes' values for an attack, each combination once: a protocol may leave an axis unused."""
        protocols = self._protocols(attack)
        used = {protocol: axes_of(attack, protocol) for protocol in protocols}
        every = [axis for axis in AXES[1:-1] if any(axis in axes for axes in used.values())]
        firsts = {axis: self.axes[axis][0] for axis in every}
        for *values, protocol in itertools.product(*(self.axes[axis] for axis in every), protocols):
            chosen = dict(zip(every, values, strict=True))
            unused = [axis for axis in every if axis not in used[protocol]]
            if all(chosen[axis] == firsts[axis] for axis in unused):
                yield {axis: value for axis, value in chosen.items() if axis not in unused} | {"protocol": protocol}


def read_data(node: Node, reader: Reader) -> Data | None:
    """The data set that a node names, loaded; None, with the reason noted, where that fails."""
    choice = read_choice("dataset", node, reader)
    if choice is None:
        return None
    try:
        with theirs(BadData, OSError):
            pool = choice.build(Dataset).load()
            if not isinstance(pool, Pool):
                raise BadData(f"dataset {choice.name}: load() must give a Pool, not {type(pool).__name__}")
            return Data(choice, pool.content, pool.normalisation)
    except BadData as error:
        wrong = in_words(error)
    except OSError as error:
        wrong = f"{error.filename or choice.short}: {error.strerror or in_words(error)}"
    except PartRaised as raised:  # whatever goes wrong in somebody's data set
        wrong = f"dataset {choice.name} cannot be loaded: {raised}"
    reader.errors.add(_place_of_path(node), wrong)
    return None


def read_grid(entry: Entry, batches: Batches, reader: Reader) -> Block | None:
    """The grid. Its `attack` and `model` must be given; of the other axes each has a default of one value."""
    table = entry.value
    if not isinstance(table, Table):
        reader.errors.add(table.place, f"grid must be a mapping of axes, not {show(plain(table))}")
        return None
    refuse_unknown(table, AXES, "grid", reader.errors)
    axes: dict[str, tuple[Any, ...]] = {axis: _default(axis) for axis in DEFAULTED}
    for axis in AXES:
        if axis in table.entries:
            axes[axis] = read_axis(axis, table.entries[axis].value, reader)
        elif axis not in axes and axis != "protocol":
            reader.errors.add(entry.place, f"grid lacks {axis!r}")
    if batches.data is None or not all(axes.get(axis) for axis in AXES if axis in axes or axis != "protocol"):
        return None
    return Block(axes, batches)


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
    protocol = values.get("protocol")
    named = protocol if isinstance(protocol, Choice) else None
    needed = ("model", *_needed(attack, named)) if isinstance(attack, Choice) else ("attack", "model")
    if isinstance(attack, Choice) and "defense" in needed and "defense" in _game_of(attack).facts.get("later", ()):
        values.setdefault("defense", ())  # matrices from before the game had defences stay valid
    lacking = [axis for axis in AXES if axis in needed and axis not in values and axis != "protocol"]
    for axis in lacking:
        reader.errors.add(node.place, f"an included cell lacks {axis!r}")
    if lacking or None in values.values() or own.data is None:
        return None
    return Block({axis: (value,) for axis, value in values.items()}, own)


def axes_of(attack: Choice, protocol: Choice | None) -> tuple[str, ...]:
    """The axes beside the attack that its game and this protocol use, in their fixed order."""
    used = {*_game_of(attack).facts["axes"]}
    if protocol is not None:
        used |= {"protocol", *protocol.part.facts["axes"]}
    return tuple(axis for axis in AXES[1:] if axis in used)


def default_protocol(attack: Choice) -> Choice | None:
    """The protocol of an attack's game where none is named; None for a game without protocols."""
    return cells.default_protocol(attack.part.facts["game"])


def _needed(attack: Choice, protocol: Choice | None) -> tuple[str, ...]:
    default = default_protocol(attack)
    return axes_of(attack, protocol or default) if default is not None else axes_of(attack, None)


def _game_of(attack: Choice) -> registry.Part:
    return registry.load("game", attack.part.facts["game"])


def _default(axis: str) -> tuple[Any, ...]:
    return (SETTINGS["batch_size"].default,) if axis == "batch_size" else ((),)


def _place_of_path(node: Node) -> Place:
    """Where a data set's path stands, else the data set itself."""
    if isinstance(node, Table):
        for key in ("path", "root"):
            if key in node.entries:
                return node.entries[key].value.place
    return node.place
