"""What is asked of a cell before it is played: whether it can be, and what must be made first.

No answer here depends on the cell's seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from invbench import registry
from invbench.cell import Cell
from invbench.core.artefacts import Artefact, fetch, in_order
from invbench.core.attack import Attack
from invbench.core.theirs import PartRaised, theirs
from invbench.games import game_of
from invbench.play.knowing import as_told
from invbench.play.outcomes import Played, failed_by, unplayed
from invbench.play.plain import short, text
from invbench.play.preparing import preparations
from invbench.play.reruns import rerun_artefacts
from invbench.sheets import sheet_of


def attack_of(cell: Cell) -> Attack[Any, Any, Any]:
    """The cell's attack."""
    return cell.attack.build(Attack)


def why_unsupported(cell: Cell) -> str | None:
    """Why the cell cannot be played, by its protocol, its game, then its attack; None where it can."""
    if cell.attack.part.facts["game"] != cell.game:
        return f"{cell.attack.name} is no attack of game {cell.game}"
    if cell.protocol is not None and not registry.serves(cell.protocol.part, cell.game):
        served = ", ".join(cell.protocol.part.facts["games"])
        return f"protocol {cell.protocol.name} serves {served}, not game {cell.game}"
    game = game_of(cell)
    reason = _reason(f"game {cell.game}", game.unsupported(cell))
    if reason is None:
        reason = _reason(f"attack {cell.attack.name}", attack_of(cell).unsupported(as_told(cell, game.public(cell))))
    return reason


def _reason(part: str, said: object) -> str | None:
    """What a part says to `unsupported`; ValueError where that is neither None nor words."""
    if said is None:
        return None
    if not isinstance(said, str) or not said.strip():
        raise ValueError(f"{part}: unsupported() gives None or a reason in words, not {short(said)}")
    return text(" ".join(said.split()))  # on one line, as it is told


def unplayable(cell: Cell) -> Played | None:
    """The outcome of a cell that cannot be played: unsupported, or failed where even that could not be told."""
    try:
        with theirs():
            reason = why_unsupported(cell)
            if reason is None:
                artefacts(cell)  # asked for here, where a mistake of whoever names them can still be told for all seeds
    except PartRaised as raised:  # a part's own mistake costs its cell, not the run
        return failed_by(raised.error, cell)
    return None if reason is None else Played(unplayed(cell, "unsupported", reason))


def with_unplayable(cells: Iterable[Cell]) -> Iterator[tuple[Cell, Played | None]]:
    """Each cell with its outcome if it is `unplayable`. Nobody's answer depends on the seed: it is asked for once."""
    known: dict[Cell, Played | None] = {}
    for cell in cells:
        alike = replace(cell, seed=0)
        if alike not in known:
            known[alike] = unplayable(cell)
        played = known[alike]
        if played is not None:
            own = replace(played.record, id=cell.id, names=cell.names, settings=cell.settings)
            played = replace(played, record=own)
        yield cell, played


def requested_controls(cell: Cell) -> frozenset[str]:
    """Those of the matrix's controls that the cell's game has."""
    return frozenset(cell.controls) & frozenset(sheet_of(cell.game).said.controls)


def artefacts(cell: Cell, device: str = "cpu") -> list[Artefact]:
    """All that the cell reads, and all that it takes to make that, each after what it needs."""
    reruns = rerun_artefacts(cell, device).values()
    return in_order([*game_of(cell).artefacts(cell), *preparations(cell).values(), *reruns])


def needed(cell: Cell, device: str) -> list[Artefact] | Played:
    """`artefacts`, named and looked up; the cell's failure where a part cannot say what it needs, or not again."""
    try:
        with theirs():
            found = artefacts(cell, device)
            for artefact in found:
                artefact.name  # noqa: B018  a key that is no JSON is told here
            return found
    except PartRaised as raised:
        return failed_by(raised.error, cell)


def make_artefact(name: str, cell: Cell, device: str) -> None:
    """Make the one of the cell's artefacts that has this name; ValueError where none has it here."""
    found = next((artefact for artefact in artefacts(cell, device) if artefact.name == name), None)
    if found is None:
        raise ValueError("it has another name in this process: code, or a file of a part, changed while the matrix ran")
    fetch(found)
