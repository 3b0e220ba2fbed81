"""The local executor: order, needs, failures, time limits, and no process left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
import small_tasks
from command_line import alive, children, wait_until

from invbench.core import execution
from invbench.runs import devices
from invbench.runs.executors import Advanced, Ended, Event, Repeated, Started, Task
from invbench.runs.executors.local import execute

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def task(key: str, function: Callable[..., Any], *arguments: Any, **more: Any) -> Task:
    return Task(key, f"{function.__module__}:{function.__name__}", arguments, **more)


def ended(events: Iterable[Event]) -> dict[str, Ended]:
    """How each task ended, in the order in which they did."""
    return {event.key: event for event in events if isinstance(event, Ended)}


def begun(file: Path) -> int:
    """The process that waits for `file`, as soon as one does."""
    mark = Path(f"{file}.begun")
    return int(wait_until(lambda: mark.exists() and mark.read_text(), f"a task waits for {file.name}"))


def test_tasks_run_in_order_but_after_their_needs_and_not_where_one_of_those_was_not_made(tmp_path: Path) -> None:
    tasks = [
        task("reader", small_tasks.look, tmp_path / "stamp", needs=frozenset({"stamp"})),
        task("stamp", small_tasks.stamp, tmp_path / "stamp"),
        task("broken", small_tasks.fail, "no such luck"),
        task("after", small_tasks.double, 21, needs=frozenset({"broken", "stamp"})),
        Task("unknown", "small_tasks:nothing", ()),
        task("threads", small_tasks.threads),
        task("climb", small_tasks.climb, 40, 0.01),
        task("again", small_tasks.threads),
    ]
    events = list(execute(tasks, workers=1, threads=3))
    results = ended(events)
    assert list(results) == ["stamp", "reader", "broken", "after", "unknown", "threads", "climb", "again"]
    started = [event.key for event in events if isinstance(event, Started)]
    assert started == [key for key in results if key != "after"]
    assert results["reader"].result is True
    assert (results["broken"].problem, results["broken"].reason) == ("failed", "ValueError: no such luck")
    assert (results["after"].problem, results["after"].result) == ("failed", None)
    assert results["after"].reason == "what it needs was not made: ValueError: no such luck"
    assert results["unknown"].reason.startswith("AttributeError")
    told = results["threads"].result
    assert (told["OMP_NUM_THREADS"], told["MKL_NUM_THREADS"], told["torch"]) == ("3", "3", 3)
    assert told["process"] != os.getpid()
    assert results["again"].result == told, "a failed task does not cost its worker"
    progress = [event.progress for event in events if isinstance(event, Advanced)]
    assert progress[0].done == 1
    assert [p.done for p in progress] == sorted({p.done for p in progress})
    assert all((p.phase, p.total, p.objective) == ("climb", 40, 1 / p.done) for p in progress)
    assert 2 <= len(progress) <= 1 + results["climb"].seconds / 0.1


def test_the_caller_s_own_environment_is_left_as_it_was() -> None:
    before = dict(os.environ)
    assert ended(execute([task("double", small_tasks.double, 1)], workers=4, threads=2))["double"].result == 2
    assert dict(os.environ) == before
    assert list(execute([], workers=4, threads=1)) == []


def test_a_worker_multiplies_in_float32_whatever_torch_would_do_on_a_gpu() -> None:
    """Convolutions in cuDNN are in TF32 unless told otherwise; a flag tells without a GPU."""
    here = execution.precision()
    found = ended(execute([task("asked", execution.precision)], workers=1, threads=1))["asked"].result
    assert (here, found) == ("tf32", "float32")


def test_a_worker_loads_what_is_slow_to_load_where_it_is_needed_and_is_as_good_afterwards() -> None:
    tasks = [task("score", small_tasks.score), task("train", small_tasks.train)]
    results = ended(execute(tasks, workers=1, threads=1))
    assert results["score"].result == []
    assert results["train"].result[:1] == ["torch._dynamo"]
    assert [one.remains for one in results.values()] == ["", ""]


def test_a_task_whose_worker_dies_is_begun_anew_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """An artefact's task, which another one needs, is no exception."""
    tasks = [
        task("made", small_tasks.die_once, tmp_path / "made", signal.SIGKILL, artefact=True),
        task("needs it", small_tasks.die_once, tmp_path / "needs", signal.SIGSEGV, needs=frozenset({"made"})),
        task("fine", small_tasks.double, 4),
    ]
    events = list(execute(tasks, workers=1, threads=1))
    repeated = {event.key: event.reason for event in events if isinstance(event, Repeated)}
    assert list(repeated) == ["made", "needs it"]
    assert "killed by SIGKILL" in repeated["made"]
    assert "memory" in repeated["made"]
    assert repeated["needs it"] == "the worker was killed by SIGSEGV"
    assert {key: end.problem for key, end in ended(events).items()} == dict.fromkeys(("made", "needs it", "fine"))
    assert [event.key for event in events if isinstance(event, Started)] == ["made", "needs it", "fine"]


def test_a_task_that_takes_a_second_worker_with_it_has_failed_and_says_how_both_died() -> None:
    tasks = [
        task("left", small_tasks.leave, 3),
        task("killed", small_tasks.die, signal.SIGKILL),
        task("fine", small_tasks.double, 4),
    ]
    events = list(execute(tasks, workers=1, threads=1))
    results = ended(events)
    assert [event.key for event in events if isinstance(event, Repeated)] == ["left", "killed"]
    assert results["left"].problem == "failed"
    assert results["left"].reason == "the worker ended with exit code 3; the one before it ended with exit code 3"
    assert results["killed"].problem == "failed"
    assert results["killed"].reason.count("killed by SIGKILL") == 2
    assert results["fine"].result == 8


def test_each_worker_has_variables_of_its_own_in_turn_and_the_machine_s_threads_beside_them(tmp_path: Path) -> None:
    """As two GPUs are shared out over three workers."""
    own, environments = devices.shared_out("cuda", ["GPU-a", "GPU-b"])
    assert own == "cuda:0"
    tasks = [task(f"{k}", small_tasks.meet, tmp_path, f"{k}", 3) for k in range(3)]
    results = ended(execute(tasks, workers=3, threads=1, environments=environments))
    assert [results[f"{k}"].result for k in range(3)] == ["GPU-a", "GPU-b", "GPU-a"]


def test_a_task_out_of_time_is_ended_and_loading_libraries_is_not_its_time(tmp_path: Path) -> None:
    """A worker loads torch for longer than the second that `quick` has."""
    tasks = [
        task("quick", small_tasks.double, 5, timeout=1.0),
        task("slow", small_tasks.wait_for, tmp_path / "never", timeout=0.5),
        task("next", small_tasks.double, 6, timeout=1.0),
    ]
    events = list(execute(tasks, workers=1, threads=1))
    results = ended(events)
    assert results["quick"].result == 10
    assert (results["slow"].problem, results["slow"].reason) == ("timeout", "took longer than 0.5 s")
    assert 0.5 <= results["slow"].seconds < 5
    assert results["next"].result == 12
    assert not [event for event in events if isinstance(event, Repeated)], "a timeout is no accident"


@needs_proc
def test_closing_kills_whatever_still_runs(tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    tasks = [task(name, small_tasks.wait_for, tmp_path / name) for name in ("a", "b", "c")]
    with closing(execute(tasks, workers=2, threads=1)) as events:
        assert [next(events), next(events)] == [Started("a", 0), Started("b", 1)]
        workers = [begun(tmp_path / name) for name in ("a", "b")]
        assert all(map(alive, workers))
    assert not any(map(alive, workers))
    assert not (tmp_path / "c.begun").exists()
    assert not {pid for pid in set(children(os.getpid())) - before if pid in workers}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to a subreaper")
@pytest.mark.parametrize("how", ["of itself", "killed from outside", "closed", "its keeper asked"])
def test_what_a_task_has_started_ends_with_its_worker_whatever_its_session_and_parents(
    tmp_path: Path, how: str
) -> None:
    number = signal.SIGKILL if how == "of itself" else 0
    left = task("left", small_tasks.leave_orphans, tmp_path, number)
    with closing(execute([left], workers=1, threads=1)) as events:
        next(events)
        names = ("own", "daemon", "worker")
        wait_until(lambda: all((tmp_path / name).exists() for name in names), "the task has started them")
        found = [int(wait_until((tmp_path / name).read_text, f"{name} has its number")) for name in names]
        if how == "killed from outside":
            os.kill(found[-1], signal.SIGKILL)
        if how == "its keeper asked":
            keeper = int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(keeper, signal.SIGTERM)
        if how != "closed":
            assert isinstance(next(events), Repeated)
            assert not any(map(alive, found))
    assert not any(map(alive, found))


@needs_proc
def test_a_worker_that_dies_idle_is_replaced_and_no_task_is_lost(tmp_path: Path) -> None:
    """Worker 0 has nothing to do while `long` keeps its dependent from starting."""
    tasks = [
        task("short", small_tasks.threads),
        task("long", small_tasks.wait_for, tmp_path / "go"),
        task("dependent", small_tasks.double, 7, needs=frozenset({"long"})),
    ]
    with closing(execute(tasks, workers=2, threads=1)) as events:
        first = next(event for event in events if isinstance(event, Ended))
        assert first.key == "short"
        begun(tmp_path / "go")
        os.kill(first.result["process"], signal.SIGKILL)
        wait_until(lambda: not alive(first.result["process"]), "the idle worker is dead")
        (tmp_path / "go").touch()
        results = ended(events)
    assert (results["dependent"].problem, results["dependent"].result) == (None, 14)


@needs_proc
def test_an_interrupt_at_the_keyboard_never_reaches_a_worker_not_even_while_it_starts(tmp_path: Path) -> None:
    """It goes to the whole process group, and stopping workers is their parent's business."""
    resource_tracker.ensure_running()  # a process of Python's own, started with the first worker
    before = set(children(os.getpid()))
    with closing(execute([task("long", small_tasks.wait_for, tmp_path / "go")], workers=1, threads=1)) as events:
        next(events)
        (worker,) = set(children(os.getpid())) - before
        while alive(worker) and not (tmp_path / "go.begun").exists():
            os.kill(worker, signal.SIGINT)
            time.sleep(0.005)
        assert alive(worker)
        (tmp_path / "go").touch()
        assert ended(events)["long"].problem is None
