"""Whatever the words, the environment and the working folder are, a command ends with words and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import environment, write
from made_results import made_results, update_record

from invbench import cli
from invbench.console.terminal import Terminal

DIGITS = "9" * 5000
MATRIX = (
    "name: m\ndataset: digits\ntargets: 1\ngrid: {attack: [dlg], model: [lenet], batch_size: [1], defense: [none]}\n"
)


@pytest.mark.parametrize(
    "words",
    [
        ["--device", f"cuda:{DIGITS}"],
        ["--shard", f"1/{DIGITS}"],
        ["--shard", f"{DIGITS}/2"],
        ["--workers", DIGITS],
        ["--set", f"targets={DIGITS}"],
        ["--set", f"grid.attack.{DIGITS}=dlg"],
        ["--only", f"batch_size={DIGITS}"],
    ],
)
def test_thousands_of_digits_are_refused_wherever_a_number_is_read(tmp_path: Path, words: list[str]) -> None:
    matrix = write(tmp_path / "m.yaml", MATRIX)
    done = CliRunner().invoke(cli.invbench, ["run", str(matrix), "--dry-run", *words])
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output[:300]


@pytest.mark.parametrize("columns", ["²", DIGITS, "٣", "0", "-5", "1e3", "", "99999999"])
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_size_of_the_terminal_that_is_none_is_not_heeded(
    monkeypatch: pytest.MonkeyPatch, name: str, columns: str
) -> None:
    monkeypatch.setenv(name, columns)
    size = Terminal().size
    assert 0 < (size.width if name == "COLUMNS" else size.height) < 10_000
    done = CliRunner(env={name: columns}).invoke(cli.invbench, ["list"])
    assert (done.exit_code, done.exception) == (0, None)


@pytest.mark.parametrize("words", [["report", "DIR"], ["report", "DIR", "-o", "page.md"], ["list"], ["show", "DIR"]])
def test_a_working_folder_that_was_deleted_is_a_refusal(tmp_path: Path, words: list[str]) -> None:
    result, gone = made_results(tmp_path / "r", [update_record()]).path, tmp_path / "gone"
    gone.mkdir()
    command = "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); os.execv(sys.executable, sys.argv[2:])"
    own = [sys.executable, "-m", "invbench", *(str(result) if word == "DIR" else word for word in words)]
    root = str(Path(cli.__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", command, gone, *own],
        env=environment(tmp_path) | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: the working folder cannot be used: No such file or directory; go to one that is there\n"
    ) or done.stderr.startswith("the working folder cannot be used: No such file or directory; go to one")
