"""How every benchmark measures: interleaved samples, one revision, raw/NAME.json, report.md made of all of them.

A benchmark is one file that asks one question. Its types `Settings` and `Samples` say what is kept, and its
`answer(settings, samples)` makes the table, now and whenever report.md is made anew.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import _raw
import report
from _revision import clean_revision, refuse_other_code

import invbench
from invbench.core import execution

PACKAGES = ("torch", "numpy", "scipy", "ray", "breaching")


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Seconds of every side, one after the other, `repeats` times over; a first round loads kernels (`warm`).

    The default clock counts CPU seconds of this process: other programs on the machine then matter little.
    """
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + warm):
        for name, run in sides.items():
            started = clock()
            run()
            if repeat >= warm:
                samples[name].append(clock() - started)
    return samples


def clock_of(device: str) -> Callable[[], float]:
    """CPU seconds of this process, or wall seconds where another device computes."""
    return time.process_time if device == "cpu" else time.perf_counter


def steps_on(device: str) -> execution.Settings:
    """How a search computes there: on a GPU its steps are replayed as a CUDA graph."""
    return execution.Settings("off" if device == "cpu" else "on")


def gpu_of(device: str) -> str | None:
    """The name of the GPU, None for the CPU; SystemExit where there is no such device."""
    if device == "cpu":
        return None
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(f"--device {device}: there is no GPU here")
    return torch.cuda.get_device_name(device)


def ratio(this: Sequence[float], to: Sequence[float]) -> float:
    """The median of one side over that of another."""
    return statistics.median(this) / statistics.median(to)


def record(name: str, settings: Any, measure: Callable[[], Any], *, threads: int = 1, gpu: str | None = None) -> None:
    """Measure, keep the samples as raw/NAME.json and write report.md anew.

    SystemExit, with nothing written, where the checkout has local changes or changes while it is measured.
    """
    refuse_other_code(invbench.__file__)
    revision = clean_revision()
    samples = measure()
    if clean_revision() != revision:
        raise SystemExit(f"not written: the checkout was at {revision} when measuring began and is not any more")
    _raw.write(name, _raw.Raw(facts(revision, threads, gpu), settings, samples))
    report.write()
    print(report.section(name))


def facts(revision: str, threads: int, gpu: str | None) -> _raw.Facts:
    """Where this process measures."""
    return _raw.Facts(
        revisions=[revision],
        processor=_brand(_processor()),
        gpu=None if gpu is None else _brand(gpu),
        python=platform.python_version(),
        day=time.strftime("%Y-%m-%d"),
        packages={name: _version(name) for name in PACKAGES},
        threads=threads,
        cores=os.cpu_count(),
        load=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _brand(name: str) -> str:
    return name if re.search(_raw.BRAND, name) else "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
