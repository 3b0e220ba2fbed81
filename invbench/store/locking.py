"""One writer a folder: the lock, and who holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from invbench.store.files import StoreError, disk
from invbench.store.reading import read_text
from invbench.store.writing import make_room, remove, write_atomic

LOCK, HOLDER = ".invbench.lock", ".invbench.holder"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other runs; StoreError names the holder if there is one.

    The system drops the lock when the process dies; children do not inherit it.
    """
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    with disk(folder, "be locked"):
        make_room(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{folder}: another run is writing here: {_holder(holder)}") from None
    try:
        write_atomic(holder, f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        with suppress(OSError):  # of use only to whoever meets the lock
            remove(holder)
        with suppress(OSError):  # the folder is gone, and the lock with it
            lock.release()


def _holder(path: Path) -> str:
    """Who says that it holds the folder."""
    try:
        return read_text(path).strip() or "another process"
    except StoreError:
        return "another process"
