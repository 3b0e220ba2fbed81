"""Short words of the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import write
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import matrix
from invbench.console import tables
from invbench.console.plan import _in_words, _sum
from invbench.console.wording import cell_namer, count, duration, fitted, reflowed
from invbench.play.forecasting import Forecast


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_a_duration_has_two_digits_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_one_is_singular() -> None:
    assert [count(n, "cell") for n in (0, 1, 2)] == ["0 cells", "1 cell", "2 cells"]


def test_a_cell_s_words_lose_their_settings_before_anything_is_cut() -> None:
    words = "inverting-gradients(tv=0.1) mlp(width=8) b1 clip(norm=1)+gaussian(std=0.1)"
    assert fitted(words, len(words)) == words
    assert fitted(words, len(words) - 1) == "inverting-gradients mlp b1 clip+gaussian"
    assert fitted(words, 20) == "inverting-gradien..."


@settings(deadline=None)
@given(words=st.text(max_size=60), room=st.integers(3, 80))
def test_fitted_words_fit(words: str, room: int) -> None:
    assert len(fitted(words, room)) <= room


def test_cells_are_told_apart_by_what_differs_and_by_nothing_else(tmp_path: Path) -> None:
    text = """\
dataset: digits
seed: [0, 1]
grid: {attack: [peel], model: [linear], batch_size: [4], defense: [none, {name: clip, norm: 1.0}]}
include: [{attack: map-inversion, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}, seed: 5}]
"""
    cells = matrix.load(write(tmp_path / "m.yaml", text)).cells
    assert [cell_namer(cells)(cell.names) for cell in cells] == [
        "peel linear b4 none seed 0",
        "peel linear b4 none seed 1",
        "peel linear b4 clip(norm=1) seed 0",
        "peel linear b4 clip(norm=1) seed 1",
        "map-inversion iwpc seed 5",
    ]
    assert cell_namer(cells[:1])(cells[0].names) == "peel linear b4 none"
    two_sets = [cells[0], cells[-1]]
    assert cell_namer(two_sets)(cells[0].names) == "peel linear b4 none"


def test_paragraphs_are_reflowed_and_lists_and_formulas_kept() -> None:
    text = "One line\nand its end.\n\n    x = 1\n    y = 2\n\n- a\n- b"
    assert reflowed(text) == "One line and its end.\n\n    x = 1\n    y = 2\n\n- a\n- b"


def test_names_that_somebody_chose_are_words_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_names("attacks", [("[bold]odd", "[/nothing] of :smile:")])
    assert capsys.readouterr().out.split()[-4:] == ["[bold]odd", "[/nothing]", "of", ":smile:"]


def test_a_forecast_names_memory_only_where_some_was_seen_to_be_taken() -> None:
    assert _in_words(Forecast(12.0, 120.4)) == "attack: at most 12 s, 120 MB"
    for none in (0.0, 0.4, None):
        assert _in_words(Forecast(12.0, none)) == "attack: at most 12 s"
        assert " MB" not in _sum([Forecast(12.0, none)], "cpu", 1)
    assert ", 120 MB each; " in _sum([Forecast(12.0, none), Forecast(1.0, 120.4)], "cpu", 1)
