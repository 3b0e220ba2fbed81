"""The real command line in processes of its own, and what a test asks of the folders that it leaves."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from exact_attack import EXACT

PATIENCE = 120.0  # seconds: a loaded machine takes its time to import torch
MEASURED = ("attack_seconds", "cell_seconds", "peak_memory_mb")
"""The columns of summary.csv that differ from run to run."""

SMALL = """\
name: small
dataset: {name: npz, path: images.npz}
targets: 3
grid:
  attack: [EXACT, {name: inverting-gradients, iterations: 8}]
  model: [{name: mlp, width: 8}]
  batch_size: [1]
  defense: [none, {name: gaussian, std: 0.1}]
include:
  - {attack: EXACT, model: {name: mlp, width: 8}, batch_size: 2, defense: none}
  - {attack: map-inversion, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}, targets: 20}
""".replace("EXACT", EXACT)
"""Six cells of two games: five that end ok and the attack in closed form at batch 2, which is unsupported."""


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class FinishedRun:
    """A run of the matrix SMALL by two workers: where `small.yaml` lies, the result in it, how it ended."""

    folder: Path
    done: Finished

    @property
    def result(self) -> Path:
        return self.folder / "results" / "small"

    def copy(self, to: Path) -> Path:
        """A copy of the whole folder to change; its result."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True)
        return to / "results" / "small"


@dataclass(frozen=True)
class Running:
    """A command that goes on, in a process group of its own."""

    process: subprocess.Popen[bytes]
    folder: Path

    def workers(self) -> list[int]:
        """Its child processes: workers, and whatever else it started."""
        return children(self.process.pid)

    def end(self) -> Finished:
        """How it ended, once it has."""
        self.process.wait(PATIENCE)
        return Finished(self.process.returncode, *(self.said(name) for name in ("stdout", "stderr")))

    def said(self, name: str) -> str:
        return (self.folder / f".{name}").read_text()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The caller's environment without a GPU, with a cache of its own in `folder`, and without a width.

    A PYTHONPATH in `more` comes before the caller's, by which a checkout is tested that is not installed.
    """
    if "PYTHONPATH" in more and "PYTHONPATH" in os.environ:
        more["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    own = {"CUDA_VISIBLE_DEVICES": "", "INVBENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in os.environ.items() if name != "COLUMNS"} | own | more


def invbench(*words: object, folder: Path, patience: float = PATIENCE, **more: str) -> Finished:
    """Run `invbench WORDS` in `folder` to its end."""
    command = [sys.executable, "-m", "invbench", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, **more), capture_output=True, text=True, timeout=patience
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def heed_interrupts() -> None:
    """A shell starts its background jobs deaf to SIGINT, and what they start inherits that: undo it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(*words: object, folder: Path, **more: str) -> Iterator[Running]:
    """`invbench WORDS`, started in `folder`; nothing of it outlives the block."""
    command = [sys.executable, "-m", "invbench", *map(str, words)]
    with (folder / ".stdout").open("wb") as out, (folder / ".stderr").open("wb") as err:
        process = subprocess.Popen(
            command,
            **{"cwd": folder, "env": environment(folder, **more), "stdout": out, "stderr": err},
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    try:
        yield Running(process, folder)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The condition's value as soon as it holds; an AssertionError that says `what` did not happen."""
    end = time.monotonic() + patience
    while not (value := true()):
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(0.01)
    return value


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _status(int(entry.name))) and int(fields[1]) == pid:
            found.append(int(entry.name))
    return [child for child in found if alive(child)]


def alive(pid: int) -> bool:
    """Whether the process is there and more than a zombie."""
    fields = _status(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def _status(pid: int) -> list[str]:
    """State, parent, ... of a process; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def write_small(folder: Path) -> Path:
    """The matrix SMALL and its pictures in `folder`: twelve crops of 16 x 16 from a photograph, in four classes."""
    import skimage.data  # slow, and not every test needs pictures

    photograph = skimage.data.astronaut()
    corners = [(64 + 24 * (k // 4), 160 + 32 * (k % 4)) for k in range(12)]
    crops = [photograph[y : y + 16, x : x + 16].transpose(2, 0, 1) for y, x in corners]
    np.savez(folder / "images.npz", images=np.stack(crops), labels=np.arange(12) % 4)
    return write(folder / "small.yaml", SMALL)


def records(result: Path) -> dict[str, dict[str, Any]]:
    """Every record of a results folder by its cell's id."""
    return {path.parent.name: json.loads(path.read_text()) for path in result.glob("cells/*/record.json")}


def statuses(result: Path) -> dict[str, str]:
    """How each attack's cells ended: `{"dlg": "ok"}`; for matrices with one cell an attack."""
    return {bare(record["names"]["attack"]): record["status"] for record in records(result).values()}


def bare(name: str) -> str:
    """A printed name without its settings."""
    return re.sub(r"\(.*\)", "", name)


def written(result: Path) -> dict[str, int]:
    """When each cell's record was written, by the cell's id."""
    return {path.parent.name: path.stat().st_mtime_ns for path in result.glob("cells/*/record.json")}


def table(result: Path) -> list[dict[str, str]]:
    """The rows of summary.csv as text, without what a clock or the memory measured."""
    with (result / "summary.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in MEASURED} for row in csv.DictReader(file)]


def outcomes(result: Path) -> dict[str, Any]:
    """Everything in the records that equal settings must make equal."""
    measured = ("seconds", "memory_mb")
    return {id: {k: v for k, v in r.items() if k not in measured} for id, r in records(result).items()}


def edit_scores(result: Path, attack: str, change: Callable[[str, float], float]) -> str:
    """Change every score of the first cell of an attack, `change(metric, value)`; the cell's id."""
    id, record = next((i, r) for i, r in records(result).items() if bare(r["names"]["attack"]) == attack)
    scores: Mapping[str, list[list[float | None]]] = record["scores"]
    record["scores"] = {
        metric: [[None if v is None else change(metric, v) for v in target] for target in targets]
        for metric, targets in scores.items()
    }
    (result / "cells" / id / "record.json").write_text(json.dumps(record))
    return id
