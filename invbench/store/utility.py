"""What is kept of one federated training (`utility/ID.json`, schema 1): plain JSON, whole or absent.

    {"schema": 1, "id": "0123456789abcdef", "status": "ok", "reason": null,
     "names": {"dataset": "digits", "model": "lenet", "defense": "none", "protocol": "fedsgd", "seed": 0},
     "settings": {...}, "accuracy": 0.92, "held_out": 540, "rounds": 300, "clients": 4, "message_bytes": 28280.0,
     "seconds": {"round": 0.02, "whole": 6.1}, "notes": [], "device": "cpu", "torch": "2.14.1",
     "invbench": {"version": "0.1.0", "revision": "0123abc..."}}

`plan.json` says which cell it belongs to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from invbench.store.cells import CELL_ID
from invbench.store.files import Absent, Damaged, OtherSchema, StoreError, Unfit, disk
from invbench.store.provenance import written_by
from invbench.store.reading import read_json
from invbench.store.results import Results
from invbench.store.schema import Status, names_fault
from invbench.store.writing import make_folder, remove_temporary, set_aside, write_atomic

FOLDER = "utility"
SCHEMA = 1
_COUNTED = ("held_out", "rounds", "clients")


@dataclass(frozen=True, kw_only=True)
class UtilityRecord:
    """One federated training's outcome; numbers of one that did not end are None.

    `accuracy`: share of the `held_out` pictures that it puts into their own class. `clients`: that take part in a
    round. `message_bytes`: that one of them sends in a round, on average. `seconds`: wall time of a `round` and of the
    `whole`.
    """

    id: str
    status: Status
    names: Mapping[str, Any]
    settings: Mapping[str, Any]
    reason: str | None = None
    accuracy: float | None = None
    held_out: int | None = None
    rounds: int | None = None
    clients: int | None = None
    message_bytes: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    device: str | None = None
    torch: str | None = None
    invbench: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the next run may keep it."""
        return self.status in ("ok", "unsupported")


def write_utility(results: Results, record: UtilityRecord) -> None:
    """Write or replace a record. Whoever calls it holds the folder's lock."""
    folder = results.path / FOLDER
    with disk(folder):
        if not make_folder(folder):
            remove_temporary(folder)
    whole = {"schema": SCHEMA} | asdict(record if record.invbench else replace(record, invbench=written_by()))
    write_atomic(_path(results, record.id), json.dumps(whole, indent=2, allow_nan=False) + "\n")


def utility_of(results: Results, id: str) -> UtilityRecord | None:
    """A record, None where there is none; Damaged or OtherSchema where it cannot be understood."""
    path = _path(results, id)
    try:
        plain = read_json(path)
    except Absent:
        return None
    except (Unfit, StoreError) as error:
        raise Damaged(str(error)) from error
    if not isinstance(plain, dict) or "schema" not in plain:
        raise Damaged(f"{path}: is not a record of a federated training")
    if plain.pop("schema") != SCHEMA:
        raise OtherSchema(f"{path}: has another schema; this invbench reads {SCHEMA}")
    try:
        record = msgspec.convert(plain, UtilityRecord)
    except msgspec.ValidationError as error:
        raise Damaged(f"{path}: {error}") from error
    if (wrong := _contradiction(record, id)) is not None:
        raise Damaged(f"{path}: {wrong}")
    return record


def utilities(results: Results) -> dict[str, UtilityRecord]:
    """The records of the planned cells' trainings by cell; equal ones are one object, damaged ones are left out."""
    whole, _ = _planned(results)
    return {cell: whole[id] for cell, id in results.federations().items() if id in whole}


def damaged_utilities(results: Results) -> dict[str, str]:
    """What is wrong with each damaged record of the planned trainings, in words with its place, by its id.

    The next run gives it another name and makes it again.
    """
    return _planned(results)[1]


def _planned(results: Results) -> tuple[dict[str, UtilityRecord], dict[str, str]]:
    """The records of the planned trainings by id, and what is wrong with those that are damaged."""
    whole, damaged = dict[str, UtilityRecord](), dict[str, str]()
    for id in dict.fromkeys(results.federations().values()):
        try:
            if (record := utility_of(results, id)) is not None:
                whole[id] = record
        except Damaged as error:
            damaged[id] = str(error)
    return whole, damaged


def merged_utilities(sources: Sequence[Results]) -> list[UtilityRecord]:
    """Of each training that the first plans the record that ended, else the first that there is.

    Damaged or OtherSchema where one cannot be understood.
    """
    best = list[UtilityRecord]()
    for id in dict.fromkeys(sources[0].federations().values()):
        found = [record for results in sources if (record := utility_of(results, id)) is not None]
        best += [next((record for record in found if record.done), found[0])] if found else []
    return best


def set_utility_aside(results: Results, id: str) -> Path:
    """Give a damaged record a name that nothing reads; that name."""
    path = _path(results, id)
    with disk(path, "be renamed"):
        return set_aside(path)


def _path(results: Results, id: str) -> Path:
    if not CELL_ID.fullmatch(id):
        raise StoreError(f"{id!r} is not the id of a federated training (16 hexadecimal digits)")
    return results.path / FOLDER / f"{id}.json"


def _contradiction(record: UtilityRecord, id: str) -> str | None:
    if record.id != id:
        return f"is the record of another training, {record.id}"
    if (wrong := names_fault(record.names)) is not None:
        return f"'names' must be {wrong}"
    if (wrong := _settings_fault(record.settings.get("utility"))) is not None:
        return f"'settings' must say how it was trained in 'utility', {wrong}"
    if not all(math.isfinite(value) and value >= 0 for value in record.seconds.values()):
        return "'seconds' must be numbers of at least 0"
    if record.status != "ok":
        return None
    counted = (record.held_out, record.rounds, record.clients)
    if record.accuracy is None or record.message_bytes is None or None in counted or "round" not in record.seconds:
        return "ended ok and lacks a number"
    if wrong := next((name for name, n in zip(_COUNTED, counted, strict=True) if n is not None and n < 1), None):
        return f"{wrong} is {getattr(record, wrong)}, and must be at least 1"
    if record.message_bytes < 0:
        return f"message_bytes is {record.message_bytes:g}, which is no number of bytes"
    return None if 0 <= record.accuracy <= 1 else f"accuracy is {record.accuracy}, which is no share"


def _settings_fault(said: Any) -> str | None:
    """What is wrong with the settings of the matrix's key `utility` that pages print, or None."""
    if not isinstance(said, dict):
        return "which it lacks"
    numbers = ("clients", "rounds", "batch_size", "lr", *(("alpha",) if said.get("split") == "dirichlet" else ()))
    if wrong := [name for name in numbers if type(said.get(name)) not in (int, float)]:
        return f"where {wrong[0]} must be a number"
    words = [name for name in ("optimizer", "split") if not isinstance(said.get(name), str)]
    return f"where {words[0]} must be a word" if words else None
