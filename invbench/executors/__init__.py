"""Who computes tasks, and where. An executor knows nothing of what a task means.

`execute(tasks, ...)` yields `Event`s until every task has ended. A task names a function and its arguments;
its result comes back to the caller, who alone writes anything down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from invbench.progress import Progress


@dataclass(frozen=True)
class Task:
    """`function` (`module:name`) is called with `arguments` in a worker, once all of `needs` have ended.

    `timeout`: seconds from when its worker has loaded what it needs, None for no limit.
    """

    key: str
    function: str
    arguments: tuple[Any, ...]
    timeout: float | None = None
    needs: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Started:
    """A worker was given the task."""

    key: str
    worker: int


@dataclass(frozen=True)
class Advanced:
    """The task said how far it is."""

    key: str
    progress: Progress


@dataclass(frozen=True)
class Ended:
    """The task is over. `problem` is None where it returned `result`; else `timeout` or `failed`, and why."""

    key: str
    result: Any = None
    problem: str | None = None
    reason: str = ""
    seconds: float = 0.0


Event = Started | Advanced | Ended
