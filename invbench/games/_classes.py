"""Why a cell of game `model` cannot be played, or could show nothing, as far as it is known beforehand."""

from __future__ import annotations

from invbench.cell import Cell
from invbench.defenses import Stage
from invbench.games._planning import idle_defense, no_network, not_of_pictures
from invbench.victims import architecture, pool_of, stack_of, usual_training, why_untrainable
from invbench.victims.classes import training_pictures

STAGES: frozenset[Stage] = frozenset({"model", "training", "answer"})
"""The stages of defences that a released model passes through."""


def why_unplayable(cell: Cell) -> str | None:
    """Why this cell cannot be played, or None."""
    return (
        not_of_pictures(cell)
        or idle_defense(cell, STAGES)
        or _bypassed(cell)
        or _too_few(cell)
        or no_network(cell)
        or why_untrainable(cell, architecture(cell), usual_training(cell))
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
    pool, name = pool_of(cell), cell.dataset.short
    if not len(pool.train):
        return f"{name} has no pictures that a model trains on"
    if pool.classes < 2:
        return f"{name} has one class, of which every model is certain whatever the picture"
    asked = range(cell.offset, cell.offset + cell.targets)
    if asked.stop > pool.classes:
        start = f" from class {cell.offset} on" if cell.offset else ""
        return f"{cell.targets} classes{start} are asked; {name} has {pool.classes}"
    for label in asked:
        there = int((pool.labels == label).sum())
        if there == 1:
            return f"class {label} of {name} has one picture: a model trained on it cannot be told from a copy of it"
        if not len(training_pictures(pool, label)):
            held = f"its {there} pictures are held out" if there else "it has no pictures"
            return f"class {label} of {name} is not trained on: {held}"
    return None
