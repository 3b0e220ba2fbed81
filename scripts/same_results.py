"""Whether two results folders hold the same cells with the same outcomes, bit for bit; what differs, and where.

    python scripts/same_results.py BEFORE AFTER [--ignore FIELD ...]

Times, memory and where a cell ran may differ. Fields that only AFTER has are listed, not counted. Exit code 1 where
anything else differs: an id, a score, a control, an evaluation count, an array or a picture.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

MEASURED = {"seconds", "memory_mb", "device", "torch", "precision"}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("before", type=Path)
    words.add_argument("after", type=Path)
    words.add_argument("--ignore", nargs="*", default=[], help="fields of a record that may differ")
    given = words.parse_args()
    before, after = cells(given.before), cells(given.after)
    only = [f"only in {given.before}: {id}" for id in before.keys() - after.keys()]
    only += [f"only in {given.after}: {id}" for id in after.keys() - before.keys()]
    different, added = list[str](), Counter[str]()
    for id in before.keys() & after.keys():
        old, new = record(before[id]), record(after[id])
        added.update(new.keys() - old.keys())
        skipped = MEASURED | set(given.ignore)
        fields = [field for field in old if field not in skipped and old[field] != new.get(field)]
        files = [name for name in ("arrays.npz", "grid.png") if digest(before[id] / name) != digest(after[id] / name)]
        if fields or files:
            different.append(
                f"{id} {old['names']['attack']} {old['names']['model']} b{old['names']['batch_size']} "
                f"{old['names']['defense']}: {', '.join(fields + files)}"
            )
    for line in sorted(only) + sorted(different):
        print(line)
    print(f"{len(before.keys() & after.keys())} cells in both, {len(different)} differ, {len(only)} in one only")
    print("fields added: " + (", ".join(f"{name} ({count})" for name, count in added.items()) or "none"))
    return int(bool(only or different))


def cells(folder: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in folder.glob("cells/*/record.json")}


def record(cell: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((cell / "record.json").read_text())
    return plain


def digest(file: Path) -> str | None:
    """The hash of a file's bytes (an npz's are those of its arrays and their names), None where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


if __name__ == "__main__":
    sys.exit(main())
