"""Files that are whole or absent, and what the disk refuses as one refusal that names the place."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from invbench.core.errors import Refusal

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""Names of files half written: `.NAME.PROCESS.tmp`, beside the file that they were to become."""

MANY = 32
"""Files from which on the whole system's disks are asked to keep up, instead of each file's: that takes a moment."""


class StoreError(Refusal):
    """A results folder or a file in it that cannot be used; the message names it and says what is wrong."""


class Absent(StoreError):
    """There is no file of that name."""


class OtherSchema(StoreError):
    """A file that another version of invbench wrote, which this one does not read."""


class Damaged(StoreError):
    """A record that is none any more: torn, changed, or of another cell."""


@contextmanager
def disk(path: Path, what: str = "be written") -> Iterator[None]:
    """Turn what the system refuses inside the block into a StoreError: `path` cannot be written, read, locked."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot {what}: {error.strerror or error}") from error


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


def write_out(path: Path, content: bytes | str) -> None:
    """Write a file that somebody named: through links, and whole as by `write_atomic` where it is a regular one.

    Into a terminal, a pipe or a device it is written, and so it is where the name is one of this process's own
    outputs (`/dev/stdout`), wherever that leads. StoreError where the disk refuses.
    """
    with disk(path):
        there = _status(path)
        own = None if there is None else next((n for n in (1, 2) if _is_open_as(there, n)), None)
        if own is None and (there is None or stat.S_ISREG(there.st_mode)):
            write_atomic(Path(os.path.realpath(path)), content)
            return
        with open(path if own is None else os.dup(own), "wb") as file:
            file.write(_bytes(content))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_open_as(there: os.stat_result, number: int) -> bool:
    try:
        return os.path.samestat(there, os.fstat(number))
    except OSError:  # closed
        return False


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
