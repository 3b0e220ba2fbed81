"""`invbench init`, `list`, `doctor` and `--help`: what a newcomer types first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from command_line import environment, invbench
from small_cells import plugged

from invbench import cli, registry
from invbench.guide import catalogue
from invbench.sheets import columns

PARTS = [(kind, name) for kind, part in catalogue.KIND_OF.items() for name in registry.names(part)]
COMMANDS = ("init", "run", "merge", "report", "baseline", "check", "compare", "show", "list", "doctor")

IMPORTED = """\
import sys
before = set(sys.modules)
from invbench.__main__ import main
sys.argv = ["invbench", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def here(*words: str) -> Result:
    """The command in this process, on a terminal of 80 columns: importing torch once is enough."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(cli.invbench, words)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_but_click(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout
    assert widest(done.stdout) <= 80
    imported = done.stderr.split()
    assert "invbench.cli" in imported
    outside = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert outside == {"click", "invbench"}
    assert {name for name in imported if name.startswith("invbench")} == {
        "invbench",
        "invbench.__main__",
        "invbench.cli",
        "invbench.console",
        "invbench.console.at_once",
        "invbench.console.leaving",
        "invbench.console.refusing",
        "invbench.console.saying",
        "invbench.console.streams",
        "invbench.core",
        "invbench.core.errors",
        "invbench.core.printing",
    }


def test_completion_imports_nothing_heavy(tmp_path: Path) -> None:
    """As a shell asks for the options of `run` that begin with `--f`."""
    asked = {"_INVBENCH_COMPLETE": "bash_complete", "COMP_WORDS": "invbench run --f", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=os.environ | asked,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "plain,--fresh\n"
    assert {name.partition(".")[0] for name in done.stderr.split()} - sys.stdlib_module_names == {"click", "invbench"}


def test_init_writes_a_matrix_that_runs_and_overwrites_nothing(tmp_path: Path) -> None:
    done = invbench("init", folder=tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "invbench run matrix.yaml" in done.stdout
    text = (tmp_path / "matrix.yaml").read_text()
    again = invbench("init", folder=tmp_path)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == "matrix.yaml is there already; it is left as it is\n"
    assert (tmp_path / "matrix.yaml").read_text() == text
    nowhere = invbench("init", "no/such/folder/m.yaml", folder=tmp_path)
    assert (nowhere.exit_code, nowhere.stderr) == (
        2,
        "no/such/folder/m.yaml cannot be written: No such file or directory\n",
    )
    plan = invbench("run", "matrix.yaml", "--dry-run", folder=tmp_path)
    assert plan.exit_code == 0, plan.stderr
    assert plan.stderr == ""
    assert "unsupported" not in plan.stdout


def test_list_names_every_part_of_every_kind() -> None:
    words = here("list").stdout.replace(",", "").split()
    assert {name for _, name in PARTS} | set(columns()) | set(cli.KINDS) <= set(words)


@pytest.mark.parametrize("kind", cli.KINDS)
def test_each_kind_is_listed_within_80_columns_with_what_each_part_is(kind: str) -> None:
    done = here("list", kind)
    assert done.exit_code == 0
    assert widest(done.stdout) <= 80
    text = " ".join(done.stdout.split())
    for name, summary in catalogue.summaries(kind):
        assert summary
        assert f"{name} {summary}"[:40] in text


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_each_part_is_shown_within_80_columns_with_every_setting(kind: str, name: str) -> None:
    done = here("list", kind, name)
    assert done.exit_code == 0
    assert widest(done.stdout) <= 80
    part = registry.load(catalogue.KIND_OF[kind], name)
    assert done.stdout.startswith(f"{name} ") or done.stdout.startswith(f"{name}\n")
    assert part.summary.split()[0] in done.stdout
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert set(part.parameters) <= set(shown)


@pytest.mark.parametrize("name", columns())
def test_each_metric_is_shown_with_its_direction_and_tolerance(name: str) -> None:
    done = here("list", "metrics", name)
    assert done.exit_code == 0
    meaning = "a stronger attack" if columns()[name].role == "leak" else "better"
    assert f"{columns()[name].better} is {meaning}; tolerance {columns()[name].tolerance:g}" in done.stdout


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_each_schema_is_valid_and_refuses_what_it_does_not_know(kind: str, name: str) -> None:
    schema = json.loads(here("list", kind, name, "--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not validator.is_valid({"name": name, "no such key": 1})
    assert not validator.is_valid({})


def test_the_schema_of_dlg_accepts_what_a_matrix_accepts() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(here("list", "attacks", "dlg", "--schema").stdout))
    accepted = [{"name": "dlg"}, {"name": "dlg", "iterations": 5, "tv": 0.001, "labels": "idlg"}]
    refused = [
        *({"name": "idlg"}, {"name": "dlg", "iteratons": 5}, {"name": "dlg", "iterations": 0}),
        *({"name": "dlg", "iterations": "5"}, {"name": "dlg", "labels": "known"}, {"name": "dlg", "lr": 0}),
    ]
    assert all(map(validator.is_valid, accepted))
    assert not any(map(validator.is_valid, refused))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attacks", "dgl"], "no attack is called 'dgl'; nearest: 'dlg'"),
        (["defenses", "gausian"], "no defense is called 'gausian'; nearest: 'gaussian'"),
        (["datasets", "cifar-10"], "no dataset is called 'cifar-10'; nearest: 'cifar10'"),
        (["metrics", "pnsr"], "no metric is called 'pnsr'; nearest: 'psnr'"),
        (["models", "lennet", "--schema"], "no model is called 'lennet'; nearest: 'lenet'"),
        (["games", "xyzzy"], "no game is called 'xyzzy'"),
        (["atacks"], "'atacks' is not one of 'attacks', 'models'"),
        (["--schema"], "--schema needs a KIND and a NAME"),
        (["attacks", "--schema"], "--schema needs a KIND and a NAME"),
        (["metrics", "psnr", "--schema"], "a metric has no settings, so it has no schema"),
    ],
)
def test_what_cannot_be_listed_is_refused_with_the_nearest_name(words: list[str], message: str) -> None:
    done = here("list", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_doctor_finds_what_works_here(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invbench", "doctor"],
        env=environment(tmp_path, COLUMNS="80"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert widest(done.stdout) <= 80
    lines = {line[:18].strip(): line[18:].split() for line in done.stdout.splitlines()}
    for what in ("torch", "processor", "LPIPS weights", "cache folder", "data set natural", "data set digits"):
        assert lines[what][0] == "ok"
    assert lines["GPU"] == ["-", "none:", "cells", "run", "on", "the", "CPU"]


def test_the_singular_of_a_kind_is_as_good() -> None:
    assert here("list", "attack").stdout == here("list", "attacks").stdout
    wrong = here("list", "atack")
    assert wrong.exit_code == 2


def test_a_file_that_cannot_be_loaded_is_named_with_its_line_and_the_others_are_listed(tmp_path: Path) -> None:
    with plugged(tmp_path, {"attacks.torn": "x = 1\ndef half(:\n"}):
        done = here("list", "attacks")
        assert done.exit_code == 0
        words = "".join(done.stdout.split())  # as folded for 80 columns
        assert "BROKEN:attacktorn:" in words
        assert "their_attacks_torn.py:2:SyntaxError" in words
        assert "dlg" in words
        alone = here("list", "attacks", "torn")
        assert alone.exit_code == 2
        assert "their_attacks_torn.py:2: SyntaxError" in " ".join(alone.output.split())
