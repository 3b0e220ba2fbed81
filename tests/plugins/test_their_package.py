"""A package of somebody else through the real command line: run, resume, report, check, compare, show, list."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from command_line import Finished, edit_scores, invbench, outcomes, records, table
from installed import PARTS, SOURCE, entry, install

ROOT = Path(__file__).resolve().parents[2]
MATRIX = """\
name: theirs
dataset: few-digits
targets: 2
controls: [grey, unseen]
grid:
  attack: [confidence, random-search]
  model: [{name: tiny, trained: true}]
  batch_size: [2]
  defense: [none, smooth-network, smoothed-labels, input-noise, equal-examples, short-floats, round-answers]
include:
  - {attack: shadows, model: {name: tiny, trained: true}, defense: none}
  - {attack: {name: shadows, over: most}, model: {name: tiny, trained: true}, defense: none}
  - {attack: twin, model: {name: tiny, trained: true}, defense: none}
  - {attack: random-search, model: tiny, batch_size: 2, defense: median-client, protocol: {name: fedsgd, clients: 3}}
  - {attack: random-search, model: tiny, batch_size: 2, defense: none, protocol: half-batch}
  - {attack: analytic, model: tiny, batch_size: 1, defense: none}
"""
"""Every part of the package. 20 cells: a membership game has no stage for three of the defences, an update for one."""
TWIN = {"attacks/twin": (SOURCE / "attacks" / "shadows.py").read_text().replace("class Shadows", "class Twin")}
"""A second attack that prepares the same shadows."""
SLOW = '''
"""A training that does not come to its end."""

import time
from dataclasses import dataclass

from invbench.defenses import Defense
from invbench.registry import defense


@defense
@dataclass(frozen=True, kw_only=True)
class Slow(Defense):
    """Sleeps."""

    def training(self, training, context):
        time.sleep(600)
        return training
'''
TIMED = """\
name: timed
dataset: few-digits
targets: 1
timeout: 10
grid: {attack: [confidence, shadows], model: [{name: tiny, trained: true}], defense: [slow]}
include:
  - {attack: map-inversion, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}}
"""
"""The cell of another game takes milliseconds, however busy the machine."""


def theirs(folder: Path, *words: object) -> Finished:
    """`invbench WORDS` in a folder that holds the installed package in `site`."""
    path = os.pathsep.join([str(ROOT), str(folder / "site")])
    return invbench(*words, folder=folder, PYTHONPATH=path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A folder with the package, and the matrix run in it by two workers."""
    folder = tmp_path_factory.mktemp("theirs")
    install(folder / "site", more=TWIN)
    (folder / "m.yaml").write_text(MATRIX)
    return folder, theirs(folder, "run", "m.yaml", "--workers", 2)


@pytest.fixture
def folder(run: tuple[Path, Finished], tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    return shutil.copytree(run[0], tmp_path / "copy")


def made(done: Finished) -> Counter[str]:
    """What was made before cells, and how often."""
    lines = done.stderr.splitlines()
    return Counter(line.removeprefix("made: ") for line in lines if line.startswith("made: "))


def ids(result: Path, attack: str) -> list[str]:
    return [id for id, record in records(result).items() if record["names"]["attack"] == attack]


def test_every_cell_ends_ok_but_those_whose_game_has_no_stage_for_the_defence(run: tuple[Path, Finished]) -> None:
    folder, done = run
    assert done.exit_code == 0, done.stderr
    found = records(folder / "results" / "theirs").values()
    refused = {(r["names"]["attack"], r["names"]["defense"]) for r in found if r["status"] == "unsupported"}
    no_round = {("confidence", name) for name in ("input-noise", "equal-examples", "short-floats")}
    assert refused == no_round | {("random-search", "round-answers")}
    assert Counter(r["status"] for r in found) == {"ok": 16, "unsupported": 4}


def test_what_attacks_share_is_made_once_before_them_after_what_it_needs(run: tuple[Path, Finished]) -> None:
    folder, done = run
    found = made(done)
    assert found["training 2 shadows"] == found["halves of the reference for 2 shadows"] == 1
    assert found["shadows on unseen, tiny(trained=true)"] == found["twin on unseen, tiny(trained=true)"] == 1
    lines = done.stderr.splitlines()
    first_cell = next(k for k, line in enumerate(lines) if "] shadows" in line)
    order = [lines.index(f"made: {what}") for what in ("halves of the reference for 2 shadows", "training 2 shadows")]
    assert order == sorted(order)
    assert order[-1] < first_cell
    result = folder / "results" / "theirs"
    scores = [records(result)[ids(result, name)[0]]["scores"] for name in ("shadows", "twin")]
    assert scores[0] == scores[1], "the same attack under another name"


def test_the_game_measures_a_leak_and_its_controls_measure_none(run: tuple[Path, Finished]) -> None:
    with (run[0] / "results" / "theirs" / "summary.csv").open(newline="") as file:
        rows = {(row["attack"], row["defense"], row["protocol"]): row for row in csv.DictReader(file)}
    plain = rows["confidence", "none", "access"]
    assert float(plain["auc_mean"]) > 0.8 > float(plain["control_auc_mean"])
    assert float(plain["auc_ci_low"]) > 0.5
    assert plain["images"] == "40", "candidates of two victims"
    assert plain["batch_size"] == ""
    assert float(rows["random-search", "none", "half-batch"]["mse_mean"]) > 0
    [record] = [r for r in records(run[0] / "results" / "theirs").values() if r["names"]["attack"] == "twin"]
    assert set(record["controls"]) == {"label", "unseen"}


def test_a_lost_record_is_computed_again_alone_and_to_the_same_digits(folder: Path) -> None:
    result = folder / "results" / "theirs"
    before, rows = outcomes(result), table(result)
    [lost] = ids(result, "shadows")
    shutil.rmtree(result / "cells" / lost)
    done = theirs(folder, "run", "m.yaml", "--workers", 1)
    assert done.exit_code == 0, done.stderr
    assert "1 to compute, 19 kept from before" in done.stderr
    assert not made(done), "all that it needs was there"
    assert (outcomes(result), table(result)) == (before, rows)


def test_a_report_shows_the_game_by_its_sheet_and_the_metric_beside_ours(run: tuple[Path, Finished]) -> None:
    done = theirs(run[0], "report", "results/theirs")
    assert (done.exit_code, done.stderr) == (0, "")
    for words in ("AUC ↑", "tpr at fpr 0.1 ↑", "MSE ↓", "PSNR", "Half of the candidates are members."):
        assert words in done.stdout
    assert "over candidates" in " ".join(done.stdout.split())


def test_check_is_quiet_about_the_same_result_and_finds_one_regression(folder: Path) -> None:
    theirs(folder, "baseline", "results/theirs", "-o", "b.json")
    quiet = theirs(folder, "check", "results/theirs", "--baseline", "b.json", "--json")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert {verdict["outcome"] for verdict in json.loads(quiet.stdout)["verdicts"]} <= {"same", "unsupported"}
    id = edit_scores(folder / "results" / "theirs", "twin", lambda metric, v: 0.0 if metric == "score" else v)
    found = theirs(folder, "check", "results/theirs", "--baseline", "b.json", "--json")
    assert found.exit_code == 1
    worse = [v for v in json.loads(found.stdout)["verdicts"] if v["outcome"] == "regressed"]
    assert {v["cell"] for v in worse} == {id}
    assert "auc" in {v["metric"] for v in worse}


def test_compare_show_and_list_know_every_part(run: tuple[Path, Finished]) -> None:
    folder, _ = run
    compared = theirs(folder, "compare", "results/theirs", "results/theirs", "--markdown")
    assert (compared.exit_code, "AUC ↑" in compared.stdout) == (0, True)
    [cell] = ids(folder / "results" / "theirs", "shadows")
    shown = theirs(folder, "show", "results/theirs", cell)
    assert (shown.exit_code, "AUC ↑" in shown.stdout, "unseen" in shown.stdout) == (0, True, True)
    listed = theirs(folder, "list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    names = {entry(part).partition(".")[2] for part in PARTS}
    assert {name for name in names if name not in listed.stdout} == set()
    assert {name for name in ("auc", "tpr_at_fpr_0.1") if name not in listed.stdout} == set()


def test_list_tells_what_a_part_is(run: tuple[Path, Finished]) -> None:
    done = theirs(run[0], "list", "games", "presence")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "who was in the training set of a model that answers queries" in " ".join(done.stdout.split())


def test_a_dry_run_says_what_is_made_first_instead_of_a_forecast(tmp_path: Path) -> None:
    install(tmp_path / "site", more=TWIN)
    (tmp_path / "m.yaml").write_text(MATRIX)
    done = theirs(tmp_path, "run", "m.yaml", "--dry-run", "--only", "attack=shadows")
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())  # lines are folded
    assert "shadows first makes what it prepares, which has not been timed" in said
    assert "first: training 2 shadows" in said
    assert "without a forecast" in said
    assert not list((tmp_path / "cache").glob("*.safetensors")), "nothing is made for it"


def test_a_training_that_takes_too_long_ends_as_timeout_and_so_do_the_cells_that_need_it(tmp_path: Path) -> None:
    install(tmp_path / "site", more={"defenses/slow": SLOW})
    (tmp_path / "m.yaml").write_text(TIMED)
    done = theirs(tmp_path, "run", "m.yaml", "--workers", 2)
    assert done.exit_code == 1
    found = records(tmp_path / "results" / "timed").values()
    ended = {(r["names"]["attack"], r["names"]["defense"]): (r["status"], r["reason"]) for r in found}
    why = "what it needs was not made: took longer than 10 s"
    assert ended == {
        ("confidence", "slow"): ("timeout", why),
        ("shadows", "slow"): ("timeout", why),
        ("map-inversion", "none"): ("ok", None),
    }
    assert "training tiny(trained=true) on 10 pictures of few-digits" in done.stderr
