"""The sheet of game `update` knows the notes by which the game says that there was nothing to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from exact_attack import EXACT
from small_cells import MLP, make_cell

from invbench.games.update import UpdateGame
from invbench.sheets import sheet_of


@pytest.mark.parametrize(("lr", "silent"), [(1e300, ["2"]), (1e-300, ["2"]), (0.1, [])])
def test_a_note_of_a_real_cell_is_read_as_the_number_of_its_silent_targets(
    tmp_path: Path, lr: float, silent: list[str]
) -> None:
    cell = make_cell(tmp_path, attack=EXACT, model=MLP, protocol={"name": "fedavg", "steps": 1, "lr": lr})
    notes = UpdateGame().deal(cell, torch.device("cpu")).notes
    found = [re.match(sheet_of("update").said.silent, note) for note in notes]
    assert [said[1] for said in found if said] == silent
