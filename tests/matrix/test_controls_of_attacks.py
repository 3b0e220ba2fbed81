"""Controls that an attack is marked with run whatever a matrix asks for, and change no id."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cells import make_cell, make_cells, plugged

from invbench.matrix import MatrixErrors
from invbench.matrix.controls import controls_of

MARKED = """
from dataclasses import dataclass
from invbench.attacks import UpdateAttack
from invbench.registry import attack

@attack(game="update", controls=({control!r},))
@dataclass(frozen=True, kw_only=True)
class Dreaming(UpdateAttack):
    def __call__(self, seen):
        return seen.nothing("asleep")
"""


def test_marked_controls_join_those_asked_for_in_the_sheets_order() -> None:
    assert controls_of("update", [], ["noise"]) == ("grey", "mean", "noise")
    assert controls_of("update", ["grey"], ["noise"]) == ("grey", "noise")
    assert controls_of("update", ["noise", "mean"], ["noise"]) == ("mean", "noise")
    assert controls_of("update", ["noise"]) == ("noise",)
    assert controls_of("update", []) == ("grey", "mean")


def test_a_marked_attack_gets_them_and_its_neighbour_does_not(tmp_path: Path) -> None:
    with plugged(tmp_path, {"attacks.dreaming": MARKED.format(control="noise")}):
        marked, other = make_cells(tmp_path, attack=["dreaming", "dlg"], controls=["grey"])
        assert marked.controls == ("grey", "noise")
        assert other.controls == ("grey",)
        assert make_cell(tmp_path, attack="dreaming", controls=["grey", "noise"]).id == marked.id


def test_a_control_that_its_game_does_not_have_is_refused(tmp_path: Path) -> None:
    with (
        plugged(tmp_path, {"attacks.dreaming": MARKED.format(control="nois")}),
        pytest.raises(MatrixErrors, match=r"marked with control .nois.; its game has grey, mean, noise.*noise"),
    ):
        make_cell(tmp_path, attack="dreaming")
