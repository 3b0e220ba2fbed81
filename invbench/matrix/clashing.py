"""Stacks in which a defence would undo or replace what another one does."""

from __future__ import annotations

from collections.abc import Sequence

from invbench.cell import Choice
from invbench.core.errors import in_words
from invbench.core.theirs import PartRaised, theirs
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Node


def refuse_clashes(stack: Sequence[Choice], nodes: Sequence[Node], errors: Errors) -> bool:
    """Whether any of these defences cannot stand behind those before it; each that cannot is noted at its place."""
    before, found = list[object](), False
    for choice, node in zip(stack, nodes, strict=True):
        defense = choice.build(object)
        if (why := _clash(defense, before)) is not None:
            errors.add(node.place, f"{choice.name} cannot stand in this stack: {why}")
            found = True
        before.append(defense)
    return found


def _clash(defense: object, before: Sequence[object]) -> str | None:
    """What a defence's `clashes` says of those before it; a class that was written without its base says nothing."""
    ask = getattr(defense, "clashes", None)
    if ask is None:
        return None
    try:
        with theirs():
            why = ask(tuple(before))
    except PartRaised as raised:
        return f"its clashes raised {raised}"
    if why is None:
        return None
    return in_words(ValueError(why)) if isinstance(why, str) else f"its clashes must give words or None, not {why!r}"
