"""The commit that is measured. Measuring is refused where the code that runs is not that commit's."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUTPUTS = ("benchmarks/raw", "benchmarks/report.md", "benchmarks/growth.png", "benchmarks/large.png")
"""What benchmarks themselves write: it may differ from the commit."""


def clean_revision(root: Path = ROOT) -> str:
    """The commit of the checkout `root`; SystemExit where there is none, or where the checkout differs from it."""
    try:
        changed = _git(root, "status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in OUTPUTS))
        revision = _git(root, "rev-parse", "--short=10", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"not measured: no git revision can be told of {root.name}/ ({error})") from None
    if changed:
        raise SystemExit(f"not measured: commit these changes first, for a table names its revision:\n{changed}")
    return revision


def refuse_other_code(file: str, root: Path = ROOT) -> None:
    """SystemExit where the package at `file` is not the checkout's own."""
    if root.resolve() not in Path(file).resolve().parents:
        raise SystemExit(f"not measured: invbench is imported from {file}, not from this checkout")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
