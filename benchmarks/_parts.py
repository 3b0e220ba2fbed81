"""Parts of a benchmark that takes hours: each that is done is kept in unfinished/, and the table needs them all.

A table is of one revision, so parts of another one are refused, or thrown away where the measuring begins anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from _measure import gpu_of, record
from _raw import HERE
from _revision import clean_revision

UNFINISHED = HERE / "unfinished"
Part = TypeVar("Part")


def options(doc: str | None, data: Path, names: Sequence[str]) -> argparse.ArgumentParser:
    """The words of a benchmark in parts: --data, --device, --only, --anew."""
    arguments = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=data)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument(
        "--only", nargs="+", choices=names, metavar="PART", help="these parts alone, without a table"
    )
    arguments.add_argument("--anew", action="store_true", help="throw away what is done")
    return arguments


def measure(
    name: str,
    asked: argparse.Namespace,
    names: Sequence[str],
    make: Callable[[str], Part],
    kind: type[Part],
    settings: object,
    gather: Callable[[list[Part]], object],
) -> None:
    """Make the parts that are asked for; the table, where they are all."""
    folder, gpu = UNFINISHED / name, gpu_of(asked.device)
    finish(folder, asked.only or names, make, clean_revision(), asked.anew)
    if not asked.only:
        record(name, settings, lambda: gather(read(folder, names, kind)), gpu=gpu)


def finish(folder: Path, names: Sequence[str], make: Callable[[str], object], revision: str, anew: bool) -> None:
    """Make the parts `names` that `folder` does not hold yet; of parts of another revision see `begin`."""
    begin(folder, revision, anew)
    for name in names:
        path = folder / f"{name}.json"
        if not path.exists():
            part = make(name)
            if clean_revision() != revision:
                raise SystemExit(f"not kept: the checkout was at {revision} when {name} began and is not any more")
            path.write_bytes(msgspec.json.encode(part))
            print(name, part, flush=True)


def begin(folder: Path, revision: str, anew: bool) -> None:
    """Make the folder this revision's. SystemExit where it holds another's parts, unless they are to go (`anew`)."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "revision"
    there = mark.read_text() if mark.exists() else revision
    if there != revision and not anew:
        raise SystemExit(
            f"{folder.name}: the parts that are done are of {there}, this checkout is at {revision}; check out {there} "
            "to go on, or throw them away with --anew"
        )
    if anew:
        for path in folder.glob("*.json"):
            path.unlink()
    mark.write_text(revision)


def read(folder: Path, names: Sequence[str], kind: type[Part]) -> list[Part]:
    """Every part in order; SystemExit, naming those that are left, where some are not done."""
    left = [name for name in names if not (folder / f"{name}.json").exists()]
    if left:
        raise SystemExit(f"no table yet, left to measure: {' '.join(left)}")
    found: list[Any] = [msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=kind) for name in names]
    return found
