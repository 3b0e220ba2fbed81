"""Why a cell of game `model` cannot be played, or could show nothing, as far as it is known beforehand."""

from __future__ import annotations

from invbench.cell import Cell
from invbench.data import ImagePool
from invbench.defenses import Stage
from invbench.games._planning import brings_weights, idle_defense, no_network, not_of_kind
from invbench.protocol._granted import Granted
from invbench.victims import Indexes, architecture, pool_of, stack_of, usual_training, why_untrainable
from invbench.victims.classes import training_pictures, without_last_classes

STAGES: frozenset[Stage] = frozenset({"model", "training", "answer"})
"""The stages of defences that a released model passes through."""


def known_classes(cell: Cell) -> int:
    """How many of the last classes are the attacker's own."""
    assert cell.protocol is not None
    return pool_of(cell).classes // 2 if cell.protocol.build(Granted).public == "other-classes" else 0


def private_pool(cell: Cell) -> ImagePool:
    """The cell's pictures, of which those of the attacker's own classes are neither trained on nor held out."""
    known = known_classes(cell)
    return without_last_classes(pool_of(cell), known) if known else pool_of(cell)


def private_pictures(cell: Cell) -> Indexes | None:
    """What the model is trained on where that is not the whole training pool."""
    return private_pool(cell).train if known_classes(cell) else None


def chance(cell: Cell) -> str:
    """What an answer that reads nothing finds, in words."""
    return f"chance finds 1 class in {pool_of(cell).classes - known_classes(cell)}"


def why_unplayable(cell: Cell) -> str | None:
    """Why this cell cannot be played, or None."""
    return (
        not_of_kind(cell)
        or brings_weights(cell)
        or idle_defense(cell, STAGES)
        or _bypassed(cell)
        or _too_few(cell)
        or no_network(cell)
        or why_untrainable(cell, architecture(cell), usual_training(cell, private_pictures(cell)))
    )


def _bypassed(cell: Cell) -> str | None:
    """A defence of answers beside granted weights would be counted as one that failed."""
    assert cell.protocol is not None
    if cell.protocol.name != "white-box":
        return None
    for defense, built in zip(cell.defense or (), stack_of(cell).defenses, strict=True):
        if set(built.stages()) & STAGES == {"answer"}:
            return (
                f"defence {defense.name} changes answers, and protocol white-box grants the weights, which it leaves"
                " as they are: name protocol black-box"
            )
    return None


def _too_few(cell: Cell) -> str | None:
    pool, name = private_pool(cell), cell.dataset.short
    if not len(pool.train):
        return f"{name} has no pictures that a model trains on"
    if pool.classes < 2:
        return f"{name} has one class, of which every model is certain whatever the picture"
    asked = range(cell.offset, cell.offset + cell.targets)
    if asked.stop > (there := pool.classes - known_classes(cell)):
        start = f" from class {cell.offset} on" if cell.offset else ""
        own = f" beside {known_classes(cell)} that are the attacker's own" if known_classes(cell) else ""
        return f"{cell.targets} classes{start} are asked; {name} has {there}{own}"
    for label in asked:
        count = int((pool.labels == label).sum())
        if count == 1:
            return f"class {label} of {name} has one picture: a model trained on it cannot be told from a copy of it"
        if not len(training_pictures(pool, label)):
            held = f"its {count} pictures are held out" if count else "it has no pictures"
            return f"class {label} of {name} is not trained on: {held}"
    return None
