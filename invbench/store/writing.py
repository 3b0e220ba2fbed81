"""The one door through which anything is written or removed: files are whole or absent, and no link is followed.

Nothing outside a results folder is changed, whatever its folder holds. What has the name of a file or a folder of ours
and is none, as a link, a pipe or a folder in a file's place, is given a name that is free (`set_aside`).
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import BinaryIO

from invbench.store.files import disk

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""Names of files half written: `.NAME.PROCESS.tmp`, beside the file that they were to become."""

MANY = 32
"""Files from which on the whole system's disks are asked to keep up, instead of each file's: that takes a moment."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file of a result so that a reader, or a machine that loses power, finds the old one or the new one.

    What stands in its place and is no file is set aside. StoreError where the disk refuses.
    """
    with disk(path):
        make_room(path)
        _replace(path, content)


def write_out(path: Path, content: bytes | str) -> None:
    """Write a file that somebody named: through links, and whole as by `write_atomic` where it is a regular one.

    Into a terminal, a pipe or a device it is written, and so it is where the name is one of this process's own
    outputs (`/dev/stdout`), wherever that leads. StoreError where the disk refuses.
    """
    with disk(path):
        there = _status(path)
        own = None if there is None else next((n for n in (1, 2) if _is_open_as(there, n)), None)
        if own is None and (there is None or stat.S_ISREG(there.st_mode)):
            _replace(Path(os.path.realpath(path)), content)
            return
        with open(path if own is None else os.dup(own), "wb") as file:
            file.write(_bytes(content))


def write_all_atomic(contents: Mapping[Path, bytes | str]) -> None:
    """`write_atomic` for many files: none has its name before all have reached the disk, which is asked twice."""
    if len(contents) < MANY or not hasattr(os, "sync"):  # Windows
        for path, content in contents.items():
            write_atomic(path, content)
        return
    for path, content in contents.items():
        with disk(path), _new(_temporary(path)) as file:
            file.write(_bytes(content))
    os.sync()
    for path in contents:
        with disk(path):
            make_room(path)
            os.replace(_temporary(path), path)
    os.sync()


def make_folder(folder: Path) -> bool:
    """Make a folder unless there is one, and say whether it was made; a file or a link of its name is set aside."""
    there = _kind(folder)
    if there == stat.S_IFDIR:
        return False
    if there is not None:
        _tell(folder, there, set_aside(folder))
    folder.mkdir()
    return True


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    return _kind(path) == stat.S_IFDIR


def make_room(path: Path) -> None:
    """Set aside what has the name of a file and is none."""
    there = _kind(path)
    if there not in (None, stat.S_IFREG):
        _tell(path, there, set_aside(path))


def remove(path: Path) -> None:
    """Remove a file, which may be gone already; what is none is set aside instead."""
    make_room(path)
    path.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what a killed writer left half written in one folder."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name) and _kind(path) == stat.S_IFREG:
            path.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Give what is there, a link itself and not what it leads to, a name beside it that nothing has; that name."""
    names = (path.with_name(f"{path.stem}.damaged{f'-{n}' if n > 1 else ''}{path.suffix}") for n in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    os.replace(path, aside)
    return aside


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk (where the system can open a folder: not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(path: Path, content: bytes | str) -> None:
    temporary = _temporary(path)
    try:
        with _new(temporary) as file:
            file.write(_bytes(content))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _new(temporary: Path) -> BinaryIO:
    """A new file, open: one of its name goes first, and `x` follows no link that comes meanwhile."""
    remove(temporary)
    return temporary.open("xb")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _bytes(content: bytes | str) -> bytes:
    return content.encode(errors="backslashreplace") if isinstance(content, str) else content


def _kind(path: Path) -> int | None:
    """What is there, a link itself and not what it leads to, as `stat.S_IFMT` has it; None where nothing is."""
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return None


def _tell(path: Path, there: int | None, aside: Path) -> None:
    what = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}.get(there or 0, "no file")
    warnings.warn(f"{path}: is {what}, which is not written to; kept as {aside.name}", stacklevel=4)


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
