"""The first sentences of a report: how many cells there are, and what leaks most under each defence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from invbench.report import wording
from invbench.report.figures import Figures, leading
from invbench.report.leaks import Leak
from invbench.report.sections import grouped
from invbench.report.tables import code, text

MOST_DEFENSES = 12
"""Sentences on defences of one game; a longer list would be no headline."""


def headlines(figures: Sequence[Figures]) -> list[str]:
    """Lists of Markdown, one string a game."""
    lines = []
    for game, of_game in grouped(figures, lambda one: one.record.names["game"]).items():
        silent = [one for one in of_game if one.nothing_to_read is not None]
        metric = leading(of_game)
        every = [(one, one.leak_by(metric)) for one in of_game if one.nothing_to_read is None]
        measured = [(one, leak) for one, leak in every if leak is not None]
        said = [
            *(_leaks(measured, metric) if measured else []),
            *_above_limits(of_game),
            *_own_making(of_game),
            *_not_counted(silent),
        ]
        if said:
            lines.append(f"What leaks most in game {text(game)}:\n\n" + "\n".join(said))
    return lines


def counts(figures: Sequence[Figures], planned: int) -> str:
    """`**16 cells: 14 ok, 1 failed, 1 unsupported.**`"""
    if not planned:
        return "**The matrix has no cells.**"
    number = Counter(one.record.status for one in figures)
    words = [f"{number[status]} {status}" for status in ("ok", "failed", "timeout", "unsupported") if number[status]]
    if planned > len(figures):
        words.append(f"{planned - len(figures)} not run yet")
    return f"**{wording.cells(planned)}: {', '.join(words)}.**"


def _leaks(measured: Sequence[tuple[Figures, Leak]], metric: str) -> list[str]:
    """The most that was read in one game under each of its defences, by this metric, the weakest defence first."""

    def order(pair: tuple[Figures, Leak]) -> tuple[bool, bool, float]:
        """What was surely read comes first, then what has the metric, then how far it is above its control."""
        one, leak = pair
        return one.shown is not None, leak.metric == metric, leak.gain

    by_defense: dict[str | None, list[tuple[Figures, Leak]]] = {}
    for one, leak in measured:
        by_defense.setdefault(one.record.names["defense"], []).append((one, leak))
    most = [max(cells, key=order) for cells in by_defense.values()]
    most.sort(key=order, reverse=True)
    lines = [f"- {_sentence(one, leak)}" for one, leak in most[:MOST_DEFENSES]]
    if len(most) > MOST_DEFENSES:
        lines.append(f"- {len(most) - MOST_DEFENSES} stronger defences stand in the tables.")
    others = [one for one, _ in measured if one.shown is None]
    read, unsure = len(measured) - len(others), sum(one.unsure for one in others)
    maybe = f", {unsure} {'is' if unsure == 1 else 'are'} unsure" if unsure else ""
    lines.append(
        f"- Measured cells in which the attack read something: {read} of {len(measured)};"
        f" {len(measured) - read - unsure} {wording.NOTHING} beyond their control{maybe}."
    )
    return lines


def _above_limits(cells: Sequence[Figures]) -> list[str]:
    """The cells whose leak is above a limit of theirs; the notes hold the words of each."""
    above = [one for one in cells if one.above]
    if not above:
        return []
    names = above[0].record.names
    under = f" under {code(names['defense'])}" if names["defense"] is not None else ""
    first = f"{wording.attacked(names)}, {wording.setting(names)}{under}"
    which = first if len(above) == 1 else f"the first: {first}"
    return [f"- Above a limit in {wording.cells(len(above))}: {text(above[0].above[0])} ({which})."]


def _own_making(cells: Sequence[Figures]) -> list[str]:
    """The cells whose pictures are as good from noise, or not surely better, by what is said of them."""
    lines = []
    for said, alike in grouped([one for one in cells if one.own], lambda one: one.own).items():
        names = alike[0].record.names
        which = f"{wording.attacked(names)}, {wording.setting(names)}"
        which = which if len(alike) == 1 else f"the first: {which}"
        lines.append(f"- Of {wording.cells(len(alike))}: {text(said)} ({which}).")
    return lines


def _not_counted(silent: Sequence[Figures]) -> list[str]:
    """The cells in which there was nothing to read, by the reason: no sentence above is about them."""
    lines = []
    for reason, cells in grouped(silent, lambda one: str(one.nothing_to_read)).items():
        names = cells[0].record.names
        which = f"{wording.attacked(names)}, {wording.setting(names)}"
        if names["defense"] is not None:
            which += f", under {code(names['defense'])}"
        which = which if len(cells) == 1 else f"the first: {which}"
        lines.append(f"- Not counted, {wording.NOT_READABLE} in {wording.cells(len(cells))}: {text(reason)} ({which}).")
    return lines


def _room(one: Figures, leak: Leak) -> str:
    """That a limit leaves room above the control, where no attack is above it: little found is little proved."""
    column = one.sheet.column(leak.metric)
    for bound in one.sheet.said.bounds:
        limit = one.scores.get(bound.limit)
        if bound.leak == leak.metric and limit and column.gain(limit.mean - leak.control.mean) > column.least_gain:
            name = one.sheet.column(bound.limit).written
            return f", but the {name} {wording.with_unit(column, limit.mean)}: a better attack may read something"
    return ""


def _sentence(one: Figures, leak: Leak) -> str:
    """The strongest attack under one defence, or that even it has read nothing."""
    names, metric, control = one.record.names, one.sheet.column(leak.metric), leak.control
    attacked, value = wording.attacked(names), wording.with_unit(metric, one.scores[metric.name].mean)
    under = {None: "", "none": "Without a defence, "}.get(names["defense"], f"Under {code(names['defense'])}, ")
    what = f"{attacked} reads most"
    if one.shown is None:
        what = f"no attack reads anything{' for sure' if one.unsure else ''}; the nearest is {attacked}"
        if one.unsure and (number := wording.few(one)):
            what = f"nothing is sure{number}; most has {attacked}"
    against = f"the strongest control ({text(control.name)}) {wording.with_unit(metric, control.mean)}"
    if one.shown is not None and one.shown.metric != metric.name:
        shown = one.sheet.column(one.shown.metric)
        found, beside = one.scores[shown.name].mean, one.shown.control.mean
        values = f"{wording.with_unit(shown, found)} against {wording.with_unit(shown, beside)}"
        against += f"; shown by {shown.written}, {values}"
    against += _room(one, leak) if one.shown is None else ""
    sentence = f"{under}{what}: {metric.written} {value}, {against}; {wording.setting(names)}."
    return sentence[0].upper() + sentence[1:]
