"""Where a result was computed: versions, processor, revisions of invbench and of the caller's repository."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import invbench

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-image", "scikit-learn", "lpips")


def environment() -> dict[str, Any]:
    """Versions, platform, processor, usable cores, and the git revision of the working directory if it has one.

    Imports none of the packages. `git` ends in `-dirty` where files differ from that revision. `invbench`: which one
    computes, wherever it is called.
    """
    return {
        "invbench": written_by(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {"invbench": invbench.__version__} | {p: v for p in PACKAGES if (v := _version(p)) is not None},
        "git": _git_revision(Path(".")),
    }


@cache
def written_by() -> dict[str, str | None]:
    """This invbench: its version, and the revision of its code where anything tells that."""
    return {"version": invbench.__version__, "revision": _own_revision(Path(invbench.__file__).parent)}


def _own_revision(package: Path) -> str | None:
    """The commit of the checkout that holds the package, else the one that pip installed it from."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None:  # else the repository is its user's
        return _git_revision(package)
    try:
        facts = json.loads(distribution("invbench").read_text("direct_url.json") or "{}")
        return str(facts["vcs_info"]["commit_id"])
    except (PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's marketing name: `platform` does not know it on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git_revision(folder: Path) -> str | None:
    # A pattern that matches no tag: describe then says the plain revision, and whether files differ.
    return _git(folder, "describe", "--match=", "--always", "--dirty", "--abbrev=40") or None


def _git(folder: Path, *words: str) -> str | None:
    """What git says in a folder; None where it refuses, or is not there."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
