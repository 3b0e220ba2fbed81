"""Stacks in which a defence would undo or replace what another one does."""

from __future__ import annotations

from collections.abc import Sequence

from invbench import registry
from invbench.cell import Choice
from invbench.core.errors import in_words
from invbench.core.theirs import PartRaised, theirs
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Node


def refuse_clashes(stack: Sequence[Choice], nodes: Sequence[Node], errors: Errors) -> bool:
    """Whether any of these defences cannot stand behind those before it; each that cannot is noted at its place."""
    before, found = list[object](), False
    for choice, node in zip(stack, nodes, strict=True):
        try:
            before.append(choice.build(object))
            why = _clash(before)
        except (ValueError, registry.BrokenPart) as error:
            why = in_words(error)
        if why is not None:
            errors.add(node.place, f"{choice.name} cannot stand in this stack: {why}")
            found = True
    return found


def _clash(stack: Sequence[object]) -> str | None:
    """What the last defence's `clashes` says of those before it; a class that was written without its base has none."""
    *before, last = stack
    try:
        with theirs():
            why = last.clashes(tuple(before)) if hasattr(last, "clashes") else None
    except PartRaised as raised:
        return f"its clashes raised {raised}"
    if why is None:
        return None
    if not isinstance(why, str):
        return f"its clashes must give words or None, not a {type(why).__name__}"
    return in_words(ValueError(why))
