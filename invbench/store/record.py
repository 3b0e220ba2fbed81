"""What is kept of one cell (`cells/ID/record.json`, schema 1): plain JSON, readable without invbench.

    {"schema": 1, "id": "0123456789abcdef", "status": "ok", "reason": null,
     "names": {...}, "settings": {...}, "targets": 8, "images": 8,
     "scores": {"psnr": [[31.2], [28.1]]}, "controls": {"grey": {"psnr": [[14.1], [13.0]]}},
     "diverged": 0, "evaluations": [300, 280], "objectives": [0.1, null], "notes": [],
     "facts": [{"certified": true, "part": "peel"}, {}], "stopped": {"converged": 1, "budget spent": 3},
     "seconds": {"attack": 1.2, "cell": 2.0}, "memory_mb": 120.5, "device": "cpu", "torch": "2.14.1",
     "precision": "float32",
     "dataset": {"name": "natural", "hash": "...", "path": null}}

A score is `metric -> target -> item`; null is an empty one. NaN is never written and never read.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from invbench.store.files import UNREADABLE, StoreError, parsed

SCHEMA = 1
MOST_KNOWN = 1000
"""Different controls that are remembered while records are read: noise's differ from attack to attack."""

Axis = Literal["game", "dataset", "attack", "model", "batch_size", "defense", "protocol", "seed"]
AXES: tuple[str, ...] = get_args(Axis)
"""The keys of `names`, in the order in which tables show them."""

Status = Literal["ok", "failed", "timeout", "unsupported"]
Scores = Mapping[str, Sequence[Sequence[float | None]]]
"""`metric -> target -> item`; None is an empty one."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cell's outcome. What a cell that was not computed has not got stays at its default.

    `images`: items (pictures, people) that were scored, over all targets. `seconds`: wall time of the attack in the
    whole cell and of the cell. `memory_mb`: peak of this cell. `facts`: what the attack says of its own answer, a
    target each.
    `precision`: of products in its process (`core/execution.py`); a client's own is a setting of its protocol.
    `stopped`: how many of its optimisation runs, over all targets and restarts, stopped for which reason.
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
        """One line a field; a number that is not finite is written as null."""
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
        try:
            decoder = _WITH_SETTINGS if settings else _WITHOUT_SETTINGS
            written = decoder.decode(data.decode())  # judges the encoding of what is skipped, too
            controls = _controls(bytes(written.controls), {} if known is None else known)
        except UNREADABLE:
            record = cls.from_json(parsed(data, where), where)  # has the words, and takes halves of surrogate pairs
            return record if settings else replace(record, settings={})
        return cls._of(written, controls, {} if isinstance(written.settings, _Skipped) else written.settings)

    @classmethod
    def from_json(cls, plain: Any, where: object) -> Record:
        """The same of parsed JSON, settings and all."""
        if not isinstance(plain, dict) or "schema" not in plain:
            raise StoreError(f"{where}: is not a record of invbench")
        try:
            written = msgspec.convert(plain, _Whole)
        except UNREADABLE as error:
            raise StoreError(f"{where}: {_fault(plain)}") from error
        return cls._of(written, written.controls, written.settings)

    @classmethod
    def _of(cls, written: _Written[Any, Any], controls: Mapping[str, Scores], settings: Mapping[str, Any]) -> Record:
        values = msgspec.structs.asdict(written) | {"controls": controls, "settings": settings}
        del values["schema"]
        return cls(**values)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _finite_scores(scores: Scores) -> dict[str, list[list[float | None]]]:
    return {metric: [[_finite(v) for v in target] for target in targets] for metric, targets in scores.items()}


def _finite_facts(value: Any) -> Any:
    """Plain JSON at any depth, null for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(key): _finite_facts(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_facts(part) for part in value]
    return _finite(value) if isinstance(value, float) else value


_Text = Annotated[str, Meta(description="text")]
_TextOrNull = Annotated[str | None, Meta(description="text or null")]
_Mapping = Annotated[dict[str, Any], Meta(description="a mapping")]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a count")]
_Number = (
    Annotated[int, Meta(ge=1 - 2**63, le=2**63 - 1)]
    | Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
)
_Items = dict[str, list[list[_Number | None]]]
_ITEMS = "metric -> target -> item, each item a finite number or null"
_Controls = Annotated[dict[str, _Items], Meta(description=f"control -> {_ITEMS}")]
_NAMES = f"a mapping of exactly {', '.join(AXES)} to text, whole numbers or null"
_S = TypeVar("_S")
_C = TypeVar("_C")


class _Written(Struct, Generic[_S, _C], kw_only=True, forbid_unknown_fields=True):
    """The schema: what a record's JSON is, and in each description the words for a field that is not.

    A field with a default came after the first records, which may lack it. What settings and controls become is
    left open: who reads many records parses few of their controls, and may need no settings.
    """

    schema: Literal[1]
    id: _Text
    status: Annotated[Status, Meta(description="one of " + ", ".join(get_args(Status)))]
    names: Annotated[dict[Axis, str | int | None], Meta(min_length=len(AXES), description=_NAMES)]
    settings: _S
    targets: _Count
    images: _Count
    reason: _TextOrNull
    scores: Annotated[_Items, Meta(description=_ITEMS)]
    controls: _C
    diverged: _Count
    evaluations: Annotated[tuple[_Count, ...], Meta(description="a list of counts")]
    objectives: Annotated[tuple[_Number | None, ...], Meta(description="a list of finite numbers or null")]
    notes: Annotated[tuple[str, ...], Meta(description="a list of texts")]
    facts: Annotated[tuple[dict[str, Any], ...], Meta(description="a list of mappings")] = ()
    stopped: Annotated[dict[str, _Count], Meta(description="a mapping to counts")] = {}
    seconds: Annotated[dict[str, _Number], Meta(description="a mapping to finite numbers")]
    memory_mb: Annotated[_Number | None, Meta(description="a finite number or null")]
    device: _TextOrNull
    torch: _TextOrNull
    precision: _TextOrNull = None
    dataset: _Mapping


class _Skipped(Struct):
    """A mapping of which nothing is kept."""


_Whole = _Written[_Mapping, _Controls]
_WITH_SETTINGS = msgspec.json.Decoder(_Written[_Mapping, Raw])
_WITHOUT_SETTINGS = msgspec.json.Decoder(_Written[_Skipped, Raw])
_CONTROLS = msgspec.json.Decoder(_Controls)


def _controls(text: bytes, known: dict[bytes, Any]) -> Mapping[str, Scores]:
    found: Mapping[str, Scores] | None = known.get(text)
    if found is None:
        found = _CONTROLS.decode(text)
        if len(known) < MOST_KNOWN:
            known[text] = found
    return found


def _fault(plain: dict[str, Any]) -> str:
    """What is wrong with a record that is not of the schema, in words."""
    fields = {field.name: field for field in msgspec.structs.fields(_Whole)}
    wrong = [name for name, field in fields.items() if name in plain and not _is(plain[name], field.type)]
    if "schema" in wrong:
        return f"has schema {plain['schema']!r}; this invbench reads {SCHEMA}"
    astray = {name for name, field in fields.items() if field.required} - plain.keys() | plain.keys() - fields.keys()
    if astray:
        name = min(astray)
        return f"{'has no' if name in fields else 'has an unknown'} field {name!r}"
    words = get_args(fields[wrong[0]].type)[1].description
    return f"{wrong[0]!r} must be {words}, not {_short(plain[wrong[0]])}"


def _is(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except UNREADABLE:
        return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
