"""The matrix's key `utility`: how the trainings go that say what each defence costs."""

from __future__ import annotations

import dataclasses
from typing import Any

from invbench.core.parameters import nearest_name, parameters_of
from invbench.federation import Utility
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Entry, Table, plain, show
from invbench.matrix.values import refuse_unknown


def read_utility(entry: Entry | None, errors: Errors) -> Utility | None:
    """The settings under the key, `true` for those by default; None where it is absent, `false` or refused."""
    if entry is None or (not isinstance(entry.value, Table) and plain(entry.value) is False):
        return None
    table = entry.value
    if not isinstance(table, Table):
        if plain(table) is True:
            return Utility()
        errors.add(table.place, f"utility must be true or a mapping of settings, not {show(plain(table))}")
        return None
    known = parameters_of(Utility)
    refuse_unknown(table, known, "utility", errors)
    said = dict[str, Any]()
    for name, field in known.items():
        if (given := table.entries.get(name)) is None:
            continue
        try:
            said[name] = field.read(plain(given.value))
        except ValueError as error:
            errors.add(given.value.place, f"{name} {error}", nearest_name(str(plain(given.value)), field.choices))
    if "alpha" in said and said.get("split", "iid") != "dirichlet":
        errors.add(table.entries["alpha"].place, "alpha is a setting of split dirichlet, and split is iid")
    return dataclasses.replace(Utility(), **said)
