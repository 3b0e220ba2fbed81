"""What is kept of one cell (`cells/ID/record.json`, schema 1): plain JSON, readable without invbench.

    {"schema": 1, "id": "0123456789abcdef", "status": "ok", "reason": null,
     "names": {...}, "settings": {...}, "targets": 8, "images": 8,
     "scores": {"psnr": [[31.2], [28.1]]}, "controls": {"grey": {"psnr": [[14.1], [13.0]]}},
     "diverged": 0, "evaluations": [300, 280], "objectives": [0.1, null], "notes": [],
     "facts": [{"certified": true, "part": "peel"}, {}], "stopped": {"converged": 1, "budget spent": 3},
     "seconds": {"attack": 1.2, "cell": 2.0}, "memory_mb": 120.5, "device": "cpu", "torch": "2.14.1",
     "precision": "float32", "dataset": {"name": "natural", "hash": "...", "path": null},
     "files": ["arrays.npz", "grid.png"], "invbench": {"version": "0.1.0", "revision": "0123abc..."}}

A score is `metric -> target -> item`, as many targets as the record says; null is an empty one. NaN is never written
and never read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
from msgspec import UNSET

from invbench.store.files import OtherSchema, StoreError
from invbench.store.reading import UNREADABLE, parsed, refuse_too_large
from invbench.store.schema import (
    AXES,
    LARGEST,
    SCHEMA,
    WHOLE,
    Controls,
    Scores,
    Status,
    Written,
    contradiction,
    fault,
    in_bytes,
    of_controls,
)

__all__ = ["AXES", "Record", "Scores", "Status"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cell's outcome. What a cell that was not computed has not got stays at its default.

    `images`: items (pictures, people) that were scored, over all targets. `seconds`: wall time of the attack in the
    whole cell and of the cell. `memory_mb`: peak of this cell on a GPU, None on a CPU. `facts`: what the attack says of
    its own answer, a target each. `stopped`: how many of its optimisation runs, over all targets and restarts, stopped
    for which reason. `precision`: of products in its process (`core/execution.py`); a client's own is a setting of its
    protocol. `files`: names of what is kept beside the record. `invbench`: version and revision of the code
    that wrote it.
    """

    id: str
    status: Status
    names: Mapping[str, Any]
    settings: Mapping[str, Any]
    targets: int
    images: int
    reason: str | None = None
    scores: Scores = field(default_factory=dict)
    controls: Mapping[str, Scores] = field(default_factory=dict)
    diverged: int = 0
    evaluations: tuple[int, ...] = ()
    objectives: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    facts: tuple[Mapping[str, Any], ...] = ()
    stopped: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory_mb: float | None = None
    device: str | None = None
    torch: str | None = None
    precision: str | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    invbench: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def certified(self) -> int | None:
        """How many of the answers the attack certifies; None where it certifies none and refuses none."""
        known = [fact["certified"] for fact in self.facts if "certified" in fact]
        return sum(map(bool, known)) if known else None

    def done(self, controls: Iterable[str] = ()) -> bool:
        """Whether the next run may keep it: unsupported, or ok with every one of these controls."""
        if self.status == "unsupported":
            return True
        return self.status == "ok" and set(controls) <= set(self.controls)

    def to_json(self) -> str:
        """One line a field; a number that is not finite, and a score beyond LARGEST, is written as null."""
        plain: dict[str, Any] = {"schema": SCHEMA} | {f.name: getattr(self, f.name) for f in fields(self)}
        plain["scores"] = _finite_scores(self.scores)
        plain["controls"] = {name: _finite_scores(scores) for name, scores in self.controls.items()}
        plain["objectives"] = [_finite(value) for value in self.objectives]
        plain["facts"] = _finite_facts(self.facts)
        lines = [f"  {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in plain.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_bytes(
        cls, data: bytes, where: object, known: dict[bytes, Any] | None = None, settings: bool = True
    ) -> Record:
        """The record in a file's bytes; StoreError, naming `where` and the field, if it is not a whole one.

        `known`: controls of records read before, by their text, to which this one's are added. Cells of one data set
        and batch size mostly have the same: equal ones become one object, and are neither parsed nor judged again.
        Without `settings` they are skipped, and empty.
        """
        refuse_too_large(data, where)
        try:
            written, controls = in_bytes(data, {} if known is None else known)
        except UNREADABLE:
            plain = parsed(data, where)  # takes halves of surrogate pairs
            if isinstance(plain, dict) and not settings and isinstance(plain.get("settings"), dict):
                plain["settings"] = {}
            return cls.from_json(plain, where)  # has the words
        return cls._of(written, controls, where, settings)

    @classmethod
    def from_json(cls, plain: Any, where: object) -> Record:
        """The same of parsed JSON, settings and all."""
        if not isinstance(plain, dict) or "schema" not in plain:
            raise StoreError(f"{where}: is not a record of invbench")
        if type(plain["schema"]) is not int or plain["schema"] != SCHEMA:
            raise OtherSchema(f"{where}: has schema {plain['schema']!r}; this invbench reads {SCHEMA}")
        try:
            written = msgspec.convert(plain, WHOLE)
        except UNREADABLE as error:
            raise StoreError(f"{where}: {fault(plain)}") from error
        return cls._of(written, of_controls(written.controls), where)

    @classmethod
    def _of(cls, written: Written[Any], controls: Controls, where: object, settings: bool = True) -> Record:
        wrong = contradiction(written, controls)
        if wrong is not None:
            raise StoreError(f"{where}: {wrong}")
        values = {name: value for name in _FIELDS if (value := getattr(written, name)) is not UNSET}
        values["controls"] = controls.scores
        if not settings:
            values["settings"] = {}
        return cls(**values)


_FIELDS = tuple(f.name for f in fields(Record))


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _finite_scores(scores: Scores) -> dict[str, list[list[float | None]]]:
    return {metric: [[_bounded(v) for v in target] for target in targets] for metric, targets in scores.items()}


def _bounded(value: float | None) -> float | None:
    number = _finite(value)
    return number if number is not None and abs(number) <= LARGEST else None


def _finite_facts(value: Any) -> Any:
    """Plain JSON at any depth, null for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(key): _finite_facts(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_facts(part) for part in value]
    return _finite(value) if isinstance(value, float) else value
