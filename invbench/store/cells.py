"""The files of one cell: its record, read and made ready to be written, and what stands beside it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.store.files import Absent, Damaged, OtherSchema, StoreError, Unfit
from invbench.store.provenance import written_by
from invbench.store.reading import RESULT, read_bytes
from invbench.store.record import Record
from invbench.store.writing import make_folder, remove, remove_temporary

RECORD, ARRAYS = "record.json", "arrays.npz"
CELL_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}\.(json|npz|png|svg|csv|txt)")
"""Names of the files that a cell may hold: the record, which is written last, arrays, and what its game draws."""
CELL_ID = re.compile(r"[0-9a-f]{16}")


def record_if_there(
    id: str, path: Path | str, known: dict[bytes, Any] | None = None, settings: bool = True
) -> Record | None:
    """The record of a cell, which is opened without asking first: it may come and go between two looks."""
    try:
        data = read_bytes(path, RESULT.bytes)
    except Absent:
        return None
    except Unfit as error:
        raise Damaged(str(error)) from error
    try:
        record = Record.from_bytes(data, path, known, settings)
    except OtherSchema:
        raise
    except StoreError as error:
        raise Damaged(str(error)) from error
    if record.id != id:
        raise Damaged(f"{path}: is the record of another cell, {record.id}")
    return record


def signed(record: Record, beside: Iterable[str]) -> Record:
    """The record with the files beside it, and which invbench wrote it."""
    return replace(record, files=tuple(sorted(beside)), invbench=written_by())


def text_of(record: Record, files: Iterable[str] = ()) -> str:
    """The record's text; StoreError where it could not be read back, or a file beside it has no name of `CELL_FILE`."""
    wrong = next((name for name in files if not CELL_FILE.fullmatch(name) or name in (ARRAYS, RECORD)), None)
    if wrong is not None:
        raise StoreError(f"cell {record.id}: {wrong!r} is no name of a file that a cell may hold")
    text = record.to_json()
    Record.from_bytes(text.encode(), f"cell {record.id}")
    return text


def cleared(folder: Path) -> bool:
    """Take away all that a cell had, its record among it; whether its folder had to be made.

    Where `cells/` is gone somebody removed the whole result: then it is not made again, half of it.
    """
    made = make_folder(folder)
    if not made:
        remove_temporary(folder)
        for name in sorted(held(folder), key=lambda name: name != RECORD):  # without its record a cell is not done
            remove(folder / name)
    return made


def held(folder: Path) -> list[str]:
    """Names of the files that a cell's folder holds as a cell's own."""
    return [name for name in os.listdir(folder) if CELL_FILE.fullmatch(name)]


def pack(id: str, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StoreError(f"cell {id}: array {name!r} holds Python objects, which could only be pickled")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
