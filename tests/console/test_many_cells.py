"""What the terminal says of more cells than a person reads: groups and counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from exact_attack import EXACT
from small_cells import make_cells

from invbench.console import plan, progress
from invbench.play.asking import with_unplayable
from invbench.play.forecasting import Forecast
from invbench.runs.run import Planned, Unplayable


def test_a_plan_of_hundreds_of_cells_is_told_by_attack_model_and_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "forecast", lambda cell, device: Forecast(2.0, 10.0))
    cells = make_cells(tmp_path, batch_size=[1, 2], seed=list(range(150)))
    plan.print_plan(cells, lambda cell: cell.seed < 10, "cpu", workers=1, threads=1)
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        f"{EXACT} mlp(width=8,depth=1) b1: 150 cells",
        "  140  attack: at most 2.0 s, 10 MB",
        "  10  done before, kept",
    ]
    assert told[3] == f"{EXACT} mlp(width=8,depth=1) b2: 150 cells"
    assert told[4].startswith("  150  unsupported: needs batch_size 1")
    assert told[5] == "300 cells: 10 kept, 140 to compute, 150 unsupported"


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
