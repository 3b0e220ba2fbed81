"""Make benchmarks/report.md from benchmarks/raw/ alone.

python benchmarks/report.py
"""

from __future__ import annotations

import _raw
import _table

REPORT = _raw.HERE / "report.md"
QUESTIONS = (
    "auto",
    "victims",
    "certificates",
    "limit",
    "strongest",
    "matching",
    "intervals",
    "evaluation",
    "restarts",
    "lanes",
    "workers",
    "standing_by",
    "growth",
    "gpu",
    "attributes",
    "membership",
    "faces",
    "kkt",
    "extraction",
    "defended",
    "audit",
    "disaggregate",
    "aggregation",
    "frontier",
    "labels",
    "imprint",
    "one_round",
    "gradinversion",
    "large",
    "malicious",
    "fedavg",
    "solver",
)


def section(name: str) -> str:
    """The section of one question, from its raw file."""
    raw = _raw.read(name)
    return _table.section(name, _raw.question(name).answer(raw.settings, raw.samples), raw.facts)


def text() -> str:
    """All of report.md: the questions in order, those that were never measured left out."""
    there = [name for name in QUESTIONS if (_raw.RAW / f"{name}.json").exists()]
    return "\n\n".join(["# Measured", *map(section, there)]) + "\n"


def write() -> None:
    """Write report.md."""
    REPORT.write_text(text())


if __name__ == "__main__":
    write()
