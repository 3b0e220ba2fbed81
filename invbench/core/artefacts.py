"""Things made once and shared by cells: trained victims, guesses on noise. Content-addressed safetensors.

An artefact's name is the hash of everything that it depends on, so a stored one is never stale. Two
processes that want the same one wait for each other: the second finds it made.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Artefact:
    """`key`: all that it depends on, as JSON. `make()` gives its tensors. `what`: for a person to read."""

    what: str
    key: Mapping[str, Any]
    make: Callable[[], Tensors]

    @cached_property
    def name(self) -> str:
        text = json.dumps(self.key, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def path(self) -> Path:
        return place(self.name)

    @property
    def made(self) -> bool:
        return self.path.exists()


def cache_folder() -> Path:
    """`$INVBENCH_CACHE`, else the user's cache folder."""
    if given := os.environ.get("INVBENCH_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "invbench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "invbench"


def place(name: str) -> Path:
    """Where the artefact of this name is kept once it is made."""
    return cache_folder() / f"{name}.safetensors"


def fetch(artefact: Artefact) -> Tensors:
    """The artefact's tensors on the CPU, made now if nobody has made them. A damaged file is made again."""
    path = artefact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path):
        if path.exists():
            try:
                return load_file(path)
            except SafetensorError:
                path.unlink()
        tensors = {name: _own_memory(tensor) for name, tensor in artefact.make().items()}
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        save_file(tensors, temporary)
        os.replace(temporary, path)
        return tensors


def receive(name: str, content: bytes) -> None:
    """Keep the file of an artefact that another machine made, unless there is one here."""
    path = place(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path):
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes(content)
            os.replace(temporary, path)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Nobody else makes this artefact meanwhile. What a killed maker left goes, and the lock's file once it is made.

    Whoever waits for a lock whose file goes finds the artefact made.
    """
    lock = path.with_suffix(".lock")
    with FileLock(lock):
        for left in path.parent.glob(f"{path.stem}.*.tmp"):
            left.unlink(missing_ok=True)
        yield
        if path.exists():
            with suppress(OSError):  # Windows keeps an open file
                lock.unlink()


def _own_memory(tensor: Tensor) -> Tensor:
    """The tensor on the CPU by itself: those that share memory (rows of one answer) cannot be stored."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
