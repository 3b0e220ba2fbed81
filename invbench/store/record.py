"""What is kept of one cell (`cells/ID/record.json`, schema 1): plain JSON, readable without invbench.

    {"schema": 1, "id": "0123456789abcdef", "status": "ok", "reason": null,
     "names": {...}, "settings": {...}, "targets": 8, "images": 8,
     "scores": {"psnr": [[31.2], [28.1]]}, "controls": {"grey": {"psnr": [[14.1], [13.0]]}},
     "diverged": 0, "evaluations": [300, 280], "objectives": [0.1, null], "notes": [],
     "facts": [{"certified": true, "part": "peel"}, {}],
     "seconds": {"attack": 1.2, "cell": 2.0}, "memory_mb": 120.5, "device": "cpu", "torch": "2.14.1",
     "dataset": {"name": "natural", "hash": "...", "path": null}}

A score is `metric -> target -> item`; null is an empty one. NaN is never written and never read.
"""

from __future__ import annotations

import json
import marshal
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any, Literal

from invbench.store.files import StoreError

SCHEMA = 1
MOST_KNOWN = 1000
"""Different controls that are remembered while records are read: noise's differ from attack to attack."""
STATUSES = ("ok", "failed", "timeout", "unsupported")
AXES = ("game", "dataset", "attack", "model", "batch_size", "defense", "protocol", "seed")
"""The keys of `names`, in the order in which tables show them."""

Status = Literal["ok", "failed", "timeout", "unsupported"]
Scores = Mapping[str, Sequence[Sequence[float | None]]]
"""`metric -> target -> item`; None is an empty one."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One cell's outcome. What a cell that was not computed has not got stays at its default.

    `images`: pictures (or people) in all targets. `seconds`: wall time of the attack in the whole cell and
    of the cell. `memory_mb`: peak of this cell. `facts`: what the attack says of its own answer, a target each.
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
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory_mb: float | None = None
    device: str | None = None
    torch: str | None = None
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
    def from_json(cls, plain: Any, where: object, known: dict[bytes, Any] | None = None) -> Record:
        """The record in parsed JSON; StoreError, naming `where` and the field, if it is not a whole one.

        `known`: controls of records read before, by their content, to which this one's are added. Cells of one data
        set and batch size mostly have the same: equal ones become one object, and are not judged again.
        """
        if not isinstance(plain, dict) or "schema" not in plain:
            raise StoreError(f"{where}: is not a record of invbench")
        if plain["schema"] != SCHEMA:
            raise StoreError(f"{where}: has schema {plain['schema']!r}; this invbench reads {SCHEMA}")
        if not _LATER.keys() <= plain.keys():
            plain = _LATER | plain
        if plain.keys() != _KEYS:
            name = min(plain.keys() ^ _KEYS)
            raise StoreError(f"{where}: {'has no' if name in _FIELDS else 'has an unknown'} field {name!r}")
        content = b"" if known is None else marshal.dumps(plain["controls"], 2)  # tells 1 from 1.0 and from true
        same = known.get(content) if known else None
        for name, (valid, words) in (_FIELDS if same is None else _BESIDE_CONTROLS).items():
            if not valid(plain[name]):
                raise StoreError(f"{where}: {name!r} must be {words}, not {_short(plain[name])}")
        values = plain | {name: tuple(plain[name]) for name in _TUPLES}
        del values["schema"]
        if same is not None:
            values["controls"] = same
        elif known is not None and len(known) < MOST_KNOWN:
            known[content] = plain["controls"]
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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return -math.inf < value < math.inf if type(value) is float else type(value) is int and abs(value) < 2**63


def _is_mapping(value: Any) -> bool:
    return type(value) is dict


def _is_names(value: Any) -> bool:
    return type(value) is dict and value.keys() == _AXES and _NAMING.issuperset(map(type, value.values()))


def _is_scores(value: Any) -> bool:
    return type(value) is dict and _are_nested(value.values())


def _is_controls(value: Any) -> bool:
    if type(value) is not dict or not _DICT.issuperset(map(type, value.values())):
        return False
    return _are_nested([targets for scores in value.values() for targets in scores.values()])


def _are_nested(many: Collection[Any]) -> bool:
    """Whether each is `target -> item`; a report asks of millions of items, so no line here runs once an item."""
    if not _LIST.issuperset(map(type, many)):
        return False
    targets = list(chain.from_iterable(many))
    return _LIST.issuperset(map(type, targets)) and _are_items(list(chain.from_iterable(targets)))


def _are_items(items: list[Any]) -> bool:
    if _FLOAT.issuperset(map(type, items)):
        return math.isfinite(sum(items)) or all(map(math.isfinite, items))  # finite ones may have too large a sum
    return all(item is None or _is_number(item) for item in items)


def _is_seconds(value: Any) -> bool:
    return type(value) is dict and all(map(_is_number, value.values()))


def _optional(valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or valid(value)


def _each(valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(map(valid, value))


_SCORE_WORDS = "metric -> target -> item, each item a finite number or null"
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id": (_is_text, "text"),
    "status": (lambda value: value in STATUSES, "one of " + ", ".join(STATUSES)),
    "names": (_is_names, f"a mapping of exactly {', '.join(AXES)} to text, whole numbers or null"),
    "settings": (_is_mapping, "a mapping"),
    "targets": (_is_count, "a count"),
    "images": (_is_count, "a count"),
    "reason": (_optional(_is_text), "text or null"),
    "scores": (_is_scores, _SCORE_WORDS),
    "controls": (_is_controls, f"control -> {_SCORE_WORDS}"),
    "diverged": (_is_count, "a count"),
    "evaluations": (_each(_is_count), "a list of counts"),
    "objectives": (_each(_optional(_is_number)), "a list of finite numbers or null"),
    "notes": (_each(_is_text), "a list of texts"),
    "facts": (_each(_is_mapping), "a list of mappings"),
    "seconds": (_is_seconds, "a mapping to finite numbers"),
    "memory_mb": (_optional(_is_number), "a finite number or null"),
    "device": (_optional(_is_text), "text or null"),
    "torch": (_optional(_is_text), "text or null"),
    "dataset": (_is_mapping, "a mapping"),
}
_BESIDE_CONTROLS = {name: check for name, check in _FIELDS.items() if name != "controls"}
_TUPLES = ("evaluations", "objectives", "notes", "facts")
_LATER: dict[str, Any] = {"facts": []}
"""Fields that came after schema 1's first records, which may lack them, and what they then are."""

_KEYS = frozenset({"schema", *_FIELDS})
_DICT, _LIST, _FLOAT = frozenset({dict}), frozenset({list}), frozenset({float})
_AXES, _NAMING = frozenset(AXES), frozenset({str, int, type(None)})
