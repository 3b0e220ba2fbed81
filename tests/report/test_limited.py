"""How limits stand in a report: beside the leak, nowhere where none is, and named where a leak is above."""

from __future__ import annotations

from pathlib import Path

from made_results import made_results, nested, update_record
from parsed_markdown import tables

from invbench import report
from invbench.report.summary import rows
from invbench.store import Record

LIMIT = "limit with prior (dB)"


def limited(psnr: list[float], limits: list[float | None], **more: float) -> Record:
    plain = update_record(psnr, defense="gaussian(std=0.1)", **more)
    return Record(**{**vars(plain), "scores": {**plain.scores, "limit_psnr_prior": nested(limits)}})


def reported(folder: Path, *records: Record) -> str:
    return report.markdown(made_results(folder, records), links_from=folder)


def test_a_limit_stands_beside_its_leak_and_nowhere_where_no_cell_has_one(tmp_path: Path) -> None:
    text = reported(tmp_path / "with", limited([20.0] * 4, [25.0] * 4), update_record(defense="none"))
    [table] = [t for t in tables(text) if "targets" in t.header]
    assert table.header[table.header.index("PSNR (dB) ↑") + 2] == LIMIT  # its control is between
    assert [row[table.header.index(LIMIT)] for row in table.rows] == ["25.00 ± 0.00", ""]
    assert "dFIL" not in text
    assert "bove a limit" not in text
    text = reported(tmp_path / "without", update_record(defense="none"))
    assert "limit" not in text.lower().replace("time limit", "")
    found = made_results(tmp_path / "csv", [update_record(defense="none")])
    assert not [name for name in rows(found)[0] if "limit" in name]


def test_a_leak_is_held_against_its_limit_by_squared_errors_and_not_by_their_logarithms(tmp_path: Path) -> None:
    # means of 30 and 28.5 dB, but errors of 1e-2 and 1e-4 average to 22.97 dB
    assert "bove a limit" not in reported(tmp_path / "a", limited([20.0, 40.0] * 2, [28.5] * 4))
    text = reported(tmp_path / "b", limited([30.0] * 4, [28.5] * 4))
    assert "Above a limit in 1 cell: PSNR is above limit_psnr_prior, 30.00 against 28.50 dB" in text
    assert "the limit does not hold for this attack" in text
    assert "bove a limit" not in reported(tmp_path / "c", limited([29.4] * 4, [28.5] * 4))  # by less than 1 dB


def test_pictures_that_a_control_has_above_the_limit_are_named_as_such(tmp_path: Path) -> None:
    text = reported(tmp_path, limited([16.0] * 4, [12.0] * 4))
    assert "so is the control grey, which reads nothing" in text


def test_empty_limits_hold_against_nothing(tmp_path: Path) -> None:
    assert "bove a limit" not in reported(tmp_path, limited([30.0] * 4, [None] * 4))
