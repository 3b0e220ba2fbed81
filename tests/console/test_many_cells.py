"""What the terminal says of more cells than a person reads: groups and counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from exact_attack import EXACT
from made_memberships import membership_cell
from small_cells import make_cells

from invbench.console import plan, progress
from invbench.play.asking import with_unplayable
from invbench.play.forecasting import Forecast
from invbench.runs.run import Planned, Unplayable


def test_a_plan_of_hundreds_of_cells_is_one_line_an_attack_model_and_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "forecast", lambda cell, device: Forecast(2.0, 10.0))
    cells = make_cells(tmp_path, batch_size=[1, 2], seed=list(range(150)))
    plan.print_plan(cells, lambda cell: cell.seed < 10, "cpu", workers=1, threads=1)
    first, second, counts, *costs = capsys.readouterr().out.splitlines()
    group = f"{EXACT} mlp(width=8,depth=1)"
    assert first == f"{group} b1: 150 cells: 10 kept, 140 to compute (attack: at most 2.0 s, 10 MB)"
    assert second.startswith(f"{group} b2: 150 cells: 150 unsupported (needs batch_size 1, not 2")
    assert counts == "300 cells of game update: 10 kept, 140 to compute, 150 unsupported"
    assert costs[0].startswith("attacks: at most 4 min 40 s with 1 worker on cpu, 10 MB each;")
    assert max(map(len, costs)) <= 80


@pytest.mark.parametrize("seeds", [1, 250])
def test_a_forecast_above_the_time_limit_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seeds: int
) -> None:
    monkeypatch.setattr(plan, "forecast", lambda cell, device: Forecast(5.0 * cell.targets, None))
    for timeout, slow in ((10, False), (9, True)):
        cells = make_cells(tmp_path, seed=list(range(seeds)), timeout=timeout)
        plan.print_plan(cells, lambda cell: False, "cpu", workers=1, threads=1)
        said = capsys.readouterr()
        assert ("attack: at most 10 s; warning: its time limit is 9.0 s" in said.out) is slow
        assert said.err.startswith(f"warning: {seeds} cell") is slow


def test_memory_that_was_not_measured_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for memory in (None, 0.2):
        monkeypatch.setattr(plan, "forecast", lambda cell, device, memory=memory: Forecast(2.0, memory))
        plan.print_plan(make_cells(tmp_path), lambda cell: False, "cpu", workers=1, threads=1)
        assert "MB" not in capsys.readouterr().out


def test_what_an_attack_prepares_is_told_with_its_seconds_for_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    first = {"training 4 shadows of mlp(width=16,depth=1)": 90.0}
    monkeypatch.setattr(plan, "forecast", lambda cell, device: Forecast(2.0, None, first))
    cells = [membership_cell("lira", seed=seed) for seed in range(2)]
    plan.print_plan(cells, lambda cell: False, "cpu", workers=1, threads=1)
    told = capsys.readouterr().out
    assert told.count("first: training 4 shadows of mlp(width=16,depth=1): at most 1 min 30 s") == 2
    assert " on 80 pictures of digits" in " ".join(told.split()), "a victim, which was not timed"
    plan.print_plan([*cells, membership_cell("base")], lambda cell: False, "cpu", workers=1, threads=1)
    total = " ".join(capsys.readouterr().out.split())
    assert " 2 of them at most 3 min 00 s of one worker, " in total, "shadows that two attacks share are counted once"
    assert total.endswith(" without a forecast, such as trained victims")


def test_only_the_first_of_many_refused_cells_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = make_cells(tmp_path, batch_size=2, seed=list(range(50)))
    records = tuple(played.record for _, played in with_unplayable(cells) if played)
    with progress.progress_display(False, cells, 1) as listen:
        listen(Planned(50, 0))
        listen(Unplayable(records))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 + 20 + 1
    assert told[1].startswith("[ 1/50] ")
    assert told[-1] == "... and 30 cells more that cannot be played; the report says why"
