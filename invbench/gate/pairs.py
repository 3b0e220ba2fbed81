"""Which cell of one result stands against which of another, where the ids no longer say it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product
from typing import Any

from invbench.gate.baseline import Measured


def match_changed(gone: Iterable[Measured], fresh: Iterable[Measured]) -> dict[str, Measured]:
    """For each cell that is gone, the new one that is the same but for its settings: `{gone id: new cell}`.

    Two cells can match when the named parts on their axes agree, whatever the parts' settings, and so does
    the batch size. Equal names come first, then the fewest differing settings; each cell is used once.
    """
    pairs = [
        (before.names != after.names, len(differing_settings(before, after)), before.id, after.id, after)
        for before, after in product(gone, fresh)
        if _parts(before) == _parts(after)
    ]
    matched: dict[str, Measured] = {}
    used: set[str] = set()
    for _, _, before_id, after_id, after in sorted(pairs, key=lambda pair: pair[:4]):
        if before_id not in matched and after_id not in used:
            matched[before_id] = after
            used.add(after_id)
    return matched


def differing_settings(before: Measured, after: Measured) -> list[str]:
    """Every setting that differs, one text each: `attack.tv: 0.01 -> 0.001`."""
    old, new = _flat(before.settings), _flat(after.settings)
    keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return [f"{key}: {_show(old.get(key))} -> {_show(new.get(key))}" for key in keys]


def _parts(cell: Measured) -> str:
    axes = ("game", "attack", "model", "batch_size", "defense", "protocol")
    named = [_bare(cell.settings.get(axis)) for axis in axes]
    dataset = str(cell.names.get("dataset")).partition("(")[0]
    return json.dumps([dataset, *named])


def _bare(choice: Any) -> Any:
    """A part's name without its settings; a variant (`torchvision/NAME`) belongs to the name."""
    if isinstance(choice, list):
        return [_bare(one) for one in choice]
    return [choice.get("name"), choice.get("variant")] if isinstance(choice, dict) else choice


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested settings by dotted path; lists of plain values stay whole."""
    if isinstance(value, dict):
        children = {f"{path}.{key}" if path else key: child for key, child in value.items()}
    elif isinstance(value, list) and any(isinstance(child, dict) for child in value):
        children = {f"{path}[{place}]": child for place, child in enumerate(value)}
    else:
        return {path: value}
    return {key: leaf for at, child in children.items() for key, leaf in _flat(child, at).items()}


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
