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
    """People in the order of their file, and what of them is secret, granted and published.

    `values`: the sensitive attribute's possible values, in a fixed order. `background`: the attributes that
    the attacker is given. `prior`: the published frequencies; None where they are counted over the rows that train
    the model. Attribute values are JSON-serialisable.

    `target`: the attribute that a model can be trained to predict, None where there is none and people only meet
    published models. `categories`: the values of every attribute that is a category, in a fixed order; the others are
    numbers, None where a row has none.
    """

    people: tuple[Mapping[str, Any], ...]
    sensitive: str
    values: tuple[str, ...]
    background: tuple[str, ...]
    prior: AttributePrior | None
    notes: tuple[str, ...] = ()
    target: str | None = None
    categories: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @cached_property
    def content(self) -> str:
        """SHA-256 of everything that can change a cell's result."""
        prior = None if self.prior is None else dataclasses.asdict(self.prior)
        parts: tuple[Any, ...] = (self.people, self.sensitive, self.values, self.background, prior)
        if self.target is not None:
            parts += (self.target, self.categories)
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
