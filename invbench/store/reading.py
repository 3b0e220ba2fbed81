"""Files read whole: regular and of bounded size; as JSON of bounded depth and without a key twice."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec

from invbench.store.files import Absent, StoreError, Unfit

MOST_BYTES = 1 << 29
"""Of any one file."""


class Size(NamedTuple):
    """How large JSON may be. What it takes in memory follows from its mappings and lists, 80 to 210 bytes each, and its
    values, up to 40 bytes each, so they are counted before anything is made of them."""

    bytes: int
    within: int  # mappings and lists
    values: int  # by their commas


RESULT = Size(1 << 26, 1 << 21, 1 << 23)
"""Of a file of a result; built for it, one takes some 450 MB in memory. A record has a list for each target in each
metric and control: 70,000 targets of 28 such, or 290,000 pictures. A plan of 1,000,000 cells, the most that a matrix
makes, has 24 MB, the list of those to compute again 42 MB."""
BASELINE = Size(MOST_BYTES, 1 << 22, 1 << 24)
"""Of a baseline: 100,000 cells of 16 targets have 308 MB, 1.8 million mappings and lists and 11 million values, and
take 900 MB in memory, as much as any other file within these bounds."""
DEEPEST = 40
"""Mappings and lists inside one another; settings reach 4. What walks them may call itself twice a level."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises at JSON that is torn, of other types, in another encoding, or too deep."""


def read_json(path: Path | str, most: Size = RESULT) -> Any:
    """The JSON in a file; StoreError where it is missing, torn, too deep or too large, has a key twice, holds NaN."""
    return parsed(read_bytes(path, most.bytes), path, most)


def read_text(path: Path | str) -> str:
    """A file in UTF-8; StoreError where it is missing, cannot be read, or is none."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error


def read_bytes(path: Path | str, most: int = MOST_BYTES) -> bytes:
    """What a regular file holds; Absent where there is none, StoreError where it cannot be read or has no end."""
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:  # a buffer costs more than the small file
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Unfit(f"{path}: is no regular file")
            if facts.st_size > most:
                raise Unfit(f"{path}: has {facts.st_size:,} bytes; at most {most:,} are read")
            return file.read()
    except FileNotFoundError as error:
        raise Absent(f"{path}: there is no such file") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise Unfit(f"{path}: is no regular file") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; one that is a FIFO is open at once, instead of when somebody writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no FIFOs


def refuse_too_large(data: bytes, where: object, most: Size = RESULT) -> None:
    """StoreError where JSON would be more than `most`; counted in its bytes, those within its texts too."""
    counts = (len(data), data.count(b"{") + data.count(b"["), data.count(b","))
    for count, bound, what in zip(counts, most, ("bytes", "mappings and lists", "values"), strict=True):
        if count > bound:
            raise StoreError(f"{where}: has {count:,} {what}; at most {bound:,} are read")


def parsed(data: bytes, where: object, most: Size = RESULT) -> Any:
    """JSON in bytes; StoreError, naming `where`, where `read_json` refuses it."""
    refuse_too_large(data, where, most)
    try:
        try:
            plain = msgspec.json.decode(data)  # several times quicker; what it refuses, the standard library judges
        except UNREADABLE:
            plain = json.loads(data, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
        else:
            if keys_written(data) != keys_within(plain):
                json.loads(data, object_pairs_hook=_once)  # names the key
        keys_within(plain)
        return plain
    except json.JSONDecodeError as error:
        raise StoreError(f"{where}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise StoreError(f"{where}: is nested too deep; at most {DEEPEST} levels are read") from error
    except ValueError as error:
        raise StoreError(f"{where}: is not JSON: {error}") from error


def keys_written(data: bytes) -> int:
    """How many keys of mappings JSON text holds, twice those written twice; more where a text holds a quoted colon."""
    return data.translate(None, b" \t\r\n").count(b'":')


def keys_within(plain: Any) -> int:
    """How many keys of mappings parsed JSON holds; RecursionError where it is deeper than DEEPEST."""
    level, keys = [plain], 0
    for _ in range(DEEPEST):
        inside = []
        for part in level:
            if type(part) is dict:
                keys += len(part)
                inside += [child for child in part.values() if type(child) is dict or type(child) is list]
            elif type(part) is list:
                inside += [child for child in part if type(child) is dict or type(child) is list]
        if not inside:
            return keys
        level = inside
    raise RecursionError


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key if len(key) <= 60 else key[:57] + '...'!r} is there twice")
        found[key] = value
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is a number beyond all that are read")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON knows")
