"""The code that makes a thing, as a hash: part of an artefact's key, so an edit of it makes the artefact anew."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import invbench

_ROOT = Path(invbench.__file__).parent
ATTACKER = (
    "attacks",
    "crafting",
    "inversion",
    "labels",
    "matching",
    "peeling",
    "shadows",
    "updates",
    "language",
    "protocol",
    "defenses",
    "core",
    "observation",
    "registry.py",
)
"""Everything that computes an attack's answers."""
VICTIM = ("models", "victims", "language", "defenses", "core/training.py", "core/private.py", "core/randomness.py")
"""Everything that shapes a victim's weights."""
GAME = ("games", "scoring", "metrics", "data", "cell.py")
"""What deals observations and scores answers."""


def hash_of(places: tuple[str, ...], *things: type | ModuleType) -> str:
    """SHA-256 of the source files at these places of invbench, and of the packages of these classes and modules."""
    digest = hashlib.sha256()
    for place in (*(_ROOT / place for place in places), *_foreign(*things)):
        digest.update(_of_place(place).encode())
    return digest.hexdigest()


def _foreign(*things: type | ModuleType) -> list[Path]:
    """The packages (or single files) of classes and modules that are not invbench's own."""
    found = dict[Path, None]()
    for thing in things:
        name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
        top = sys.modules.get(name.partition(".")[0])
        file = getattr(top, "__file__", None)
        if file is not None and top is not invbench:
            path = Path(file)
            found[path.parent if path.name == "__init__.py" else path] = None
    return list(found)


@cache
def _of_place(place: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        digest.update(file.relative_to(place.parent).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
