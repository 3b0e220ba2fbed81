"""Things made once and shared by cells, as content-addressed safetensors: trained victims, scores on noise, shadows.

An artefact may need others: together they are a graph, whose parts are made in order (`in_order`).

An artefact's name is the hash of everything that it depends on, so a stored one is never stale. Two
processes that want the same one wait for each other: the second finds it made.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import Tensor

Tensors = dict[str, Tensor]
CONTENT = "sha256"
"""Under this key a file says what its tensors were when it was written: a flipped bit parses as well."""


@dataclass(frozen=True, eq=False)
class Artefact:
    """`key`: all that it depends on, as JSON, the code that makes it among it. `what`: for a person to read.

    `make()` gives its tensors; `needs`: the artefacts that it fetches meanwhile, whose names belong to the key.
    `trial()`: about how many seconds making takes, for a forecast; None where it is not told in this way.
    """

    what: str
    key: Mapping[str, Any]
    make: Callable[[], Tensors]
    needs: tuple[Artefact, ...] = ()
    trial: Callable[[], float] | None = None

    @cached_property
    def name(self) -> str:
        whole = {"key": self.key, "needs": [artefact.name for artefact in self.needs]} if self.needs else self.key
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def path(self) -> Path:
        return place(self.name)

    @property
    def made(self) -> bool:
        return self.path.exists()


def in_order(artefacts: Iterable[Artefact]) -> list[Artefact]:
    """These artefacts and all that they need, each once, none before what it needs."""
    found: dict[str, Artefact] = {}
    for artefact in artefacts:
        for one in (*in_order(artefact.needs), artefact):
            found.setdefault(one.name, one)
    return list(found.values())


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
    """The artefact's tensors on the CPU, made now if nobody has made them.

    A damaged file, and one that does not say what it held when it was written, is made again.
    """
    path = artefact.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path):
        if path.exists():
            kept = _whole(path)
            if kept is not None:
                return kept
            path.unlink()
        tensors = _own(artefact)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        save_file(tensors, temporary, {CONTENT: _hash(tensors)})
        os.replace(temporary, path)
        return tensors


def _whole(path: Path) -> Tensors | None:
    """The tensors of a file, None where they are not those that were written."""
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(CONTENT)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError:
        return None
    return tensors if said == _hash(tensors) else None


def _hash(tensors: Tensors) -> str:
    """SHA-256 of names, types, shapes and values."""
    return hashlib.sha256(save(tensors)).hexdigest()


def _own(artefact: Artefact) -> Tensors:
    """The artefact's tensors, made; TypeError where what makes it gives something else."""
    made = artefact.make()
    if not isinstance(made, Mapping) or not all(isinstance(name, str) for name in made):
        raise TypeError(f"{artefact.what}: must be made of tensors by name, not {type(made).__name__}")
    other = next((name for name, tensor in made.items() if not isinstance(tensor, Tensor)), None)
    if other is not None:
        raise TypeError(f"{artefact.what}: {other!r} must be a tensor, not {type(made[other]).__name__}")
    return {name: _own_memory(tensor) for name, tensor in made.items()}


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
