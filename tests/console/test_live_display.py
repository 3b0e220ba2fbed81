"""The live display, in a real pseudo-terminal of 80 columns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import bare, environment, table, write, write_small
from exact_attack import EXACT
from their_attacks import install

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MATRIX = """\
name: live
dataset: {name: npz, path: images.npz}
targets: 2
grid:
  attack: [EXACT, {name: inverting-gradients, iterations: 150}]
  model: [{name: mlp, width: 8}]
  batch_size: [1, 2]
  defense: [{name: gaussian, std: 0.0001}]
""".replace("EXACT", EXACT)


DYING = '''
"""Takes its first worker with it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from invbench.core import progress
from invbench.registry import attack, parameter


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class Dying:
    """Leaves a mark, then kills its process, once."""

    mark: Path = parameter(help="the mark")

    def __call__(self, seen):
        progress.report("dying", 1, 5)
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return seen.nothing("lived")
'''


def on_a_terminal(*words: str, folder: Path, **more: str) -> tuple[int, str]:
    """Exit code of `invbench WORDS` and everything that the terminal was sent."""
    import fcntl
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "invbench", *words],
        **{"stdin": end, "stdout": end, "stderr": end},
        cwd=folder,
        env=environment(folder, TERM="xterm-256color", **more),
        start_new_session=True,
    )
    os.close(end)
    sent = b""
    while True:
        try:
            got = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not got:
            break
        sent += got
    os.close(terminal)
    return process.wait(), sent.decode()


def test_a_terminal_shows_what_goes_on_and_keeps_one_line_a_cell(tmp_path: Path) -> None:
    write_small(tmp_path)
    write(tmp_path / "live.yaml", MATRIX)
    exit_code, sent = on_a_terminal("run", "live.yaml", "--workers", "2", folder=tmp_path)
    assert exit_code == 0
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", ESCAPES.sub("", sent)) if line.strip()]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("4 cells of game update: 4 to compute, 0 kept from before") for line in lines)

    working = [
        re.fullmatch(r"  inverting-gradients mlp b[12] gaussian +(\d+)/(\d+) at [\d.e-]+", line) for line in lines
    ]
    evaluations = {(int(found[1]), int(found[2])) for found in working if found}
    assert evaluations
    assert {total for _, total in evaluations} == {2 * 150}
    assert any(re.match(r"cells .* \d/4 about \d+(\.\d)? s left$", line) for line in lines)

    ended = [line for line in lines if re.match(r"\[\d/4\] ", line)]
    assert [line[:5] for line in ended] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    told = " ".join(lines)
    for row in table(tmp_path / "results/live"):
        outcome = f"psnr {float(row['psnr_mean']):.2f} dB" if row["status"] == "ok" else f"unsupported: {row['reason']}"
        name = f"{bare(row['attack'])} mlp b{row['batch_size']} gaussian"
        assert f"] {name}  {outcome}" in told
    assert lines[-4:] == [
        *("3 ok, 1 unsupported", "report:   results/live/report.md", "table:    results/live/summary.csv"),
        "pictures: results/live/cells/*/grid.png",
    ]
    assert sent.count("\x1b[?25l") == sent.count("\x1b[?25h") == 1, "the cursor is hidden, and comes back"


def test_a_terminal_says_which_cell_is_begun_anew_and_why(tmp_path: Path) -> None:
    site = install(tmp_path / "site", {"dying": DYING})
    grid = "grid: {attack: [{name: dying, mark: m}], model: iwpc}"
    write(tmp_path / "m.yaml", f"dataset: {{name: warfarin, sensitive: vkorc1}}\ntargets: 5\n{grid}\n")
    code, sent = on_a_terminal("run", "m.yaml", folder=tmp_path, PYTHONPATH=str(site))
    assert code == 0
    lines = [line.strip() for line in ESCAPES.sub("", sent).splitlines()]
    (again,) = (
        k for k, line in enumerate(lines) if line.startswith("again: dying(mark=m) iwpc none: the worker was killed")
    )
    (done,) = (k for k, line in enumerate(lines) if line.startswith("[1/1] dying(mark=m) iwpc"))
    assert again < done
