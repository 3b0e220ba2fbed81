"""The schema of a record: the types of its fields, and what no type says; which of it is wrong, in words."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from invbench.store.reading import UNREADABLE, keys_within, keys_written

SCHEMA = 1
LARGEST = 1e100
"""Of a score: sums and squares of many stay finite. No unit is so small that a measurement is beyond it."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
"""Names of metrics and controls, which become titles of columns."""
MOST_KNOWN = 1000
"""Different controls that are remembered while records are read: noise's differ from attack to attack."""

Axis = Literal["game", "dataset", "attack", "model", "batch_size", "defense", "protocol", "seed"]
AXES: tuple[str, ...] = get_args(Axis)
"""The keys of `names`, in the order in which tables show them."""

Status = Literal["ok", "failed", "timeout", "unsupported"]
Scores = Mapping[str, Sequence[Sequence[float | None]]]
"""`metric -> target -> item`; None is an empty one."""


_Text = Annotated[str, Meta(description="text")]
_TextOrNull = Annotated[str | None, Meta(description="text or null")]
_Mapping = Annotated[dict[str, Any], Meta(description="a mapping")]
_Texts = Annotated[dict[str, str | None], Meta(description="a mapping to text or null")]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1, description="a count")]
_Number = (
    Annotated[int, Meta(ge=1 - 2**63, le=2**63 - 1)]
    | Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
)
_Score = Annotated[int, Meta(ge=1 - 2**63, le=2**63 - 1)] | Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
_Items = dict[str, list[list[_Score | None]]]
_ITEMS = f"metric -> target -> item, each item a number within {LARGEST:g} or null"
_Controls = Annotated[dict[str, _Items], Meta(description=f"control -> {_ITEMS}")]
_AXES = frozenset(AXES)
_NAMES = f"a mapping of exactly {', '.join(AXES)} to text, whole numbers or null"
_C = TypeVar("_C")


class Written(Struct, Generic[_C], kw_only=True, forbid_unknown_fields=True):
    """The schema: what a record's JSON is, and in each description the words for a field that is not.

    A field with a default came after the first records, which may lack it. What controls become is left open: who
    reads many records parses few of theirs.
    """

    schema: Literal[1]
    id: _Text
    status: Annotated[Status, Meta(description="one of " + ", ".join(get_args(Status)))]
    names: Annotated[dict[Axis, str | int | None], Meta(min_length=len(AXES), description=_NAMES)]
    settings: _Mapping
    targets: _Count
    images: _Count
    reason: _TextOrNull
    scores: Annotated[_Items, Meta(description=_ITEMS)]
    controls: _C
    diverged: _Count
    evaluations: Annotated[tuple[_Count, ...], Meta(description="a list of counts")]
    objectives: Annotated[tuple[_Number | None, ...], Meta(description="a list of finite numbers or null")]
    notes: Annotated[tuple[str, ...], Meta(description="a list of texts")]
    facts: Annotated[tuple[dict[str, Any], ...], Meta(description="a list of mappings")] | UnsetType = UNSET
    stopped: Annotated[dict[str, _Count], Meta(description="a mapping to counts")] | UnsetType = UNSET
    seconds: Annotated[dict[str, _Number], Meta(description="a mapping to finite numbers")]
    memory_mb: Annotated[_Number | None, Meta(description="a finite number or null")]
    device: _TextOrNull
    torch: _TextOrNull
    precision: _TextOrNull | UnsetType = UNSET
    dataset: _Texts
    files: Annotated[tuple[str, ...], Meta(description="a list of texts")] | UnsetType = UNSET
    invbench: _Texts | UnsetType = UNSET


WHOLE = Written[_Controls]
_RECORD = msgspec.json.Decoder(Written[Raw])
_FIELDS = {field.name: field for field in msgspec.structs.fields(WHOLE)}
_LATER = tuple(name for name, field in _FIELDS.items() if not field.required)
_CONTROLS = msgspec.json.Decoder(_Controls)


def in_bytes(data: bytes, known: dict[bytes, Any]) -> tuple[Written[Raw], Controls]:
    """A record and its controls; one of UNREADABLE where it is not of the types, has a key twice or is too deep.

    `known`: controls of records read before, by their text, with their number of keys.
    """
    written = _RECORD.decode(data.decode())
    controls = _controls(bytes(written.controls), known)
    if keys_written(data) != controls.keys + _keys(written):
        raise ValueError("a key is there twice")
    return written, controls


class Controls(NamedTuple):
    """Controls, how many keys their mappings hold, and what is true of equal ones in every record.

    `targets`: the different numbers of targets that they have scores of. `wrong`: which of their names is none.
    """

    scores: Mapping[str, Scores]
    keys: int
    targets: frozenset[int]
    wrong: str | None


def of_controls(controls: Mapping[str, Scores]) -> Controls:
    names = dict.fromkeys(chain(controls, *controls.values()))
    targets = frozenset(len(targets) for scores in controls.values() for targets in scores.values())
    nameless = next((name for name in names if not _is_name(name)), None)
    wrong = None if nameless is None else f"'controls' holds {_short(nameless)}, which is no name"
    return Controls(controls, len(controls) + sum(map(len, controls.values())), targets, wrong)


def _controls(text: bytes, known: dict[bytes, Any]) -> Controls:
    found: Controls | None = known.get(text)
    if found is None:
        found = of_controls(_CONTROLS.decode(text))
        if len(known) < MOST_KNOWN:
            known[text] = found
    return found


def _keys(written: Written[Raw]) -> int:
    """How many keys a record's mappings hold, its own among them and those of the controls left out.

    RecursionError where something in it is too deep.
    """
    own = len(_FIELDS) - sum(getattr(written, name) is UNSET for name in _LATER)
    always = len(written.names) + len(written.scores) + len(written.seconds) + len(written.dataset)
    later = len(written.stopped or ()) + len(written.invbench or ())
    return own + always + later + keys_within([written.settings, list(written.facts or ())])


def contradiction(written: Written[Any], controls: Controls) -> str | None:
    """What no type says of a record: how many targets there are scores of, what names are, in words."""
    if wrong := names_fault(written.names):
        return f"'names' must be {wrong}"
    for metric, targets in written.scores.items():
        if not _is_name(metric):
            return f"'scores' holds {_short(metric)}, which is no name"
        if len(targets) != written.targets:
            return f"'scores' must have {written.targets} targets of {metric}, not {len(targets)}"
    if controls.targets - {written.targets}:
        return f"'controls' must have {written.targets} targets each, not {min(controls.targets - {written.targets})}"
    return controls.wrong


@lru_cache(maxsize=1000)
def _is_name(word: str) -> bool:
    return NAME.fullmatch(word) is not None


def names_fault(names: Mapping[Any, Any]) -> str | None:
    """What the names of a cell must be and these are not, None where they are; axes may be missing."""
    if not names.keys() <= _AXES:
        return _NAMES
    if not isinstance(names.get("game", ""), str):
        return f"{_NAMES}, the game text"
    counts = (names.get("batch_size"), names.get("seed"))
    if not all(count is None or type(count) is int for count in counts):
        return f"{_NAMES}, batch size and seed whole numbers or null"
    return None if all(value is None or type(value) in (str, int) for value in names.values()) else _NAMES


def fault(plain: dict[str, Any]) -> str:
    """What is wrong with a record that is not of the schema, in words."""
    wrong = [name for name, field in _FIELDS.items() if name in plain and not _is(plain[name], _type(field))]
    astray = {name for name, field in _FIELDS.items() if field.required} - plain.keys() | plain.keys() - _FIELDS.keys()
    if astray:
        name = min(astray)
        return f"{'has no' if name in _FIELDS else 'has an unknown'} field {name!r}"
    words = get_args(_type(_FIELDS[wrong[0]]))[1].description
    return f"{wrong[0]!r} must be {words}, not {_short(plain[wrong[0]])}"


def _type(field: msgspec.structs.FieldInfo) -> Any:
    """What a field must be where it is there."""
    return field.type if field.required else get_args(field.type)[0]


def _is(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except UNREADABLE:
        return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
