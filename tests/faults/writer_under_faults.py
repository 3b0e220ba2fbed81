"""A writer of results, broken at each of its calls to the file system in turn, and then begun again.

python writer_under_faults.py FOLDER EVERY FIRST: prints, as JSON, how many faults there were, and after which of them
what went wrong.
Each try is a fork of this process, which loads no torch.
"""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made_results import empty_record, update_record

from invbench import report
from invbench.store import Damaged, Record, Results, StoreError
from invbench.store.provenance import written_by

DONE, REFUSED, TRACEBACK, LEFT = 0, 2, 3, 9
RECORDS = [update_record((20.0 + k, 30.0), seed=k) for k in range(3)]
UNPLAYABLE = [empty_record("unsupported", "needs another batch", seed=k) for k in range(10, 12)]
CALLS = ("open", "replace", "fsync", "unlink", "mkdir", "listdir", "rename", "sync", "close")
"""Functions of `os` that may fail."""


def write(folder: Path) -> None:
    """A run as the store sees it: what is not done is written, the tables come last, also after a fault."""
    results, every = Results(folder), [*RECORDS, *UNPLAYABLE]
    with results.lock():
        results.create("name: made\n", [record.id for record in every], {"python": "3"})
        try:
            results.write_many([(record, {}) for record in UNPLAYABLE if not done(results, record)])
            for record in RECORDS:
                if not done(results, record):
                    arrays = {"originals": np.full((2, 8, 8), record.names["seed"], np.float32)}
                    results.write(record, arrays, {"grid.png": b"a picture"})
        finally:
            report.write_files(results)


def done(results: Results, record: Record) -> bool:
    try:
        found = results.record(record.id)
    except Damaged:
        results.set_aside(record.id)
        return False
    return found is not None and found.done()


class Faults:
    """Breaks the call of this number: `before` it is made or after, by a signal, an exit or an error of the disk."""

    def __init__(self, folder: Path, number: int, before: bool, fault: Callable[[], None]) -> None:
        self.folder, self.number, self.before, self.fault = str(folder), number, before, fault
        self.made = 0

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self.wrapped(getattr(os, name)))
        opened = self.wrapped(io.open)

        def opening(file: Any, mode: str = "r", *words: Any, **more: Any) -> Any:
            found = opened(file, mode, *words, **more)
            if set("wx") & set(mode) and self.ours((file,)):
                return Watched(found, self)
            return found

        builtins.open = io.open = opening  # type: ignore[assignment]

    def wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*words: Any, **more: Any) -> Any:
            return self.broken(lambda: call(*words, **more)) if self.ours(words) else call(*words, **more)

        return calling

    def ours(self, words: tuple[Any, ...]) -> bool:
        """Whether a call is about the folder: by a path in it, by a file open in it, or about all disks."""
        if not words:
            return True
        first = words[0]
        if isinstance(first, int):
            try:
                first = os.readlink(f"/proc/self/fd/{first}")
            except OSError:
                return False
        return isinstance(first, str | Path) and str(first).startswith(self.folder)

    def broken(self, call: Callable[[], Any]) -> Any:
        self.made += 1
        now = self.made == self.number
        if now and self.before:
            self.fault()
        try:
            return call()
        finally:
            if now and not self.before:
                self.fault()


class Watched:
    """A file open for writing, whose calls may fail; half of what is written has reached it then."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self.file, self.faults = file, faults

    def write(self, content: Any) -> int:
        half = len(content) // 2
        self.faults.broken(lambda: self.file.write(content[:half]))
        return half + int(self.faults.broken(lambda: self.file.write(content[half:])))

    def flush(self) -> None:
        self.faults.broken(self.file.flush)

    def close(self) -> None:
        self.faults.broken(self.file.close)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def refuse(number: int) -> Callable[[], None]:
    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return fault


FAULTS: dict[str, Callable[[], None]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "left": lambda: os._exit(LEFT),
    "disk full": refuse(errno.ENOSPC),
    "input/output error": refuse(errno.EIO),
}


def attempt(folder: Path, faults: Faults | None = None) -> tuple[int, str]:
    """`write` in a fork: its exit code (negative: the signal), and what it said."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, words = DONE, ""
        try:
            if faults is not None:
                faults.install()
            write(folder)
        except StoreError as error:
            code, words = REFUSED, str(error)
        except BaseException:
            code, words = TRACEBACK, traceback.format_exc()
        if faults is not None and not words:
            words = str(faults.made)
        os.write(into, words.encode(errors="replace")[:4000])
        os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as said:
        words = said.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), words


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def torn(folder: Path) -> str:
    """What is wrong with the records that a broken writer left, which must be whole where they are."""
    results = Results(folder)
    for record in RECORDS:
        try:
            found = results.record(record.id)
        except StoreError as error:
            return str(error)
        if found is not None and results.lost(found):
            return f"{record.id} lacks {results.lost(found)}"
    return ""


def main(base: Path, every: int, first: int) -> dict[str, Any]:
    """Every `every`-th fault from the `first` on."""
    written_by()  # asks git once, before the first fork
    whole = base / "whole" / "made"
    code, words = attempt(whole)
    assert code == DONE, words
    expected = tree(whole)
    wrong, tries, endings = [], 0, dict[str, int]()
    counting = Faults(base / "counted" / "made", 0, True, lambda: None)
    code, words = attempt(base / "counted" / "made", counting)
    assert code == DONE, words
    for turn, (number, before, (name, fault)) in enumerate(
        itertools.product(range(1, int(words) + 1), (True, False), FAULTS.items())
    ):
        if turn % every != first:
            continue
        folder = base / "tried" / "made"
        shutil.rmtree(folder.parent, ignore_errors=True)
        code, words = attempt(folder, Faults(folder, number, before, fault))
        tries += 1
        endings[str(code)] = endings.get(str(code), 0) + 1
        where = f"{name} {'before' if before else 'after'} call {number}"
        broke_off = {"killed": -signal.SIGKILL, "left": LEFT}.get(name)
        if code not in ((broke_off,) if broke_off is not None else (DONE, REFUSED)):
            wrong.append(f"{where}: ended {code}: {words}")
        elif code == REFUSED and str(folder) not in words:
            wrong.append(f"{where}: the refusal names no place: {words}")
        elif (folder / "plan.json").exists() and (harm := torn(folder)):
            wrong.append(f"{where}: {harm}")
        else:
            code, words = attempt(folder)
            after = tree(folder)
            if code != DONE or after != expected:
                different = sorted(k for k in after.keys() | expected.keys() if after.get(k) != expected.get(k))
                wrong.append(f"{where}: begun again it ended {code}: {words or different}")
    return {"faults": tries, "endings": endings, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
