"""The matrix's key `controls`: answers that read nothing, asked for by name, each game's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from invbench.core.parameters import nearest_name
from invbench.core.parts import Part
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Entry, Items, Place, plain, show
from invbench.sheets import every_sheet, sheet_of


def read_controls(entry: Entry | None, errors: Errors) -> dict[str, Place]:
    """The controls asked for, each with its place; none where the matrix does not name any."""
    if entry is None:
        return {}
    node = entry.value
    items = node.items if isinstance(node, Items) else (node,)
    if not items:
        errors.add(node.place, "controls is empty")
    known = [*dict.fromkeys(control for sheet in every_sheet() for control in sheet.said.controls)]
    asked: dict[str, Place] = {}
    for item in items:
        word = plain(item)
        if word not in known:
            words = " or ".join([", ".join(known[:-1]), *known[-1:]])
            errors.add(item.place, f"a control is {words}, not {show(word)}", nearest_name(str(word), known))
        elif word in asked:
            errors.add(item.place, f"control {word!r} is repeated")
        else:
            asked[str(word)] = item.place
    return asked


def controls_of(game: str, asked: Iterable[str], always: Iterable[str] = ()) -> tuple[str, ...]:
    """Those asked for that the game has, in its sheet's order; its default ones where none of them is.

    `always`: those that the attack is marked with run too.
    """
    said, asked = sheet_of(game).said, frozenset(asked)
    own = asked.intersection(said.controls) or frozenset(said.controls_by_default)
    return tuple(control for control in said.controls if control in own.union(always))


def strange_control(attack: Part) -> tuple[str, str | None] | None:
    """That an attack is marked with a control that its game lacks, and the nearest one; None where it is not."""
    has = sheet_of(attack.facts["game"]).said.controls
    strange = next((control for control in attack.facts["controls"] if control not in has), None)
    if strange is None:
        return None
    words = f"attack {attack.name} is marked with control {strange!r}; its game has {', '.join(has) or 'none'}"
    return words, nearest_name(strange, has)


def refuse_strangers(asked: Mapping[str, Place], games: Iterable[str], errors: Errors) -> None:
    """Note each control asked for that none of these games has, with those that they have."""
    has = {game: sheet_of(game).said.controls for game in dict.fromkeys(games)}
    known = [*dict.fromkeys(control for controls in has.values() for control in controls)]
    there = "; ".join(f"{game} has {', '.join(controls) or 'none to ask for'}" for game, controls in has.items())
    for control, place in asked.items():
        if has and control not in known:
            errors.add(place, f"no game of this matrix has control {control!r}: {there}")
