"""The package `theirs`, installed as pip would: a folder on the path with the package and its entry points."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_cells import forget

SOURCE = Path(__file__).parent / "theirs"
PARTS = tuple(
    sorted(f"{file.parent.name}/{file.stem}" for file in SOURCE.glob("*/*.py") if not file.stem.startswith("_"))
)
"""Every part as `FOLDER/FILE`."""


def entry(part: str) -> str:
    """The entry point's name of a part: `attacks.random-search` of `attacks/random_search`."""
    return part.replace("/", ".").replace("_", "-")


def install(site: Path, *, without: Collection[str] = (), more: Mapping[str, str] = {}) -> Path:
    """The package in the folder `site`. `without`: parts whose files are taken away, their entry points left.

    `more`: further parts of it, `{"attacks/twin": source}`.
    """
    shutil.copytree(SOURCE, site / "theirs", ignore=shutil.ignore_patterns("__pycache__"))
    for part, source in more.items():
        (site / "theirs" / f"{part}.py").write_text(source)
    for part in without:
        (site / "theirs" / f"{part}.py").unlink()
    information = site / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = [f"{entry(part)} = theirs.{part.replace('/', '.')}" for part in (*PARTS, *more)]
    (information / "entry_points.txt").write_text("\n".join(["[invbench.plugins]", *lines]))
    return site


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """The package in `site` is there for this process, with a cache of artefacts of its own, and gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("INVBENCH_CACHE", str(site / "cache"))
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    for module in [name for name in sys.modules if name == "theirs" or name.startswith("theirs.")]:
        del sys.modules[module]
    forget()
