"""Settings of differential privacy that mean nothing are refused, each with its place.

Refusals of a matrix end the command line with exit code 2 (`tests/cli/test_cli_run.py`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from invbench import matrix
from invbench.defenses.clip import Clip
from invbench.matrix import MatrixErrors

WRONG = """\
dataset: digits
grid:
  attack: [dlg]
  model: [lenet]
  batch_size: [4]
  defense:
    - [{name: clip, norm: 0}, {name: gaussian, std: 1}]
    - [{name: clip, norm: 1, p: l3}, {name: laplace, std: -1}]
    - {name: dp-sgd, epsilon: 0, rounds: 1}
    - {name: dp-sgd, epsilon: 1, delta: 0, rounds: 1}
    - {name: dp-sgd, epsilon: 1, delta: 1, rounds: 1}
    - {name: dp-sgd, clip: -2, noise: -1, rounds: 0}
    - {name: dp-sgd, epsilon: 0.05, rounds: 1000, population: 400}
    - {name: dp-sgd, epsilon: .nan}
    - {name: dp-sgd, noise: 1, epsilon: 1}
    - {name: dp-sgd, noise: 1, population: 400}
    - {name: dp-sgd, epsilon: 0.05}
    - {name: dp-sgd, noise: 1, round: 3}
"""


HUGE = (
    "gaussian, std",
    "laplace, std",
    "dp-sgd, clip",
    "dp-sgd, noise",
    "homomorphic, flooding",
    "secure-aggregation, clip",
)


def test_numbers_whose_squares_no_float_holds_are_refused(tmp_path: Path) -> None:
    """Rather than cells that fail with an overflow."""
    stacks = "\n".join(f"    - {{name: {which}: 1.0e+300}}" for which in HUGE)
    (tmp_path / "huge.yaml").write_text(WRONG.partition("    - ")[0] + stacks)
    with pytest.raises(MatrixErrors) as caught:
        matrix.load(tmp_path / "huge.yaml", [])
    said = str(caught.value).splitlines()
    assert len(said) == len(HUGE)
    assert all("at most 1e+15, not 1e+300" in line for line in said), said


def test_every_mistake_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    with pytest.raises(MatrixErrors) as caught:
        matrix.load(tmp_path / "wrong.yaml", [])
    lines = str(caught.value).splitlines()
    said = [re.search(r"wrong\.yaml:(\d+:\d+): (.*)", line) for line in lines]
    found = {place.group(1): place.group(2) for place in said if place is not None}
    assert len(found) == len(lines), lines
    wanted = {
        "7:27": "norm must be above 0",
        "8:33": "p must be l2 or l1",
        "8:59": "std must be at least 0",
        "9:31": "epsilon must be above 0",
        "10:41": "delta must be above 0, below 1",
        "11:41": "delta must be above 0, below 1",
        "12:28": "clip must be above 0",
        "12:39": "noise must be at least 0",
        "12:51": "rounds must be at least 1",
        "13:14": "epsilon 0.05 is out of reach at delta 1e-05: rdp says 0.103 or more of any noise",
        "14:31": "a number must be finite",
        "15:14": "give noise, or epsilon",
        "16:14": "give their rounds, too",
        "17:14": "epsilon 0.05 is out of reach",
        "18:32": "dp-sgd has no 'round'; nearest: 'rounds'",
    }
    assert found.keys() == wanted.keys(), lines
    for place, words in wanted.items():
        assert words in found[place], (place, found[place])


LOST = """\
dataset: digits
grid:
  attack: [dlg]
  model: [{name: lenet, trained: true}]
  defense:
    - [{name: dp-sgd, noise: 1}, early-stopping, {name: dp-sgd, noise: 4}]
    - [{name: dp-sgd, noise: 1, rounds: 1}, {name: dp-sgd, noise: 4, rounds: 1}]
    - [{name: dp-sgd, noise: 1}, {name: dp-sgd, noise: 4, rounds: 1}]
    - [precode, {name: precode, size: 16}]
    - [label-smoothing, label-smoothing]
"""


def test_a_defence_whose_effect_another_would_replace_is_refused_at_its_place(tmp_path: Path) -> None:
    """Those that add up (two label smoothings), and those of different things (training, updates), stay."""
    (tmp_path / "lost.yaml").write_text(LOST)
    with pytest.raises(MatrixErrors) as caught:
        matrix.load(tmp_path / "lost.yaml", [])
    lines = str(caught.value).splitlines()
    wanted = {
        "6:50": "dp-sgd cannot stand in this stack: another dp-sgd makes the victim's training private already",
        "7:45": "another dp-sgd makes what clients share private already",
        "9:17": "another precode has put its bottleneck",
    }
    assert len(lines) == len(wanted), lines
    for line, (place, words) in zip(lines, wanted.items(), strict=True):
        assert f"lost.yaml:{place}: " in line
        assert words in line


@pytest.mark.parametrize(
    ("said", "words"),
    [(5, "its clashes must give words or None, not a int"), (KeyError("x"), "clashes raised KeyError")],
)
def test_a_defence_that_cannot_say_whether_it_clashes_is_refused_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: object, words: str
) -> None:
    def clashes(self: Clip, before: object) -> object:
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(Clip, "clashes", clashes)
    (tmp_path / "m.yaml").write_text(
        "dataset: digits\ngrid:\n  attack: [dlg]\n  model: [lenet]\n  defense: [[sign, {name: clip, norm: 1}]]\n"
    )
    with pytest.raises(MatrixErrors, match=r"m\.yaml:5:20: clip cannot stand in this stack: ") as caught:
        matrix.load(tmp_path / "m.yaml", [])
    assert words in str(caught.value)
