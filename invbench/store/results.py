"""The results folder: atomic, resumable, readable without invbench or torch.

    NAME/matrix.yaml   NAME/plan.json   NAME/environment.json
    NAME/cells/ID/record.json   arrays.npz   grid.png
    NAME/utility/ID.json        (of the matrix's key `utility`; `store/utility.py`)

A cell counts as computed when its `record.json` is there, and that is written last: a folder torn at any
moment is a cell that is not done. Only the holder of `lock()` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.core.names import Defaults
from invbench.published import Published
from invbench.store.cells import (
    ARRAYS,
    CELL_ID,
    RECORD,
    cleared,
    held,
    pack,
    record_if_there,
    signed,
    text_of,
)
from invbench.store.files import Absent, StoreError, disk
from invbench.store.locking import HOLDER, LOCK, locked
from invbench.store.planned import defaults_in, published_in, to_plan
from invbench.store.reading import read_bytes, read_json, read_text
from invbench.store.record import Record
from invbench.store.writing import (
    TEMPORARY,
    is_folder,
    make_folder,
    remove_temporary,
    set_aside,
    sync_folder,
    write_all_atomic,
    write_atomic,
)

SCHEMA = 1


@dataclass(frozen=True)
class Results:
    """A handle on one results folder; making one touches nothing."""

    path: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against other runs, making it if need be; StoreError names the holder if there is one."""
        self._claim()
        with locked(self.path):
            yield

    def create(
        self,
        matrix_text: str,
        plan: Sequence[str],
        environment: Mapping[str, Any],
        federations: Mapping[str, str] = MappingProxyType({}),
        published: Sequence[Published] = (),
        defaults: Defaults = MappingProxyType({}),
    ) -> None:
        """Make the folder, or bring one of ours up to date, and clear what a killed run left half written.

        `federations`: cells to the ids of the trainings that say what their defences cost, where any are asked for.
        `published`: what papers report of these cells, where the matrix says so.
        `defaults`: those that tables say, since other cells have another value of the setting.
        Cells already there stay. StoreError, and nothing touched, where the folder holds something else.
        """
        self._claim()
        # plan.json first: it marks the folder as ours, so a run killed right after it can go on.
        trained = {"utility": dict(federations)} if federations else {}
        reported = {"published": to_plan(published)} if published else {}
        varying = {"defaults": defaults} if defaults else {}
        whole = {"schema": SCHEMA, "cells": list(plan), **trained, **reported, **varying}
        write_atomic(self.path / "plan.json", _pretty(whole))
        write_atomic(self.path / "matrix.yaml", matrix_text)
        write_atomic(self.path / "environment.json", _pretty(dict(environment)))
        with disk(self.path):
            make_folder(self._own_cells())
            for folder in (self.path, *filter(is_folder, map(self.cell, self._cell_ids()))):
                remove_temporary(folder)

    def write(
        self,
        record: Record,
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
        files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """Replace a cell: what it had goes first, the record comes last. Arrays are plain, never pickled.

        `files`: pictures and the like by name. A record that could not be read back, or a file whose name is none of
        `CELL_FILE`, is refused (StoreError) before anything is touched.
        """
        packed = {} if arrays is None else {ARRAYS: pack(record.id, arrays)}
        beside = {**packed, **files}
        text = text_of(signed(record, beside), files)
        self._replace(record.id, {**beside, RECORD: text.encode()})

    def copy(self, id: str, other: Results) -> None:
        """Replace a cell by that of another folder, byte by byte; StoreError where that cannot be read."""
        theirs = other.cell(id)
        with disk(theirs, "be read"):
            names = sorted(held(theirs), key=lambda name: name == RECORD)
        self._replace(id, {name: read_bytes(theirs / name) for name in names})

    def _replace(self, id: str, files: Mapping[str, bytes]) -> None:
        """Remove what the cell has, then write these files in their order, the record last."""
        folder = self._own_cell(id)
        with disk(folder):
            sync_folder(folder.parent if cleared(folder) else folder)
        for name, content in files.items():
            write_atomic(folder / name, content)

    def write_many(self, records: Sequence[tuple[Record, Mapping[str, bytes]]]) -> None:
        """`write` each of these records, with its files, of cells that have no arrays; thousands take seconds."""
        cells = [(self._own_cell(record.id), files, text_of(signed(record, files), files)) for record, files in records]
        for folder, _, _ in cells:
            with disk(folder):
                cleared(folder)
        contents = dict[Path, bytes | str]()
        for folder, files, text in cells:
            contents |= {folder / name: content for name, content in files.items()} | {folder / RECORD: text}
        write_all_atomic(contents)

    def plan(self) -> tuple[str, ...]:
        """Ids of the whole matrix as last run, in its order; StoreError where this is no result of invbench."""
        cells: tuple[str, ...] = tuple(self._plan()["cells"])
        return cells

    def planned_before(self) -> frozenset[str]:
        """Ids of the matrix as last run; none where there is no plan yet."""
        return frozenset(self.plan()) if (self.path / "plan.json").exists() else frozenset()

    def federations(self) -> dict[str, str]:
        """The trainings that the matrix as last run asks for beside its cells, by cell; StoreError as for `plan`."""
        found: dict[str, str] = self._plan().get("utility", {})
        return found

    def published(self) -> tuple[Published, ...]:
        """What papers report of the cells of the matrix as last run, as it says; StoreError as for `plan`."""
        return published_in(self._plan().get("published", []), self.path / "plan.json")

    def defaults(self) -> Defaults:
        """Defaults that tables say, since other cells of the matrix as last run have others; StoreError as `plan`."""
        return defaults_in(self._plan().get("defaults", {}), self.path / "plan.json")

    def _plan(self) -> dict[str, Any]:
        path = self.path / "plan.json"
        try:
            plain = read_json(path)
        except Absent:
            raise StoreError(
                f"{self.path}: is no result of invbench: it has no plan.json, which `invbench run` makes"
            ) from None
        cells = plain.get("cells") if isinstance(plain, dict) else None
        if not isinstance(cells, list) or not all(isinstance(id, str) and CELL_ID.fullmatch(id) for id in cells):
            raise StoreError(f"{path}: is not a plan of invbench")
        if plain.get("schema") != SCHEMA:
            raise StoreError(f"{path}: has schema {plain.get('schema')!r}; this invbench reads {SCHEMA}")
        trained = plain.get("utility", {})
        ids = [*trained, *trained.values()] if isinstance(trained, dict) else [None]
        if not all(isinstance(id, str) and CELL_ID.fullmatch(id) for id in ids):
            raise StoreError(f"{path}: its 'utility' is not a plan of invbench")
        found: dict[str, Any] = plain
        return found

    def matrix_text(self) -> str:
        """The matrix as last run."""
        return read_text(self.path / "matrix.yaml")

    def environment(self) -> dict[str, Any]:
        """Where it was last run, as `create` was told."""
        path = self.path / "environment.json"
        plain = read_json(path)
        if not isinstance(plain, dict):
            raise StoreError(f"{path}: must be a mapping")
        return plain

    def record(self, id: str) -> Record | None:
        """A cell's record, None where it is not computed; Damaged or OtherSchema where it cannot be understood."""
        return record_if_there(id, self.cell(id) / RECORD)

    def set_aside(self, id: str) -> Path:
        """Give the cell's record a name that nothing reads or has, so that the cell is not computed; that name.

        Where the cell's folder is none, but a link or a file, it is that which gets the name.
        """
        folder = self._own_cell(id)
        with disk(folder / RECORD, "be renamed"):
            return set_aside(folder / RECORD if is_folder(folder) else folder)

    def has(self, id: str, name: str) -> bool:
        """Whether a cell's folder holds this file."""
        return os.path.isfile(self.cell(id) / name)  # False where the system refuses to say

    def lost(self, record: Record) -> list[str]:
        """Files that were written beside a record and are gone."""
        return [name for name in record.files if not self.has(record.id, name)]

    def records(self) -> list[Record]:
        """Records of the cells planned and computed, in plan order."""
        return list(self._each_record(settings=True))

    def each_record(self, settings: bool = False) -> Iterator[Record]:
        """The same one by one: the values by target of 100,000 cells fill gigabytes. Settings only where asked for."""
        return self._each_record(settings)

    def _each_record(self, settings: bool) -> Iterator[Record]:
        """Those records, of which equal controls are one object."""
        known = dict[bytes, Any]()
        there, cells = self._cell_ids(), f"{self.path / 'cells'}{os.sep}"
        paths = ((id, f"{cells}{id}{os.sep}{RECORD}") for id in self.plan() if id in there)
        return (record for id, path in paths if (record := record_if_there(id, path, known, settings)) is not None)

    def older(self) -> int:
        """How many computed cells are here that the matrix as last run does not hold."""
        others = self._cell_ids() - set(self.plan())
        return sum(self.has(id, RECORD) for id in others)

    def computed(self) -> list[str]:
        """Ids of the cells that have a record, planned or not, sorted."""
        return sorted(id for id in self._cell_ids() if self.has(id, RECORD))

    def arrays(self, id: str) -> dict[str, npt.NDArray[Any]]:
        """A cell's arrays; StoreError where there are none or they are damaged."""
        path = self.cell(id) / ARRAYS
        try:
            with np.load(path, allow_pickle=False) as packed:
                return {name: packed[name] for name in packed.files}
        except FileNotFoundError as error:
            raise StoreError(f"{path}: there is no such file") from error
        except Exception as error:  # a damaged zip or header raises nearly anything
            raise StoreError(f"{path}: is not a readable npz file: {error}") from error

    def cell(self, id: str) -> Path:
        """A cell's folder, there or not; StoreError where that is no id."""
        if not CELL_ID.fullmatch(id):
            raise StoreError(f"{id!r} is not the id of a cell (16 hexadecimal digits)")
        return self.path / "cells" / id

    def _own_cells(self) -> Path:
        """The folder of all cells, to write in; StoreError where it is none of this result's, but a link or a file."""
        cells = self.path / "cells"
        with disk(cells):
            if os.path.lexists(cells) and not is_folder(cells):
                raise StoreError(f"{cells}: is a link or a file; a result is written into folders of its own alone")
        return cells

    def _own_cell(self, id: str) -> Path:
        """A cell's name in that folder."""
        self._own_cells()
        return self.cell(id)

    def _cell_ids(self) -> set[str]:
        cells = self.path / "cells"
        with disk(cells, "be read"):
            try:
                return set(filter(CELL_ID.fullmatch, os.listdir(cells)))
            except FileNotFoundError:
                return set()

    def _claim(self) -> None:
        """Make the folder, or make sure that it is ours or empty."""
        with disk(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            entries = {entry.name for entry in self.path.iterdir()}
        if "plan.json" in entries:
            self.plan()
            return
        foreign = sorted(e for e in entries if e not in (LOCK, HOLDER) and not TEMPORARY.fullmatch(e))
        if foreign:
            raise StoreError(
                f"{self.path}: holds {foreign[0]!r} but no plan.json, so it is not a result of invbench;"
                " choose an empty or a new folder"
            )


def _pretty(plain: Any) -> str:
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"
