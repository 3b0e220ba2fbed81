"""Where a result was computed: versions, processor, revision of the caller's repository."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("invbench", "torch", "torchvision", "numpy", "scipy", "scikit-image", "scikit-learn", "lpips")


def environment() -> dict[str, Any]:
    """Versions, platform, processor, usable cores, and the git revision of the working directory if it has one.

    Imports none of the packages. `git` ends in `-dirty` where files differ from that revision.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "git": _git_revision(),
    }


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


def _git_revision() -> str | None:
    # A pattern that matches no tag: describe then says the plain revision, and whether files differ.
    command = ["git", "describe", "--match=", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
