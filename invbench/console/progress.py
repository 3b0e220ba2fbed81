"""What a run says while it goes on: a live display on a terminal, a line a cell in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from invbench.cell import Cell
from invbench.console.saying import say
from invbench.console.terminal import Terminal
from invbench.console.wording import Namer, cell_namer, cells_of_games, count, duration, fitted, headline
from invbench.runs.executors import Notice
from invbench.runs.run import Again, Doing, Done, Left, Made, News, Planned, Unplayable
from invbench.store import Record

Listener = Callable[[News], None]
_STYLES = {"ok": "green", "unsupported": "yellow", "failed": "red", "timeout": "red"}
MOST_UNPLAYABLE = 20
"""Cells that cannot be played that are told one by one."""
_STATE = 28  # columns kept for how far a worker is: `96000/96000 at 0.000123`


@contextmanager
def progress_display(quiet: bool, cells: Sequence[Cell], workers: int) -> Iterator[Listener]:
    """A listener for a run's news that prints them as fits where standard error leads."""
    console = Terminal(stderr=True)
    if quiet:
        yield lambda news: None
    elif console.is_terminal and not console.is_dumb_terminal:
        with _live(console, cells, workers) as listener:
            yield listener
    else:
        yield _Lines(cells)


class _Lines:
    """One plain line for each cell that ended."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.name, self.cells, self.done = cell_namer(cells), len(cells), 0
        self.of_games = cells_of_games(cells)

    def __call__(self, news: News) -> None:
        if isinstance(news, Planned):
            self.done = news.kept
            self._say(_planned(news, self.of_games))
        elif isinstance(news, Unplayable):
            for record in news.records[:MOST_UNPLAYABLE]:
                self._end(record)
            if (hidden := len(news.records) - MOST_UNPLAYABLE) > 0:
                self.done += hidden
                self._say(_more_unplayable(hidden))
        elif isinstance(news, Made):
            if told := _made(news):
                self._say(told)
        elif isinstance(news, Again | Left | Notice):
            self._say(_trouble(news, self.name))
        elif isinstance(news, Done):
            self._end(news.record)

    def _end(self, record: Record) -> None:
        self.done += 1
        number, outcome = _ended(record, self.done, self.cells)
        self._say(f"{number} {self.name(record.names)}  {outcome}")

    def _say(self, line: str) -> None:
        say(line, err=True)


@contextmanager
def _live(console: Terminal, cells: Sequence[Cell], workers: int) -> Iterator[Listener]:
    overall = Progress(_words("cells"), BarColumn(), MofNCompleteColumn(), _words("{task.fields[left]}"))
    each = Progress(_words("  {task.description}"), _words("{task.fields[state]}"))
    with Live(Group(overall, each), console=console, refresh_per_second=8, transient=True):
        yield _Display(console, overall, each, cells, workers)


def _words(format: str) -> TextColumn:
    """A column of words that hold no markup."""
    return TextColumn(format, markup=False)


class _Display:
    """Keeps one row for all cells and one a worker, and prints a line above them for each cell that ended."""

    def __init__(
        self, console: Terminal, overall: Progress, each: Progress, cells: Sequence[Cell], workers: int
    ) -> None:
        self.console, self.overall, self.each = console, overall, each
        self.name: Namer = cell_namer(cells)
        self.cells, self.of_games = len(cells), cells_of_games(cells)
        self.bar = overall.add_task("cells", total=self.cells, left="")
        self.rows: dict[int, TaskID] = {
            worker: each.add_task("", total=None, state="", visible=False) for worker in range(workers)
        }
        self.done = self.computed = 0
        self.shares: dict[int, float] = {}  # by worker: how much of its cell is done
        self.began = time.monotonic()

    def __call__(self, news: News) -> None:
        if isinstance(news, Planned):
            self.done = news.kept
            self.console.print(_planned(news, self.of_games))
        elif isinstance(news, Unplayable):
            for record in news.records[:MOST_UNPLAYABLE]:
                self._end(record)
            if (hidden := len(news.records) - MOST_UNPLAYABLE) > 0:
                self.done += hidden
                self.console.print(_more_unplayable(hidden))
        elif isinstance(news, Doing):
            self._show(news)
        elif isinstance(news, Made):
            self._idle(news.worker)
            if told := _made(news):
                self.console.print(told, overflow="fold")
        elif isinstance(news, Again | Left | Notice):
            if isinstance(news, Again):
                self._idle(news.worker)
            self.console.print(_trouble(news, self.name), style="yellow", overflow="fold")
        else:
            self.computed += 1
            self._idle(news.worker)
            self._end(news.record)
        self.overall.update(self.bar, completed=self.done, left=self._time_left())

    def _idle(self, worker: int | None) -> None:
        """Take a worker's row away; nothing where no worker was at it."""
        if worker is not None:
            self.shares.pop(worker, None)
            self.each.update(self.rows[worker], visible=False)

    def _show(self, news: Doing) -> None:
        room = self.console.width - _STATE
        words = news.what if isinstance(news.what, str) else self.name(news.what.names, room)
        state, at = "", news.progress
        if at is not None:
            state = f"{at.done}/{at.total}" + (f" at {at.objective:.3g}" if at.objective is not None else "")
            if isinstance(news.what, Cell) and at.total:
                self.shares[news.worker] = at.done / at.total
        name = fitted(words, room)
        self.each.update(self.rows[news.worker], description=name, state=state, visible=True)

    def _end(self, record: Record) -> None:
        self.done += 1
        number, outcome = _ended(record, self.done, self.cells)
        room = self.console.width - len(f"{number}   {outcome}")
        name = self.name(record.names, max(room, self.console.width // 2))  # a long line folds
        self.console.print(f"{number} {name}  {outcome}", style=_STYLES[record.status], overflow="fold")

    def _time_left(self) -> str:
        """By the pace so far, cells that are being computed counted in part; nothing before there is a pace."""
        computed = self.computed + sum(self.shares.values())
        left = self.cells - self.done - sum(self.shares.values())
        if not computed or left <= 0:
            return ""
        return f"about {duration((time.monotonic() - self.began) / computed * left)} left"


def _planned(news: Planned, of_games: str) -> str:
    cells = f"{of_games}: {news.to_compute} to compute, {news.kept} kept from before"
    if not news.to_train and not news.trained:
        return cells
    return f"{cells}; {count(news.to_train, 'training')} for their utility to make, {news.trained} kept"


def _more_unplayable(hidden: int) -> str:
    return f"... and {count(hidden, 'cell')} more that cannot be played; the report says why"


def _made(news: Made) -> str:
    """A line of what is made, one for all that is alike; one of each that is not made."""
    if news.problem:
        return f"not made: {news.what}: {news.problem}"
    times = f"{news.alike} x " if news.alike > 1 else ""
    return "" if news.left else f"made: {times}{news.what}"


def _trouble(news: Again | Left | Notice, name: Namer) -> str:
    if isinstance(news, Notice):
        return news.text
    what = news.what if isinstance(news.what, str) else name(news.what.names)
    if isinstance(news, Left):
        return f"a new worker after {what}, which left in its own: {news.remains}"
    return f"again: {what}: {news.reason}"


def _ended(record: Record, done: int, cells: int) -> tuple[str, str]:
    """`[3/9]`, and how it ended."""
    outcome = headline(record) if record.status == "ok" else f"{record.status}: {record.reason}"
    took = f"  {duration(record.seconds['cell'])}" if "cell" in record.seconds else ""
    return f"[{done:>{len(str(cells))}}/{cells}]", outcome + took
