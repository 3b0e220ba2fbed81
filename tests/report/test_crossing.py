"""The tables with one axis down and one across, with which a report begins, and the names that stand in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import attribute_record, empty_record, made_results, update_record
from parsed_markdown import Table, tables

from invbench import report
from invbench.report.naming import labels, line, varying
from invbench.store import Record


def crossed(folder: Path, *records: Record) -> list[Table]:
    text = report.markdown(made_results(folder, records), links_from=folder)
    return [table for table in tables(text) if " by " in table.under and "game" in table.under]


def test_attack_by_defence_is_the_first_table_and_marks_what_was_not_read(tmp_path: Path) -> None:
    [table] = crossed(
        tmp_path,
        update_record([40.0] * 3, attack="dlg(tv=0.1,iterations=9)"),
        update_record([30.0] * 3, attack="dlg(tv=0.2,iterations=9)"),
        update_record([14.1] * 3, attack="dlg(tv=0.1,iterations=9)", defense="gaussian(std=0.1)"),
        update_record([30.0] * 2, attack="dlg(tv=0.2,iterations=9)", defense="gaussian(std=0.1)"),
        empty_record("failed", "why", attack="dlg(tv=0.1,iterations=9)", defense="clip(norm=1)"),
    )
    assert table.under == "PSNR (dB) ↑: attack by defence, game update"
    assert table.header == ["attack", "none", "gaussian", "clip"]
    assert table.rows == [
        ["dlg(tv=0.1)", "40.00", "14.10 nothing", "failed"],
        ["dlg(tv=0.2)", "30.00", "30.00 unsure", ""],
    ]


def test_batch_sizes_stand_in_one_row(tmp_path: Path) -> None:
    sizes = [1, 2, 4, 8]
    [table] = crossed(tmp_path, *(update_record([40.0 - b] * 3, batch_size=b) for b in sizes))
    assert (table.header, table.rows) == (["attack", "1", "2", "4", "8"], [["dlg", "39.00", "38.00", "36.00", "32.00"]])


def test_every_other_axis_that_varies_is_set_against_the_first_and_a_place_shows_the_cell_that_leaks_most(
    tmp_path: Path,
) -> None:
    records = [
        update_record(
            [20.0 + model + 2 * batch + 4 * defence] * 3, model=f"m{model}", batch_size=batch, defense=f"d{defence}"
        )
        for model in (0, 1)
        for batch in (0, 1)
        for defence in (0, 1)
    ]
    first, second = crossed(tmp_path, *records)
    assert {first.under, second.under} == {
        "PSNR (dB) ↑: defence by batch size, game update",
        "PSNR (dB) ↑: model by defence, game update",
    }
    assert first.rows == [["d0", "21.00", "23.00"], ["d1", "25.00", "27.00"]]
    text = report.markdown(made_results(tmp_path, records), links_from=tmp_path)
    assert "Each place is the cell that leaks most of those that differ in model; the strongest control has" in text


def test_games_have_tables_of_their_own_and_one_cell_has_none(tmp_path: Path) -> None:
    assert crossed(tmp_path / "one", update_record([30.0] * 3)) == []
    both = crossed(
        tmp_path / "two",
        *(attribute_record(model=m) for m in "ab"),
        *(update_record([30.0] * 3, model=m) for m in "cd"),
    )
    assert [table.under for table in both] == [
        "accuracy ↑: attack by model, game attribute",
        "PSNR (dB) ↑: attack by model, game update",
    ]


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["dlg", "idlg"], ["dlg", "idlg"]),
        (["ig(tv=0.1,restarts=2)", "ig(restarts=2)", "dlg(restarts=2)"], ["ig(tv=0.1)", "ig", "dlg"]),
        (["clip(norm=1)+gaussian(std=0.1)", "gaussian(std=0.2)"], ["clip+gaussian(std=0.1)", "gaussian(std=0.2)"]),
        (["npz(path=a.npz,mean=[1,2])", "npz(path=a.npz,mean=[1,3])"], ["npz(mean=[1,2])", "npz(mean=[1,3])"]),
        (["a(x=1)+a(x=1)", "a(x=1)"], ["a+a", "a"]),
        (["odd)(", "a(b", "a(b)"], ["odd)(", "a(b", "a(b)"]),
        ([None, 1, 2], ["", "1", "2"]),
    ],
)
def test_a_label_says_what_differs_and_cuts_what_is_shared(names: list[object], texts: list[str]) -> None:
    assert list(labels(names).values()) == texts


def test_a_line_holds_the_axes_asked_for() -> None:
    one, other = (
        {"attack": "dlg(tv=1)", "batch_size": 4, "seed": 0, "defense": None},
        {"attack": "dlg(tv=2)", "seed": 0},
    )
    assert varying([one, other], ("attack", "batch_size", "seed")) == ["attack", "batch_size"]
    assert line(one, ("attack", "batch_size", "seed", "defense")) == "dlg(tv=1) b4 seed 0"
