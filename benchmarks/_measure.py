"""How every benchmark measures and writes: interleaved samples, raw/NAME.json, report.md made of all of them.

A benchmark is one file that asks one question. It measures its sides in one run, gives `save` a `Table`, and
`report.md` is made anew from every `raw/*.json` there is, in the order of `ORDER`.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ORDER = (
    "auto",
    "victims",
    "limit",
    "strongest",
    "matching",
    "evaluation",
    "restarts",
    "lanes",
    "workers",
    "standing_by",
    "growth",
    "gpu",
)
PACKAGES = ("torch", "numpy", "scipy", "ray", "breaching")


@dataclass(frozen=True)
class Table:
    """One question and its answer.

    `rows`: cells as text, one list a row, as long as `columns`. `samples`: every raw sample by its side (seconds,
    or what `text` says). `failed`: trials of a side that did not end, each in words. `plots`: files in benchmarks/.
    """

    title: str
    question: str
    command: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    samples: Mapping[str, Any]
    text: Sequence[str] = ()
    failed: Sequence[str] = ()
    plots: Sequence[str] = ()
    device: str = "cpu"
    threads: int | str = 1
    facts: dict[str, Any] = field(default_factory=dict)


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


def ratio(samples: Mapping[str, Sequence[float]], this: str, to: str) -> float:
    """The median of one side over that of another."""
    return statistics.median(samples[this]) / statistics.median(samples[to])


def save(name: str, table: Table) -> None:
    """Keep the table as raw/NAME.json, with revision, processor and versions, and write report.md anew."""
    folder = HERE / "raw"
    folder.mkdir(exist_ok=True)
    known = dataclasses.replace(table, facts={**_facts(), **table.facts})
    (folder / f"{name}.json").write_text(json.dumps(dataclasses.asdict(known), indent=1) + "\n")
    write_report()
    print("\n".join(_table(known)))


def write_report() -> None:
    """Write report.md from every raw/NAME.json."""
    paths = sorted((HERE / "raw").glob("*.json"), key=_place)
    parts = [_section(path.stem, Table(**json.loads(path.read_text()))) for path in paths]
    (HERE / "report.md").write_text("\n\n".join(["# Measured", *parts]) + "\n")


def _place(path: Path) -> tuple[int, str]:
    return (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem)


def _section(name: str, table: Table) -> str:
    facts = table.facts
    where = (
        f"Command: `{table.command}`. Revision {facts.get('revision')}, {facts.get('processor')}, device "
        f"{table.device}, threads {table.threads}, Python {facts.get('python')}, "
        + ", ".join(f"{name} {facts['packages'][name] or 'not installed'}" for name in facts["packages"])
        + f". Raw samples: [raw/{name}.json](raw/{name}.json)."
    )
    lines = [f"## {table.title}", "", table.question, "", *_table(table)]
    for paragraph in table.text:
        lines += ["", paragraph]
    if table.failed:
        lines += ["", "Failed trials, kept:", "", *(f"- {text}" for text in table.failed)]
    lines += [f"\n![{plot}]({plot})" for plot in table.plots]
    return "\n".join([*lines, "", where])


def _table(table: Table) -> list[str]:
    return [
        "| " + " | ".join(table.columns) + " |",
        "|" + "---|" * len(table.columns),
        *("| " + " | ".join(row) + " |" for row in table.rows),
    ]


def _facts() -> dict[str, Any]:
    return {
        "revision": revision(),
        "processor": _processor(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def revision() -> str:
    """The commit that is measured, and whether the package differs from it."""
    asked = {"cwd": HERE, "capture_output": True, "text": True, "check": True}
    try:
        head = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], **asked).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", "../invbench"], **asked).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
