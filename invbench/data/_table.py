"""The type of a data set of people: one row of attributes each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from invbench.data import Pool
from invbench.observation import AttributePrior


@dataclass(frozen=True, eq=False)
class Table(Pool):
    """People in the order attacked, and what of them is secret, granted and published.

    `values`: the sensitive attribute's possible values, in a fixed order. `background`: the attributes that
    the attacker is given. `prior`: the published frequencies. Attribute values are JSON-serialisable.
    """

    people: tuple[Mapping[str, Any], ...]
    sensitive: str
    values: tuple[str, ...]
    background: tuple[str, ...]
    prior: AttributePrior
    notes: tuple[str, ...] = ()

    @cached_property
    def content(self) -> str:
        """SHA-256 of everything that can change a cell's result."""
        parts = (self.people, self.sensitive, self.values, self.background, dataclasses.asdict(self.prior))
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
