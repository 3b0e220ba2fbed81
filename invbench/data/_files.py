"""Finding files: home folders, what packages ship, and when a file has changed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from invbench.data import BadData

Stamp = tuple[Path, int, int]
"""A file, its time of change (ns) and its size (bytes): the key under which its content is cached."""


def expand(path: Path) -> Path:
    """The path with `~` as the home folder."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise BadData(f"{path}: no such home folder") from None


def stamp(file: Path) -> Stamp:
    """The stamp of an ordinary file; BadData where there is none."""
    try:
        facts = file.stat()
    except OSError as error:
        raise BadData(f"{file}: {error.strerror or error}") from None
    if not file.is_file():
        raise BadData(f"{file}: is not a file")
    return file, facts.st_mtime_ns, facts.st_size


def shipped(package: str, path: str) -> Path:
    """A data file inside an installed package, found without importing the package or downloading anything."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / path
        if file.is_file():
            return file
    raise BadData(f"{package}/{path}: the installed {package} does not ship it; reinstall {package}")
