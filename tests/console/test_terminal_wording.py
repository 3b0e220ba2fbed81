"""Short words of the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import write
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import matrix
from invbench.console import tables
from invbench.console.plan import _in_words, _sum, only_failures
from invbench.console.wording import broken, cell_namer, cells_of_games, count, duration, fitted, folded, reflowed
from invbench.gate import Verdict
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
        "map-inversion iwpc none seed 5",
    ]
    assert cell_namer(cells[:1])(cells[0].names) == "peel linear b4 none"
    two_sets = [cells[0], cells[-1]]
    assert cell_namer(two_sets)(cells[0].names) == "peel linear b4 none"


def test_cells_are_counted_with_their_games(tmp_path: Path) -> None:
    text = """\
dataset: digits
seed: [0, 1]
grid: {attack: [peel, loss-threshold], model: [linear]}
include: [{attack: loss-threshold, model: mlp, defense: none, seed: 5}]
"""
    cells = matrix.load(write(tmp_path / "m.yaml", text)).cells
    assert cells_of_games(cells) == "5 cells (2 of game update, 3 of game membership)"
    assert [cells_of_games(cells[:n]) for n in (0, 1, 2)] == ["0 cells", *ONE_AND_TWO]


ONE_AND_TWO = ("1 cell of game update", "2 cells of game update")


@settings(deadline=None)
@given(words=st.lists(st.text("ab-_(=", min_size=1, max_size=30), min_size=1, max_size=20))
def test_folded_lines_fit_and_no_word_is_broken(words: list[str]) -> None:
    lines = folded(" ".join(words), 40, "    ").split("\n")
    assert max(map(len, lines)) <= 40
    assert [word for line in lines for word in line.split()] == words


def test_long_names_are_broken_at_their_signs() -> None:
    assert broken("tpr_at_fpr_0.001", 14) == "tpr_at_fpr_\n0.001"
    assert broken("inverting-gradients lenet", 12) == "inverting-\ngradients\nlenet"
    assert broken("label_accuracy", 14) == "label_accuracy"
    assert broken("", 14) == ""


@settings(deadline=None)
@given(words=st.text("ab-_(=, ", max_size=40), width=st.integers(1, 20))
def test_breaking_loses_nothing_but_blanks(words: str, width: int) -> None:
    assert broken(words, width).replace("\n", "").replace(" ", "") == words.replace(" ", "")


def test_a_plan_in_which_nothing_but_failures_is_left_is_told_from_others() -> None:
    assert only_failures(["failed", "unsupported", "failed"])
    assert not any(map(only_failures, ([], ["unsupported"], ["failed", "kept"], ["failed", "to compute"])))


def test_a_narrow_line_keeps_what_tells_cells_apart_and_loses_what_they_share(tmp_path: Path) -> None:
    text = """\
dataset: digits
grid:
  attack: [{name: inverting-gradients, tv: 0.1, iterations: 9}, {name: inverting-gradients, tv: 0.2, iterations: 9}]
  model: [{name: mlp, width: 8}]
  batch_size: [4]
  defense:
    - [{name: clip, norm: 1.0}, {name: gaussian, std: 0.1}]
    - [{name: clip, norm: 1.0}, {name: gaussian, std: 0.2}]
"""
    cells = matrix.load(write(tmp_path / "m.yaml", text)).cells
    name = cell_namer(cells)
    for room, first in (
        (200, "inverting-gradients(iterations=9,tv=0.1) mlp(width=8) b4 clip(norm=1)+gaussian(std=0.1)"),
        (70, "inverting-gradients(tv=0.1) mlp b4 clip+gaussian(std=0.1)"),
        (52, "inverting-gradients(tv=0.1) clip+gaussian(std=0.1)"),
        (5, "inverting-gradients(tv=0.1) clip+gaussian(std=0.1)"),
    ):
        said = [name(cell.names, room) for cell in cells]
        assert said[0].replace("tv=0.1,iterations=9", "iterations=9,tv=0.1") == first
        assert len(set(said)) == 4


COMMON = {"game": "update", "attack": "ig(tv=0.1)", "model": "lenet", "batch_size": 1, "defense": "none"}


def verdicts(count: int) -> list[Verdict]:
    """One metric each of cells that differ in protocol, data set and seed."""
    return [
        Verdict(
            f"{k:016x}",
            COMMON | {"protocol": f"fedsgd(clients={k + 2})", "dataset": f"npz(path={k}.npz)", "seed": k},
            "psnr",
            "regressed",
            *(30.0, 28.0, -2.0, (-3.0, -1.0)),
            message=f"the attack is weaker in {k}",
        )
        for k in range(count)
    ]


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", ["check", "compare"])
def test_check_and_compare_name_protocol_data_set_and_seed_where_they_differ(
    columns: int, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    if command == "check":
        tables.print_check(verdicts(2))
    else:
        tables.print_comparison(verdicts(2), markdown=False)
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= max(columns, 60)
    words = "".join(told.split())
    for k in range(2):
        assert f"fedsgd(clients={k + 2})" in words
        assert f"npz(path={k}.npz)" in words
        assert f"seed{k}" in words
    assert "lenet" not in words, "all have it"
    assert "regressed" in words


def test_a_shift_that_passes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    unsure = "moved by more than 0.5, but the interval over targets holds zero"
    tables.print_check([Verdict("a" * 16, COMMON, "psnr", "same", 30.0, 28.0, -2.0, (-4.0, 0.1), unsure)])
    told = capsys.readouterr().out
    assert " ".join(told.split()).startswith("cell what metric before after moved by outcome aaaaaaaa ig lenet psnr")
    assert unsure in " ".join(told.split())
    assert told.splitlines()[-1] == "passed: 1 same"


def test_paragraphs_are_reflowed_and_lists_and_formulas_kept() -> None:
    text = "One line\nand its end.\n\n    x = 1\n    y = 2\n\n- a\n- b"
    assert reflowed(text) == "One line and its end.\n\n    x = 1\n    y = 2\n\n- a\n- b"


def test_names_that_somebody_chose_are_words_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_names("attacks", [("[bold]odd", "[/nothing] of :smile:")])
    assert capsys.readouterr().out.split()[-4:] == ["[bold]odd", "[/nothing]", "of", ":smile:"]


def test_a_forecast_names_memory_only_where_some_was_seen_to_be_taken() -> None:
    assert _in_words(Forecast(12.0, 120.4), 600.0) == "attack: at most 12 s, 120 MB"
    for none in (0.0, 0.4, None):
        assert _in_words(Forecast(12.0, none), 600.0) == "attack: at most 12 s"
        assert " MB" not in _sum([Forecast(12.0, none)], "cpu", 1)
    assert ", 120 MB each; " in _sum([Forecast(12.0, none), Forecast(1.0, 120.4)], "cpu", 1)
