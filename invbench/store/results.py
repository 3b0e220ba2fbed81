"""The results folder: atomic, resumable, readable without invbench or torch.

    NAME/matrix.yaml   NAME/plan.json   NAME/environment.json
    NAME/cells/ID/record.json   arrays.npz   grid.png

A cell counts as computed when its `record.json` is there, and that is written last: a folder torn at any
moment is a cell that is not done. Only the holder of `lock()` writes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from invbench.store.files import (
    TEMPORARY,
    StoreError,
    disk,
    read_bytes,
    read_json,
    remove_temporary,
    sync_folder,
    write_all_atomic,
    write_atomic,
)
from invbench.store.record import Record

SCHEMA = 1
LOCK, HOLDER = ".invbench.lock", ".invbench.holder"
FRESH = "fresh.json"
"""Cells that a fresh run has still to compute again, each with a hash of the record that it is to replace."""
RECORD, ARRAYS = "record.json", "arrays.npz"
CELL_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.(json|npz|png|svg|csv|txt)")
"""Names of the files that a cell may hold: the record, which is written last, arrays, and what its game draws."""
CELL_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Results:
    """A handle on one results folder; making one touches nothing."""

    path: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against other runs, making it if need be; StoreError names the holder if there is one.

        The system drops the lock when the process dies; children do not inherit it.
        """
        self._claim()
        lock, holder = FileLock(self.path / LOCK), self.path / HOLDER
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = holder.read_text().strip() if holder.is_file() else "another process"
            raise StoreError(f"{self.path}: another run is writing here: {who}") from None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be locked: {error.strerror}") from error
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def create(self, matrix_text: str, plan: Sequence[str], environment: Mapping[str, Any]) -> None:
        """Make the folder, or bring one of ours up to date, and clear what a killed run left half written.

        Cells already there stay. StoreError, and nothing touched, where the folder holds something else.
        """
        self._claim()
        # plan.json first: it marks the folder as ours, so a run killed right after it can go on.
        write_atomic(self.path / "plan.json", _pretty({"schema": SCHEMA, "cells": list(plan)}))
        write_atomic(self.path / "matrix.yaml", matrix_text)
        write_atomic(self.path / "environment.json", _pretty(dict(environment)))
        with disk(self.path):
            (self.path / "cells").mkdir(exist_ok=True)
            for folder in (self.path, *(self.cell(id) for id in self._cell_ids())):
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
        packed = {} if arrays is None else {ARRAYS: _pack(record.id, arrays)}
        text = text_of(record, files)
        self._replace(record.id, {**packed, **files, RECORD: text.encode()})

    def copy(self, id: str, other: Results) -> None:
        """Replace a cell by that of another folder, byte by byte; StoreError where that cannot be read."""
        theirs = other.cell(id)
        try:
            names = sorted(_held(theirs), key=lambda name: name == RECORD)
            files = {name: (theirs / name).read_bytes() for name in names}
        except OSError as error:
            raise StoreError(f"{theirs}: cannot be read: {error.strerror}") from error
        self._replace(id, files)

    def _replace(self, id: str, files: Mapping[str, bytes]) -> None:
        """Remove what the cell has, then write these files in their order, the record last."""
        folder = self.cell(id)
        with disk(folder):
            sync_folder(folder.parent if _cleared(folder) else folder)
        for name, content in files.items():
            write_atomic(folder / name, content)

    def write_many(self, records: Sequence[tuple[Record, Mapping[str, bytes]]]) -> None:
        """`write` each of these records, with its files, of cells that have no arrays; thousands take seconds."""
        cells = [(self.cell(record.id), files, text_of(record, files)) for record, files in records]
        for folder, _, _ in cells:
            with disk(folder):
                _cleared(folder)
        contents = dict[Path, bytes | str]()
        for folder, files, text in cells:
            contents |= {folder / name: content for name, content in files.items()} | {folder / RECORD: text}
        write_all_atomic(contents)

    def begin_fresh(self, ids: Iterable[str]) -> None:
        """Note that these cells are to be computed again, whatever they have; kept until they were (`end_fresh`)."""
        now = {id: mark for id in ids if (mark := self._mark(id)) is not None}
        self._write_fresh(self._fresh() | now)

    def of_before(self) -> frozenset[str]:
        """Cells whose records are still those of before a fresh run that has not ended."""
        return frozenset(id for id, mark in self._fresh().items() if self._mark(id) == mark)

    def end_fresh(self, ids: Iterable[str]) -> None:
        """Note that the run of these cells has ended."""
        done = set(ids)
        if marks := self._fresh():
            self._write_fresh({id: mark for id, mark in marks.items() if id not in done})

    def _fresh(self) -> dict[str, str]:
        path = self.path / FRESH
        if not path.exists():
            return {}
        plain = read_json(path)
        if not isinstance(plain, dict) or not all(CELL_ID.fullmatch(id) and isinstance(plain[id], str) for id in plain):
            raise StoreError(f"{path}: is not invbench's list of cells to compute again; without it they are kept")
        return plain

    def _write_fresh(self, marks: Mapping[str, str]) -> None:
        path = self.path / FRESH
        if marks:
            write_atomic(path, _pretty(dict(marks)))
        else:
            with disk(path):
                path.unlink(missing_ok=True)

    def _mark(self, id: str) -> str | None:
        """A hash of a cell's record, which holds how long it took: no record of another run has the same."""
        path = self.cell(id) / RECORD
        return hashlib.sha256(read_bytes(path)).hexdigest()[:16] if path.exists() else None

    def plan(self) -> tuple[str, ...]:
        """Ids of the whole matrix as last run, in its order; StoreError where this is no result of invbench."""
        path = self.path / "plan.json"
        if not path.exists():
            raise StoreError(f"{self.path}: is no result of invbench: it has no plan.json, which `invbench run` makes")
        plain = read_json(path)
        cells = plain.get("cells") if isinstance(plain, dict) else None
        if not isinstance(cells, list) or not all(isinstance(id, str) and CELL_ID.fullmatch(id) for id in cells):
            raise StoreError(f"{path}: is not a plan of invbench")
        if plain.get("schema") != SCHEMA:
            raise StoreError(f"{path}: has schema {plain.get('schema')!r}; this invbench reads {SCHEMA}")
        return tuple(cells)

    def matrix_text(self) -> str:
        """The matrix as last run."""
        path = self.path / "matrix.yaml"
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error

    def environment(self) -> dict[str, Any]:
        """Where it was last run, as `create` was told."""
        path = self.path / "environment.json"
        plain = read_json(path)
        if not isinstance(plain, dict):
            raise StoreError(f"{path}: must be a mapping")
        return plain

    def record(self, id: str) -> Record | None:
        """A cell's record, None where it is not computed; StoreError where it is damaged or of another schema."""
        path = self.cell(id) / "record.json"
        return _record(id, path) if path.exists() else None

    def records(self) -> list[Record]:
        """Records of the cells planned and computed, in plan order."""
        return list(self._each_record(settings=True))

    def each_record(self) -> Iterator[Record]:
        """The same one by one and without settings: the values by target of 100,000 cells fill gigabytes."""
        return self._each_record(settings=False)

    def _each_record(self, settings: bool) -> Iterator[Record]:
        """Those records, of which equal controls are one object."""
        known = dict[bytes, Any]()
        there, cells = self._cell_ids(), f"{self.path / 'cells'}{os.sep}"
        paths = ((id, f"{cells}{id}{os.sep}record.json") for id in self.plan() if id in there)
        return (record for id, path in paths if (record := _record_if_there(id, path, known, settings)) is not None)

    def older(self) -> int:
        """How many computed cells are here that the matrix as last run does not hold."""
        others = self._cell_ids() - set(self.plan())
        return sum((self.cell(id) / "record.json").exists() for id in others)

    def arrays(self, id: str) -> dict[str, npt.NDArray[Any]]:
        """A cell's arrays; StoreError where there are none or they are damaged."""
        path = self.cell(id) / "arrays.npz"
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

    def _cell_ids(self) -> set[str]:
        cells = self.path / "cells"
        return set(filter(CELL_ID.fullmatch, os.listdir(cells))) if cells.is_dir() else set()

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


def _record(id: str, path: Path | str, known: dict[bytes, Any] | None = None, settings: bool = True) -> Record:
    record = Record.from_bytes(read_bytes(path), path, known, settings)
    if record.id != id:
        raise StoreError(f"{path}: is the record of another cell, {record.id}")
    return record


def _record_if_there(id: str, path: str, known: dict[bytes, Any], settings: bool) -> Record | None:
    """The same of a cell that is nearly always there: to ask first, or to make a Path, costs as much as to open it."""
    try:
        return _record(id, path, known, settings)
    except StoreError:
        if os.path.exists(path):
            raise
        return None


def _pretty(plain: Any) -> str:
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def text_of(record: Record, files: Iterable[str] = ()) -> str:
    """The record's text; StoreError where it could not be read back, or a file beside it has no name of `CELL_FILE`."""
    wrong = next((name for name in files if not CELL_FILE.fullmatch(name) or name in (ARRAYS, RECORD)), None)
    if wrong is not None:
        raise StoreError(f"cell {record.id}: {wrong!r} is no name of a file that a cell may hold")
    text = record.to_json()
    Record.from_bytes(text.encode(), f"cell {record.id}")
    return text


def _cleared(folder: Path) -> bool:
    """Take away all that a cell had, its record among it; whether its folder had to be made."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        remove_temporary(folder)
        for name in sorted(_held(folder), key=lambda name: name != RECORD):  # without its record a cell is not done
            (folder / name).unlink(missing_ok=True)
        return False
    return True


def _held(folder: Path) -> list[str]:
    """Names of the files that a cell's folder holds as a cell's own."""
    return [name for name in os.listdir(folder) if CELL_FILE.fullmatch(name)] if folder.is_dir() else []


def _pack(id: str, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StoreError(f"cell {id}: array {name!r} holds Python objects, which could only be pickled")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
