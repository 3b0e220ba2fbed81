"""Interrupted, killed, refused, too slow: what is finished stays, nobody is left behind, the next run goes on."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from command_line import (
    FinishedRun,
    Running,
    alive,
    invbench,
    outcomes,
    records,
    running,
    statuses,
    table,
    wait_until,
    write,
    write_small,
    written,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

WAITING = """\
name: waiting
dataset: {name: warfarin, sensitive: vkorc1}
targets: 5
grid:
  attack: [map-inversion, {name: waiting, go: go}]
  model: [iwpc]
"""
"""A cell that is soon done, then one that goes on until the file `go` is there."""


def run_waiting(folder: Path, site: Path) -> Running:
    write(folder / "waiting.yaml", WAITING)
    return running("run", "waiting.yaml", "--workers", 2, folder=folder, PYTHONPATH=str(site))


def until_waiting(run: Running) -> int:
    """Wait until the quick cell is done and the other one goes on; the process that computes it."""
    result, begun = run.folder / "results/waiting", run.folder / "go.begun"
    wait_until(lambda: written(result) and begun.exists() and begun.read_text(), "one cell done, one going on")
    return int(begun.read_text())


def are_gone(processes: list[int]) -> bool:
    return not any(map(alive, processes))


def wait_until_gone(processes: list[int]) -> None:
    wait_until(lambda: are_gone(processes), "the workers have noticed that their parent is gone", patience=30)


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_interrupt_ends_130_keeps_what_is_finished_and_leaves_no_process(
    tmp_path: Path, site: Path, number: signal.Signals, group: bool
) -> None:
    """The keyboard interrupts the whole process group, `kill` the parent alone."""
    with run_waiting(tmp_path, site) as run:
        until_waiting(run)
        workers = run.workers()
        assert len(workers) >= 2
        (os.killpg if group else os.kill)(run.process.pid, number)
        done = run.end()
    assert done.exit_code == 130
    assert "interrupted: what was finished is kept" in done.stderr
    assert "Traceback" not in done.stderr
    wait_until_gone(workers)
    assert statuses(tmp_path / "results/waiting") == {"map-inversion": "ok"}
    rows = table(tmp_path / "results/waiting")
    assert [(row["attack"], row["status"]) for row in rows] == [("map-inversion", "ok"), ("", "not run")]
    assert "1 not run yet" in (tmp_path / "results/waiting/report.md").read_text()


def test_killed_at_several_moments_and_started_again_the_table_is_that_of_an_uninterrupted_run(
    finished: FinishedRun, tmp_path: Path
) -> None:
    write_small(tmp_path)
    result = tmp_path / "results/small"
    kept: dict[str, int] = {}
    for moment in (lambda: (result / "plan.json").exists(), lambda: len(written(result)) >= 2):
        with running("run", "small.yaml", "--workers", 1, folder=tmp_path) as run:
            wait_until(moment, "the moment to kill")
            workers = run.workers()
            run.process.kill()
            run.process.wait()
            wait_until_gone(workers)
        assert kept.items() <= written(result).items()
        kept = written(result)
    assert not (result / "summary.csv").exists()
    last = invbench("run", "small.yaml", "--workers", 2, folder=tmp_path)
    assert last.exit_code == 0, last.stderr
    assert f"{len(kept)} kept from before" in last.stderr
    assert kept.items() <= written(result).items()
    assert table(result) == table(finished.result)
    assert outcomes(result) == outcomes(finished.result)


def test_killed_in_the_middle_of_a_cell_the_workers_die_and_the_folder_is_free(tmp_path: Path, site: Path) -> None:
    result = tmp_path / "results/waiting"
    with run_waiting(tmp_path, site) as run:
        until_waiting(run)
        workers, kept = run.workers(), written(result)
        run.process.kill()
        run.process.wait()
        wait_until_gone(workers)
    (tmp_path / "go").touch()
    again = invbench("run", "waiting.yaml", folder=tmp_path, PYTHONPATH=str(site))
    assert again.exit_code == 0, again.stderr
    assert statuses(result) == {"map-inversion": "ok", "waiting": "ok"}
    assert kept.items() <= written(result).items()


def test_a_run_begun_fresh_and_killed_stays_fresh_until_it_has_ended(tmp_path: Path, site: Path) -> None:
    result, words = tmp_path / "results/waiting", ("run", "waiting.yaml", "--workers", 1)
    write(tmp_path / "waiting.yaml", WAITING)
    (tmp_path / "go").touch()
    assert invbench(*words, folder=tmp_path, PYTHONPATH=str(site)).exit_code == 0
    before = written(result)
    (tmp_path / "go").unlink()
    (tmp_path / "go.begun").unlink()
    with running(*words, "--fresh", folder=tmp_path, PYTHONPATH=str(site)) as run:
        anew = wait_until(lambda: [id for id, when in written(result).items() if before.get(id) != when], "one anew")
        until_waiting(run)
        run.process.kill()
        run.process.wait()
    (tmp_path / "go").touch()
    again = invbench(*words, folder=tmp_path, PYTHONPATH=str(site))
    assert again.exit_code == 0, again.stderr
    assert "2 cells of game attribute: 1 to compute, 1 kept from before" in again.stderr
    after = written(result)
    assert len(anew) == 1
    assert all(after[id] != when for id, when in before.items())
    last = invbench(*words, folder=tmp_path, PYTHONPATH=str(site))
    assert "2 cells of game attribute: 0 to compute, 2 kept from before" in last.stderr


def test_a_run_whose_records_are_taken_away_meanwhile_says_so_and_ends_1(tmp_path: Path, site: Path) -> None:
    result = tmp_path / "results/waiting"
    with run_waiting(tmp_path, site) as run:
        until_waiting(run)
        [quick] = written(result)
        shutil.rmtree(result / "cells" / quick)
        (tmp_path / "go").touch()
        done = run.end()
    assert done.exit_code == 1
    assert "1 of 2 cells have no record any more" in done.stderr


def test_a_worker_killed_from_outside_costs_its_cell_one_more_beginning_and_a_second_run_is_refused(
    tmp_path: Path, site: Path
) -> None:
    result = tmp_path / "results/waiting"
    with run_waiting(tmp_path, site) as run:
        worker = until_waiting(run)
        before = {path: path.read_bytes() for path in result.rglob("*") if path.is_file()}
        second = invbench("run", "waiting.yaml", folder=tmp_path, PYTHONPATH=str(site))
        assert second.exit_code == 2
        assert f"another run is writing here: process {run.process.pid}" in second.stderr
        assert {path: path.read_bytes() for path in result.rglob("*") if path.is_file()} == before
        kept = written(result)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: until_waiting(run) != worker, "another worker is at the cell")
        (tmp_path / "go").touch()
        done = run.end()
    assert done.exit_code == 0
    assert statuses(result) == {"map-inversion": "ok", "waiting": "ok"}
    assert kept.items() <= written(result).items()
    (again,) = (line for line in done.stderr.splitlines() if line.startswith("again: "))
    assert re.match(r"again: waiting\(.*\) iwpc none: the worker was killed by SIGKILL", again)


def test_a_cell_that_loses_two_workers_has_failed_and_the_next_run_tries_again(tmp_path: Path, site: Path) -> None:
    result = tmp_path / "results/waiting"
    with run_waiting(tmp_path, site) as run:
        first = until_waiting(run)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: until_waiting(run) != first, "another worker is at the cell")
        os.kill(until_waiting(run), signal.SIGKILL)
        done = run.end()
    assert done.exit_code == 1
    assert statuses(result) == {"map-inversion": "ok", "waiting": "failed"}
    (reason,) = (record["reason"] for record in records(result).values() if record["status"] == "failed")
    assert reason.count("killed by SIGKILL") == 2
    (tmp_path / "go").touch()
    assert invbench("run", "waiting.yaml", folder=tmp_path, PYTHONPATH=str(site)).exit_code == 0


def test_a_cell_out_of_time_is_a_timeout_the_others_go_on_and_the_next_run_tries_again(
    tmp_path: Path, site: Path
) -> None:
    write(
        tmp_path / "waiting.yaml",
        WAITING.replace("[map-inversion, {name: waiting, go: go}]", "[{name: waiting, go: go}, map-inversion]"),
    )
    result, words = tmp_path / "results/waiting", ["run", "waiting.yaml", "--workers", 1]
    late = invbench(*words, "--set", "timeout=4", folder=tmp_path, PYTHONPATH=str(site))
    assert late.exit_code == 1
    assert statuses(result) == {"waiting": "timeout", "map-inversion": "ok"}
    (record,) = (record for record in records(result).values() if record["status"] == "timeout")
    assert record["reason"] == "took longer than 4 s"
    assert record["seconds"]["cell"] == pytest.approx(4, abs=2)
    (tmp_path / "go").touch()
    kept = {id: at for id, at in written(result).items() if id != record["id"]}
    assert invbench(*words, folder=tmp_path, PYTHONPATH=str(site)).exit_code == 0
    assert statuses(result) == {"waiting": "ok", "map-inversion": "ok"}
    assert kept.items() <= written(result).items()
