from __future__ import annotations

from pathlib import Path
from typing import Any

from made_results import empty_record, made_results, update_record
from parsed_markdown import tables

from invbench import gate
from invbench.report import comparison
from invbench.report.comparison import HEADER, rows

SAME = update_record([30.0, 34.0])
CLIPPED: dict[str, Any] = {"defense": "clip(norm=1)"}


def compared(folder: Path) -> list[gate.Verdict]:
    """One cell that stayed, one that got weaker, one that failed, one that is new."""
    before = [SAME, update_record([30.0, 31.0], **CLIPPED), update_record(model="mlp")]
    after = [
        SAME,
        update_record([20.0, 20.5], **CLIPPED),
        empty_record("failed", "out of | memory", model="mlp"),
        update_record(attack="idlg"),
    ]
    return gate.compare(made_results(folder / "before", before), made_results(folder / "after", after))


def test_each_verdict_is_one_row_with_its_numbers_in_the_metrics_decimals(tmp_path: Path) -> None:
    verdicts = compared(tmp_path)
    table = rows(verdicts)
    assert len(table) == len(verdicts)
    assert all(len(row) == len(HEADER) for row in table)
    [weaker] = [row for row in table if "defence clip(norm=1)" in row[1] and row[2].startswith("PSNR")]
    assert weaker[2:8] == ("PSNR (dB) ↑", "30.50", "20.25", "-10.25", "[-13.43, -7.07]", "regressed")
    [same] = [row for row in table if row[0] == SAME.id[:8] and row[2].startswith("PSNR")]
    assert same[3:8] == ("32.00", "32.00", "+0.00", "[+0.00, +0.00]", "same")


def test_the_markdown_counts_outcomes_and_escapes_reasons(tmp_path: Path) -> None:
    verdicts = compared(tmp_path)
    markdown = comparison(verdicts)
    [table] = tables(markdown)
    assert table.header == list(HEADER)
    assert all(len(row) == len(HEADER) for row in table.rows)
    assert "failed: out of | memory" in {row[-1] for row in table.rows}
    counted = markdown.splitlines()[0].strip("*").split(", ")
    assert sum(int(words.split()[0]) for words in counted) == len(verdicts)
    assert not [line for line in markdown.splitlines() if line != line.rstrip()]


def test_a_verdict_on_a_whole_cell_has_no_numbers(tmp_path: Path) -> None:
    baseline = gate.freeze(made_results(tmp_path / "before", [SAME]))
    [verdict] = gate.check(made_results(tmp_path / "after", [empty_record("failed", "why")]), baseline)
    [row] = rows([verdict])
    assert row[2:] == ("", "", "", "", "", "failed", "failed: why")


def test_nothing_to_compare_is_said() -> None:
    assert comparison([]) == "Nothing to compare.\n"


def test_cells_of_another_matrix_are_counted_not_listed(tmp_path: Path) -> None:
    before = [SAME, *(update_record(seed=seed) for seed in range(100, 109))]
    after = [SAME, *(update_record(attack="idlg", seed=seed) for seed in range(200, 208))]
    verdicts = gate.compare(made_results(tmp_path / "before", before), made_results(tmp_path / "after", after))
    markdown = comparison(verdicts)
    assert "Measured only in the first: 9 cells, not listed." in markdown
    [table] = tables(markdown)
    assert {row[table.header.index("outcome")] for row in table.rows} == {"same", "new"}  # eight are few
