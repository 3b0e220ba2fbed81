from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_results import attribute_record, empty_record, made_results, update_record
from parsed_markdown import tables

from invbench.report import CellError, cell_page
from invbench.store import Results

RECORDS = [
    update_record([30.0, 34.0], facts={"objectives": [0.125, None], "evaluations": [300, 280]}),
    attribute_record(),
    empty_record("unsupported", "needs batch_size 1, not 8", batch_size=8),
]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return made_results(tmp_path, RECORDS, planned=["f" * 16])


def test_a_page_holds_numbers_controls_targets_settings_and_the_pictures_path(results: Results) -> None:
    page = cell_page(results, RECORDS[0].id)
    facts, numbers, targets, settings = tables(page)
    assert ["status", "ok"] in facts.rows
    assert ["above the strongest control", "unsure with 2 targets (+18.00 dB)"] in facts.rows
    assert ["evaluations", "580"] in facts.rows
    assert numbers.header == ["metric", "mean", "std", "95 % interval", "control grey", "control mean"]
    assert numbers.rows[0] == ["PSNR (dB) ↑", "32.00", "2.00", "[6.59, 57.41]", "14.00", "13.00"]
    assert [row[:2] + row[-2:] for row in targets.rows] == [["0", "30.00", "300", "0.125"], ["1", "34.00", "280", ""]]
    assert ["attack.tv", "0.01"] in settings.rows
    [picture] = re.findall(r"- picture: `(.+)`", page)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert "- arrays" not in page
    assert all(len(row) == len(t.header) for t in tables(page) for row in t.rows)


def test_the_shortest_unique_beginning_of_an_id_is_enough_in_any_case(results: Results) -> None:
    assert cell_page(results, RECORDS[0].id[:6].upper()) == cell_page(results, RECORDS[0].id)


def test_a_cell_without_pictures_names_none(results: Results) -> None:
    page = cell_page(results, RECORDS[1].id)
    assert "- picture" not in page
    assert tables(page)[2].header == ["target", "accuracy ↑", "evaluations", "objective"]
    assert "control imputation" in page


def test_an_unsupported_cell_shows_its_reason_and_no_numbers(results: Results) -> None:
    page = cell_page(results, RECORDS[2].id)
    assert ["reason", "needs batch_size 1, not 8"] in tables(page)[0].rows
    assert "## Numbers" not in page


def test_a_planned_cell_is_not_computed_yet(results: Results) -> None:
    assert "Planned, not computed yet." in cell_page(results, "ffff")


def test_a_cell_of_an_earlier_matrix_is_still_shown(results: Results) -> None:
    made_results(results.path, RECORDS[1:])
    assert "32.00" in cell_page(results, RECORDS[0].id)


def test_a_word_that_no_id_begins_with_is_answered_with_the_nearest(results: Results) -> None:
    id = RECORDS[0].id
    with pytest.raises(CellError, match=f"no cell .*; nearest: '{id}'"):
        cell_page(results, id[:5] + "x" + id[6:])


def test_an_ambiguous_beginning_lists_what_it_could_be(tmp_path: Path) -> None:
    alike = ["ab" + f"{k:014x}" for k in range(7)]
    results = made_results(tmp_path, [], planned=alike)
    with pytest.raises(CellError, match=r"7 cells begin with 'ab': 'ab0.*, \.\.\."):
        cell_page(results, "ab")


def test_a_folder_without_cells_says_so(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="has no cells"):
        cell_page(made_results(tmp_path, []), "ab")


def test_targets_beyond_the_most_are_counted(tmp_path: Path) -> None:
    page = cell_page(made_results(tmp_path, [record := update_record([30.0] * 40)]), record.id)
    assert len(tables(page)[2].rows) == 32
    assert "8 more targets stand in the record." in page


def test_a_page_says_why_lanes_stopped_and_where_more_iterations_would_help(tmp_path: Path) -> None:
    for k, (stopped, words) in enumerate((
        ({"budget spent": 3, "converged": 1}, "budget spent 3, converged 1 (budget spent: those still fell, so more"
         " iterations would help)"),
        ({"at rest": 2}, "at rest 2"),
    )):  # fmt: skip
        record = update_record([30.0, 34.0], facts={"stopped": stopped})
        facts, *_ = tables(cell_page(made_results(tmp_path / str(k), [record]), record.id))
        assert ["lanes stopped", words] in facts.rows
    assert "lanes stopped" not in cell_page(made_results(tmp_path / "none", [RECORDS[1]]), RECORDS[1].id)


def test_a_page_says_how_many_answers_are_certified_and_which_part_gave_them(tmp_path: Path) -> None:
    said = ({"certified": True, "part": "peel"}, {"certified": False, "part": "long search"})
    record = update_record([30.0, 34.0], facts={"facts": said})
    facts, *_ = tables(cell_page(made_results(tmp_path, [record]), record.id))
    assert ["certified", "1 of 2"] in facts.rows
    assert ["answers by", "peel 1, long search 1"] in facts.rows
