"""A metric of another package through the real command line: installed, in every table; taken away, its own loss."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from command_line import invbench
from small_cells import write_pool
from their_attacks import install

ROOT = Path(__file__).resolve().parents[2]
MATRIX = """\
name: theirs
dataset: {name: npz, path: images.npz}
targets: 3
controls: [grey]
grid: {attack: [analytic], model: [{name: mlp, width: 8}], batch_size: [1], defense: [none]}
"""
MAE = '''
"""Mean absolute error of a picture."""

import numpy as np

from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def mae(pictures, originals):
    return np.abs(pictures - originals).mean(axis=(1, 2, 3))


METRIC = Metric(
    column=Column("mae", "mean absolute error", better="lower", title="MAE"),
    games=("update",),
    inputs=("pictures", "originals"),
    values=mae,
)
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the metric installed, and a baseline of it."""
    made = tmp_path_factory.mktemp("theirs")
    write_pool(made / "images.npz")
    (made / "m.yaml").write_text(MATRIX)
    install(made / "site", {"metrics.mae": MAE})
    done = invbench("run", "m.yaml", "--workers", 1, folder=made, **theirs(made))
    assert done.exit_code == 0, done.stderr
    done = invbench("baseline", "results/theirs", "-o", "b.json", folder=made, **theirs(made))
    assert done.exit_code == 0, done.stderr
    return made


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


def theirs(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "site")])}


OURS = {"PYTHONPATH": str(ROOT)}


def row(folder: Path) -> dict[str, str]:
    [only] = csv.DictReader((folder / "results" / "theirs" / "summary.csv").read_text().splitlines())
    return only


def test_an_installed_metric_is_in_scores_tables_gate_and_list(folder: Path) -> None:
    installed, found = theirs(folder), row(folder)
    assert float(found["mae_mean"]) < 0.01 < float(found["control_mae_mean"])
    names = list(found)
    assert names.index("exact_ci_high") < names.index("mae_mean") < names.index("control_psnr_mean")
    [record] = [json.loads(f.read_text()) for f in (folder / "results" / "theirs" / "cells").glob("*/record.json")]
    assert len(record["scores"]["mae"]) == 3
    assert "MAE ↓" in (folder / "results" / "theirs" / "report.md").read_text()
    said = {
        words: invbench(*words.split(), folder=folder, **installed)
        for words in (
            "check results/theirs --baseline b.json --json",
            "compare results/theirs results/theirs --markdown",
            f"show results/theirs {record['id']}",
            "list metrics",
            "list metrics mae",
        )
    }
    assert all(done.exit_code == 0 and not done.stderr for done in said.values()), said
    verdicts = json.loads(said["check results/theirs --baseline b.json --json"].stdout)["verdicts"]
    assert verdicts[-1]["metric"] == "mae"
    assert "MAE ↓" in said["compare results/theirs results/theirs --markdown"].stdout
    assert "MAE ↓" in said[f"show results/theirs {record['id']}"].stdout
    assert "mean absolute error; lower is a stronger attack" in said["list metrics"].stdout
    assert "mean absolute error." in said["list metrics mae"].stdout


def test_taken_away_it_costs_its_own_column_and_no_cell_its_id(folder: Path) -> None:
    with_it = row(folder)
    done = invbench("run", "m.yaml", "--workers", 1, folder=folder, **OURS)
    assert (done.exit_code, "1 kept from before" in done.stderr) == (0, True), "a metric is no part of a cell's id"
    assert row(folder)["psnr_mean"] == with_it["psnr_mean"]
    assert row(folder)["mae_mean"] == with_it["mae_mean"], "what is stored is shown"
    assert invbench("check", "results/theirs", "--baseline", "b.json", folder=folder, **OURS).exit_code == 0
    done = invbench("run", "m.yaml", "--workers", 1, "--fresh", folder=folder, **OURS)
    assert done.exit_code == 0
    assert "mae_mean" not in row(folder)
    checked = invbench("check", "results/theirs", "--baseline", "b.json", folder=folder, **OURS)
    assert checked.exit_code == 1
    assert "no metric is called 'mae' here" in " ".join(checked.stdout.split())
    assert "psnr" not in checked.stdout
    again = invbench("report", "results/theirs", folder=folder, **theirs(folder))
    assert again.exit_code == 0
    assert "MAE ↓" not in again.stdout, "no record has a value of it, so its column is left out"


def test_a_metric_whose_module_is_gone_costs_a_warning(folder: Path) -> None:
    (folder / "site" / "metrics_mae.py").unlink()
    done = invbench("report", "results/theirs", folder=folder, **theirs(folder))
    assert done.exit_code == 0
    assert "PSNR" in done.stdout
    assert "metric mae is left out" in done.stderr
