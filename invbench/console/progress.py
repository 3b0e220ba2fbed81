"""What a run says while it goes on: a live display on a terminal, a line a cell in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from invbench.console.wording import cell_words, duration, headline
from invbench.run import Doing, Done, Made, News, Planned

Listener = Callable[[News], None]
_STYLES = {"ok": "green", "unsupported": "yellow", "failed": "red", "timeout": "red"}


@contextmanager
def progress_display(quiet: bool, cells: int, workers: int) -> Iterator[Listener]:
    """A listener for a run's news that prints them as fits where standard error leads."""
    console = Console(stderr=True)
    if quiet:
        yield lambda news: None
    elif console.is_terminal:
        with _live(console, cells, workers) as listener:
            yield listener
    else:
        yield _Lines(cells)


class _Lines:
    """One plain line for each cell that ended."""

    def __init__(self, cells: int) -> None:
        self.cells, self.done = cells, 0

    def __call__(self, news: News) -> None:
        if isinstance(news, Planned):
            self.done = news.kept
            self._say(f"{news.to_compute} cells to compute, {news.kept} kept from before")
        elif isinstance(news, Made):
            self._say(f"made: {news.what}" if not news.problem else f"not made: {news.what}: {news.problem}")
        elif isinstance(news, Done):
            self.done += 1
            self._say(_ended(news, self.done, self.cells))

    def _say(self, line: str) -> None:
        click.echo(line, err=True)


@contextmanager
def _live(console: Console, cells: int, workers: int) -> Iterator[Listener]:
    overall = Progress(
        TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"), console=console
    )
    each = Progress(TextColumn("  {task.description}"), BarColumn(bar_width=10), TextColumn("{task.fields[state]}"))
    display = _Display(console, overall, each, cells, workers)
    with Live(Group(each, overall), console=console, refresh_per_second=8, transient=True):
        yield display


class _Display:
    """Keeps one row a worker and one for all cells, and prints a line above them for each cell that ended."""

    def __init__(self, console: Console, overall: Progress, each: Progress, cells: int, workers: int) -> None:
        self.console, self.overall, self.each, self.cells = console, overall, each, cells
        self.bar = overall.add_task("cells", total=cells, left="")
        self.rows: dict[int, TaskID] = {
            worker: each.add_task("", total=None, state="", visible=False) for worker in range(workers)
        }
        self.done = self.computed = 0
        self.began = time.monotonic()

    def __call__(self, news: News) -> None:
        if isinstance(news, Planned):
            self.done = news.kept
        elif isinstance(news, Doing):
            self._show(news)
        elif isinstance(news, Made):
            self.each.update(self.rows[news.worker], visible=False)
            self.console.print(Text(f"not made: {news.what}: {news.problem}" if news.problem else f"made: {news.what}"))
        else:
            self.done += 1
            if news.worker is not None:
                self.computed += 1
                self.each.update(self.rows[news.worker], visible=False)
            line = _ended(news, self.done, self.cells)
            self.console.print(Text(line, style=_STYLES[news.record.status]), overflow="fold")
        self.overall.update(self.bar, completed=self.done, left=self._time_left())

    def _show(self, news: Doing) -> None:
        room = max(12, self.console.width - 50)
        name = news.what if len(news.what) <= room else news.what[: room - 3] + "..."
        state, total, done = "", None, 0
        if news.progress is not None:
            total, done = news.progress.total, news.progress.done
            at = f" at {news.progress.objective:.3g}" if news.progress.objective is not None else ""
            state = f"{done}/{total}{at}"
        self.each.update(
            self.rows[news.worker], description=name, total=total, completed=done, state=state, visible=True
        )

    def _time_left(self) -> str:
        """By the pace of the cells computed so far; nothing before the first."""
        if not self.computed or self.done >= self.cells:
            return ""
        pace = (time.monotonic() - self.began) / self.computed
        return f"about {duration(pace * (self.cells - self.done))} left"


def _ended(news: Done, done: int, cells: int) -> str:
    record = news.record
    number = f"[{done:>{len(str(cells))}}/{cells}]"
    outcome = headline(record) if record.status == "ok" else f"{record.status}: {record.reason}"
    took = f"  {duration(record.seconds['cell'])}" if "cell" in record.seconds else ""
    return f"{number} {cell_words(record)}  {outcome}{took}"
