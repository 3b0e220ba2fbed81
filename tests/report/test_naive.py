"""The column `naive`: an attack that is told of no defence beside its twin that knows it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_results import empty_record, made_results, nested, update_record
from parsed_markdown import tables

from invbench import report
from invbench.report.figures import figures_of
from invbench.report.naive import adaptive_name, pairs_of
from invbench.store import Record

CLIP = "clip(norm=1)"
NAIVE = "dlg(adaptive=false)"


def of(attack: str, psnr: list[float], defense: str = CLIP, **said: Any) -> Record:
    return update_record(psnr, attack=attack, defense=defense, **said)


def document(folder: Path, *records: Record) -> str:
    return report.markdown(made_results(folder, records), links_from=folder)


def said(text: str) -> list[str]:
    """The sentences on what knowing the defence is worth."""
    _, _, rest = text.partition("What attacks gain by knowing the defence:\n\n")
    return [line[2:] for line in rest.partition("\n\n")[0].splitlines()]


@pytest.mark.parametrize(
    ("attack", "twin"),
    [
        ("dlg", None),
        (NAIVE, "dlg"),
        ("dlg(tv=0.1,adaptive=false)", "dlg(tv=0.1)"),
        ("dlg(adaptive=false,tv=0.1)", "dlg(tv=0.1)"),
        ("dlg(nonadaptive=false)", None),
    ],
)
def test_a_naive_attack_is_known_by_its_name(attack: str, twin: str | None) -> None:
    assert adaptive_name(figures_of(of(attack, [20.0]))) == twin


def test_the_twins_row_holds_both_and_the_naive_cell_has_none_of_its_own(tmp_path: Path) -> None:
    text = document(
        tmp_path, of("dlg", [30.0] * 3, "none"), of("dlg", [25.0, 26.0, 27.0]), of(NAIVE, [15.0, 16.0, 17.0])
    )
    [table] = [table for table in tables(text) if table.under == "dlg"]
    naive = table.header.index("naive")
    assert table.header[naive - 1] == "PSNR (dB) ↑"
    assert [row[naive] for row in table.rows] == ["", "16.00"]
    assert NAIVE not in [table.under for table in tables(text)]
    assert "Naive: the game's first metric of the same attack told of no defence" in text


def test_where_none_was_run_there_is_no_such_column_and_no_word_of_it(tmp_path: Path) -> None:
    text = document(tmp_path, of("dlg", [30.0] * 3, "none"), of("dlg", [25.0] * 3))
    assert "naive" not in text.lower()
    report.write_files(made_results(tmp_path / "csv", [of("dlg", [25.0] * 3)]))
    assert "naive" not in (tmp_path / "csv" / "summary.csv").read_text()


def test_one_without_its_twin_keeps_its_row(tmp_path: Path) -> None:
    text = document(tmp_path, of("dlg", [30.0] * 3, "none"), of(NAIVE, [16.0] * 3))
    assert NAIVE in [table.under for table in tables(text)]
    assert all("naive" not in table.header for table in tables(text))


def test_a_failed_one_says_so_in_its_place(tmp_path: Path) -> None:
    text = document(tmp_path, of("dlg", [30.0] * 2), empty_record("failed", "why", attack=NAIVE, defense=CLIP))
    [table] = [table for table in tables(text) if table.under == "dlg"]
    assert table.rows[0][table.header.index("naive")] == "failed"


def test_cells_of_other_targets_or_seeds_are_no_twins() -> None:
    cells = [of("dlg", [30.0] * 3), of(NAIVE, [20.0] * 2), of(NAIVE, [20.0] * 3, seed=1)]
    assert not pairs_of([figures_of(cell) for cell in cells]).by_twin


def test_cells_of_other_pictures_are_no_twins(tmp_path: Path) -> None:
    """An included cell may start at a batch of its own: its targets are not those of the grid."""
    twin, naive = of("dlg", [30.0, 31.0]), of(NAIVE, [20.0, 21.0])
    cells = [twin, replace(naive, settings={**naive.settings, "offset": 4})]
    assert not pairs_of([figures_of(cell) for cell in cells]).by_twin
    assert "naive" not in document(tmp_path, *cells).partition("## Game update")[2]


def test_the_summary_has_a_row_for_each_and_the_number_in_the_twins(tmp_path: Path) -> None:
    report.write_files(made_results(tmp_path, [of("dlg", [25.0, 27.0]), of(NAIVE, [15.0, 16.0])]))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text())))
    assert [(row["attack"], row["psnr_mean"], row["naive"]) for row in rows] == [
        ("dlg", "26", "15.5"),
        (NAIVE, "15.5", ""),
    ]


def test_an_adaptive_attack_that_is_worse_is_said_plainly(tmp_path: Path) -> None:
    text = document(tmp_path, of("dlg", [20.0, 21.0, 22.0]), of(NAIVE, [25.0, 26.0, 27.5]))
    summary, sentence = said(text)
    assert summary == (
        "Cells that were also played by an attack told of no defence: 1. Knowing the defence surely reads more in 0 and"
        " less in 1; in 0 neither is sure."
    )
    assert sentence == (
        "Under `clip(norm=1)`, `dlg` on `lenet` is worse for knowing the defence, surely: PSNR 21.00 dB against"
        " 26.17 dB naive; `digits`, batch size 1, `fedsgd`."
    )


def test_what_may_be_chance_is_said_to_be(tmp_path: Path) -> None:
    text = document(tmp_path, of("dlg", [20.0, 21.0, 40.0]), of(NAIVE, [25.0, 26.0, 36.5]))
    assert "less in 0; in 1 neither is sure" in said(text)[0]
    assert "maybe by chance: PSNR 27.00 dB against 29.17 dB naive" in said(text)[1]


def test_an_adaptive_attack_that_helps_is_counted_alone(tmp_path: Path) -> None:
    [summary] = said(document(tmp_path, of("dlg", [25.0, 26.0, 27.5]), of(NAIVE, [20.0, 21.0, 22.0])))
    assert "surely reads more in 1 and less in 0; in 0 neither" in summary


def test_an_empty_value_is_compared_with_nothing(tmp_path: Path) -> None:
    empty = of(NAIVE, [1.0], facts={"scores": {"psnr": nested([None])}})
    text = document(tmp_path, of("dlg", [25.0]), empty)
    [table] = [table for table in tables(text) if table.under == "dlg"]
    assert table.rows[0][table.header.index("naive")] == "no value"
    assert not said(text)


def test_a_first_table_shows_the_stronger_of_a_pair_and_says_so(tmp_path: Path) -> None:
    text = document(
        tmp_path,
        *(of("dlg", [30.0 - b] * 3, "none", batch_size=b) for b in (1, 2)),
        *(of("dlg", [20.0 - b] * 3, batch_size=b) for b in (1, 2)),
        *(of(NAIVE, [22.0 - b] * 3, batch_size=b) for b in (1, 2)),
    )
    [table] = [table for table in tables(text) if " by " in table.under and "game" in table.under]
    assert sorted(row[1:] for row in table.rows) == [["21.00", "20.00"], ["29.00", "28.00"]]
    assert "differ in what the attack knows of the defence" in text
