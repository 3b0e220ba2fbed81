"""Files that are whole or absent, and JSON that is refused rather than half understood."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from invbench.core.errors import Refusal

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""Names of files half written: `.NAME.PROCESS.tmp`, beside the file that they were to become."""


MANY = 32
"""Files from which on the whole system's disks are asked to keep up, instead of each file's: that takes a moment."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises at JSON that is torn, of other types, in another encoding, or too deep."""


class StoreError(Refusal):
    """A results folder or a file in it that cannot be used; the message names it and says what is wrong."""


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn what the system refuses inside the block into a StoreError about `path`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a machine that loses power, finds the old one or the new one.

    StoreError where the disk refuses.
    """
    temporary = _temporary(path)
    with disk(path):
        try:
            with temporary.open("wb") as file:
                file.write(_bytes(content))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_all_atomic(contents: Mapping[Path, bytes | str]) -> None:
    """The same for many files: none has its name before all have reached the disk, which is asked twice in all."""
    if len(contents) < MANY or not hasattr(os, "sync"):  # Windows
        for path, content in contents.items():
            write_atomic(path, content)
        return
    for path, content in contents.items():
        with disk(path):
            _temporary(path).write_bytes(_bytes(content))
    os.sync()
    for path in contents:
        with disk(path):
            os.replace(_temporary(path), path)
    os.sync()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _bytes(content: bytes | str) -> bytes:
    return content.encode(errors="backslashreplace") if isinstance(content, str) else content


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk (where the system can open a folder: not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Remove what a killed writer left half written in one folder."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def read_json(path: Path | str) -> Any:
    """The JSON in a file; StoreError where it is missing, torn, or holds NaN or Infinity."""
    return parsed(read_bytes(path), path)


def read_bytes(path: Path | str) -> bytes:
    """What a file holds; StoreError where it is missing or cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # a buffer would cost more than the small file
            return file.read()
    except FileNotFoundError as error:
        raise StoreError(f"{path}: there is no such file") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


def parsed(data: bytes, where: object) -> Any:
    """JSON in bytes; StoreError, naming `where`, where it is torn, or holds NaN or Infinity."""
    try:
        try:
            return msgspec.json.decode(data)  # several times quicker; what it refuses, the standard library judges
        except UNREADABLE:
            return json.loads(data, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise StoreError(f"{where}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where}: is not JSON: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON knows")
