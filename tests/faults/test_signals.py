"""Signals at any moment of a run: what is finished stays as it is, nobody is left behind, and the table is the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from command_line import (
    FinishedRun,
    alive,
    heed_interrupts,
    invbench,
    outcomes,
    running,
    table,
    wait_until,
    write_small,
    written,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

INTERRUPTED = (0, 130, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes of a run that was faster, of one that ended in order, and of one that its second signal met on leaving."""
KINDS = ("interrupt", "two interrupts", "end", "two ends", "kill")
"""How a run is ended."""
LONGEST = 9.0  # seconds: a whole run takes about so long


def send(kind: str, pid: int, draws: random.Random) -> None:
    """The keyboard interrupts the whole process group; the system ends the parent alone."""
    if kind == "kill":
        os.kill(pid, signal.SIGKILL)
        return
    for _ in range(2 if kind.startswith("two") else 1):
        os.killpg(pid, signal.SIGINT) if "interrupt" in kind else os.kill(pid, signal.SIGTERM)
        time.sleep(0.3 * draws.random())


def signalled(folder: Path, kind: str, draws: random.Random) -> None:
    """A run, or the next part of one, that gets a signal of this kind at a moment drawn."""
    result = folder / "results/small"
    before = written(result)
    with running("run", "small.yaml", "--workers", draws.choice([1, 2]), folder=folder) as run:
        time.sleep(LONGEST * draws.random())
        workers, over = run.workers(), run.process.poll() is not None
        if not over:
            send(kind, run.process.pid, draws)
        done = run.end()
    moment = f"{kind}, {len(before)} cells before"
    assert done.exit_code in ((0, -signal.SIGKILL) if kind == "kill" else INTERRUPTED), f"{moment}: {done}"
    if "in main" in done.stderr:  # what comes while Python still loads the command is Python's to report
        assert "Traceback" not in done.stderr, f"{moment}: {done.stderr}"
    wait_until(lambda: not any(map(alive, workers)), f"{moment}: nobody is left", patience=30)
    assert before.items() <= written(result).items(), f"{moment}: a finished cell was lost or written again"


def signals(folder: Path, count: int, seed: int, finished: FinishedRun) -> None:
    draws = random.Random(seed)
    kinds = draws.sample(KINDS, len(KINDS))
    write_small(folder)
    result = folder / "results/small"
    for number in range(count):
        if len(written(result)) == len(written(finished.result)):
            shutil.rmtree(result)
        signalled(folder, kinds[number % len(kinds)], draws)
    last = invbench("run", "small.yaml", "--workers", 2, folder=folder)
    assert last.exit_code == 0, last.stderr
    assert table(result) == table(finished.result)
    assert outcomes(result) == outcomes(finished.result)


def test_signals_at_some_moments_lose_nothing_and_the_table_is_that_of_a_run_without_them(
    tmp_path: Path, finished: FinishedRun
) -> None:
    signals(tmp_path, 3, 0, finished)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sixty_signals_lose_nothing_and_the_table_is_that_of_a_run_without_them(
    seed: int, tmp_path: Path, finished: FinishedRun
) -> None:
    signals(tmp_path, 20, seed, finished)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("door", ["module", "script"])
def test_a_signal_while_the_command_is_still_being_loaded_ends_it_with_a_word(
    tmp_path: Path, door: str, number: signal.Signals
) -> None:
    """`click` is the first that is heavy; this one takes as long as it needs to be interrupted."""
    loading = tmp_path / "loading"
    (tmp_path / "click.py").write_text(f"import time\nopen({str(loading)!r}, 'w').close()\ntime.sleep(60)\n")
    root = Path(__file__).resolve().parents[2]
    script = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]["invbench"].split(":")
    words = ["-m", "invbench"] if door == "module" else ["-c", "from {} import {} as main; main()".format(*script)]
    path = os.pathsep.join(map(str, [tmp_path, root]))
    process = subprocess.Popen(
        [sys.executable, *words, "list"],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    wait_until(loading.exists, "click is being loaded", patience=30)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, b"interrupted\n")
