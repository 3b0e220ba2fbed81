from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_results import ENVIRONMENT, attribute_record, empty_record, made_results, nested, update_record
from parsed_markdown import Table, addresses, kinds, tables

from invbench import report
from invbench.report.figures import figures_of_all
from invbench.report.markdown import document
from invbench.store import Record, Results, StoreError


def reported(folder: Path, *records: Record) -> str:
    """The report that stands in a results folder of these records."""
    return report.markdown(made_results(folder, records), links_from=folder)


def details(markdown: str) -> list[Table]:
    """The tables of the attacks, which stand below those that cross two axes."""
    return [t for t in tables(markdown) if "targets" in t.header]


def under(markdown: str, heading: str) -> Table:
    """The one table below a heading."""
    [found] = [t for t in tables(markdown) if t.under == heading]
    return found


GRID = [
    update_record([41.0, 43.0] * 2, attack="dlg", defense="none"),
    update_record([14.2, 14.4] * 2, attack="dlg", defense="gaussian(std=0.1)"),
    update_record([25.0, 29.0] * 2, attack="dlg", model="mlp", defense="none"),
    update_record([30.0, 32.0] * 2, attack="idlg", defense="none"),
    empty_record("unsupported", "needs a bias", attack="idlg", model="mlp", defense="none"),
    update_record([20.0, 22.0] * 2, attack="dlg", batch_size=4),
    attribute_record([1] * 11 + [0]),
]


def test_every_row_has_as_many_cells_as_its_header_and_no_line_ends_in_a_space(tmp_path: Path) -> None:
    text = reported(tmp_path, *GRID)
    found = tables(text)
    # three axes against the defence, dlg, idlg, dlg at batch size 4, map-inversion, unsupported, notes, provenance
    assert len(found) == 3 + 7
    assert all(len(row) == len(t.header) for t in found for row in t.rows)
    table_lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table_lines) == sum(len(t.rows) + 2 for t in found)
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_sections_part_games_data_sets_batch_sizes_and_protocols(tmp_path: Path) -> None:
    text = reported(tmp_path, *GRID, update_record(dataset="lfw"), update_record(protocol="fedsgd(labels=hidden)"))
    assert [line for line in text.splitlines() if line.startswith("## Game")] == [
        "## Game update: digits, batch size 1, protocol fedsgd",
        "## Game update: digits, batch size 4, protocol fedsgd",
        "## Game attribute: warfarin(sensitive=vkorc1)",
        "## Game update: lfw, batch size 1, protocol fedsgd",
        "## Game update: digits, batch size 1, protocol fedsgd(labels=hidden)",
    ]


def test_a_table_sets_model_and_defence_beside_scores_and_strongest_controls(tmp_path: Path) -> None:
    table = details(reported(tmp_path, *GRID))[0]
    assert table.under == "dlg"
    expected = ["model", "defence", "targets", "PSNR (dB) ↑", "control", "LPIPS ↓", "control"]
    assert table.header == [*expected, "identified ↑", "above control", "cell"]
    assert list(zip(table.column("model"), table.column("defence"), strict=True)) == [
        ("lenet", "none"),
        ("lenet", "gaussian(std=0.1)"),
        ("mlp", "none"),
    ]
    assert table.rows[0][2:5] == ["4", "42.00 ± 1.00", "14.00 (grey)"]
    assert table.rows[0][5:7] == ["0.024 ± 0.001", "0.400 (mean)"]
    assert "SSIM ↑" not in table.header, "no row has a value"


def test_metrics_beside_the_usual_ones_stand_where_they_say_something(tmp_path: Path) -> None:
    plain, exact = details(reported(tmp_path, update_record([14.0] * 3), update_record([90.0] * 3, attack="peel")))
    assert not {"label accuracy ↑", "identified ↑", "recovered ↑", "exact ↑", "certified"} & set(plain.header)
    assert exact.column("identified ↑") == exact.column("exact ↑") == ["1.000"]
    assert not {"label accuracy ↑", "recovered ↑", "certified"} & set(exact.header)
    facts = ({"certified": True}, {"certified": False}, {})
    [certified] = details(reported(tmp_path / "c", update_record([30.0] * 3, facts={"facts": facts})))
    assert certified.column("certified") == ["1 of 3"]


def test_cells_in_which_there_was_nothing_to_read_are_named_and_not_counted(tmp_path: Path) -> None:
    said = "the update of 3 of 3 targets is zero: nothing was shared"
    empty = update_record([10.0] * 3, facts={"notes": [said]})
    alone = reported(tmp_path / "alone", empty)
    assert "no attack reads anything" not in alone
    assert f"- Not counted, nothing to read in 1 cell: {said} (`dlg` on `lenet`, `digits`, batch size 1," in alone
    text = reported(tmp_path / "both", empty, update_record([30.0, 31.0, 32.0], model="mlp"))
    assert "Without a defence, `dlg` on `mlp` reads most" in text
    assert "the attack read something: 1 of 1; 0 read nothing" in text
    assert tables(text)[0].rows == [["dlg", "nothing to read", "31.00"]]


def test_cells_refused_for_one_reason_are_one_line(tmp_path: Path) -> None:
    records = [
        empty_record("unsupported", f"needs batch_size 1, not {batch}", attack=a, batch_size=batch, model=m, defense=d)
        for batch in (2, 4, 8)
        for a in ("analytic", "dlg")
        for m in ("lenet", "mlp")
        for d in ("none", "sign", "clip(norm=1)", "gaussian(std=0.1)")
    ]
    rows = under(reported(tmp_path, *records), "Unsupported (48)").rows
    assert [row[:2] for row in rows] == [["16", f"needs batch_size 1, not {batch}"] for batch in (2, 4, 8)]
    what = "defence none, sign, clip, gaussian; attack analytic, dlg; batch size 4; model lenet, mlp"
    assert rows[1][2] == what


def test_bold_is_the_best_of_its_column_by_the_metrics_direction(tmp_path: Path) -> None:
    ranking = [[30.0, 30.0], [35.0, 35.0], [20.0, 20.0], [35.0, 35.0]]
    table = details(reported(tmp_path, *(update_record(p, model=f"m{k}") for k, p in enumerate(ranking))))[0]
    psnr, lpips = table.header.index("PSNR (dB) ↑"), table.header.index("LPIPS ↓")
    values = [float(row[psnr].split()[0]) for row in table.rows]
    distances = [float(row[lpips].split()[0]) for row in table.rows]
    for row, bold in enumerate(table.bold):
        assert (psnr in bold) is (values[row] == max(values))
        assert (lpips in bold) is (distances[row] == min(distances))
        assert bold <= {psnr, lpips}


def test_a_result_no_better_than_its_control_is_said_to_have_read_nothing(tmp_path: Path) -> None:
    text = reported(tmp_path, *GRID)
    assert details(text)[0].column("above control") == ["+28.00 dB", "read nothing (+0.30 dB)", "+13.00 dB"]
    assert "Under `gaussian(std=0.1)`, no attack reads anything; the nearest is `dlg` on `lenet`" in text


def test_headlines_name_what_leaks_most_under_each_defence(tmp_path: Path) -> None:
    text = reported(tmp_path, *GRID)
    counts, first, second = [line for line in text.splitlines() if line.startswith(("**", "- "))][:3]
    assert counts == "**7 cells: 6 ok, 1 unsupported.**"
    assert first.startswith("- Without a defence, `dlg` on `lenet` reads most: PSNR 42.00 dB, ")
    assert "strongest control (grey) 14.00 dB; `digits`, batch size 1, `fedsgd`." in first
    assert second.startswith("- Under `gaussian(std=0.1)`, no attack reads anything")
    assert "- Measured cells in which the attack read something: 4 of 5; 1 read nothing beyond their control." in text


def test_many_defences_are_counted_not_listed(tmp_path: Path) -> None:
    records = [update_record([60.0 - k] * 3, defense=f"gaussian(std={k})") for k in range(15)]
    lines = reported(tmp_path, *records).splitlines()
    listed = [line for line in lines if "reads most: PSNR" in line and line.startswith("- ")]
    assert [f"`gaussian(std={k})`" in line for k, line in enumerate(listed)] == [True] * 12
    assert "- 3 stronger defences stand in the tables." in lines


def test_every_link_leads_to_a_picture_and_each_section_shows_its_best(tmp_path: Path) -> None:
    text = reported(tmp_path, *GRID)
    links = addresses(text)
    assert all((tmp_path / link).is_file() for link in links)
    measured = [record for record in GRID if record.scores and record.names["game"] == "update"]
    assert set(links) == {f"cells/{record.id}/grid.png" for record in measured}
    pictures = [line for line in text.splitlines() if line.startswith("![")]
    assert [GRID[0].id in pictures[0], GRID[5].id in pictures[1]] == [True, True]
    assert len(pictures) == 2


def test_links_of_a_report_elsewhere_start_where_it_stands(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "results" / "my run", tmp_path / "pages"
    elsewhere.mkdir()
    text = report.markdown(made_results(folder, GRID), links_from=elsewhere)
    links = addresses(text)
    assert links[0] == f"../results/my%20run/cells/{GRID[0].id}/grid.png"
    assert all((elsewhere / link.replace("%20", " ")).is_file() for link in links)


def test_attribute_tables_show_intervals_and_both_imputation_controls(tmp_path: Path) -> None:
    [table] = [t for t in tables(reported(tmp_path, *GRID)) if t.under == "map-inversion"]
    metrics = ["accuracy ↑", "mode", "imputation", "macro AUC ↑", "mode", "imputation"]
    assert table.header == ["model", "targets", *metrics, "above control", "cell"]
    [row] = table.rows
    assert row[:2] == ["iwpc", "12"]
    assert row[2].startswith("0.917 [")
    assert row[3:8] == ["0.333", "0.500", "0.600 [0.600, 0.600]", "0.500", "0.600"]
    assert row[8] == "+0.417"


def test_cells_without_numbers_are_listed_with_their_reasons(tmp_path: Path) -> None:
    records = [
        update_record(),
        empty_record("failed", "ValueError: bad\n  at line 2", model="mlp"),
        empty_record("timeout", "took more than 600 s", model="vgg11"),
        empty_record("unsupported", "needs batch_size 1, not 8", attack="analytic", batch_size=8),
    ]
    text = reported(tmp_path, *records)
    assert "**4 cells: 1 ok, 1 failed, 1 timeout, 1 unsupported.**" in text
    failed, late, unsupported = under(text, "Failed (1)"), under(text, "Timed out (1)"), under(text, "Unsupported (1)")
    assert failed.rows[0][2] == "ValueError: bad at line 2"
    assert late.rows[0][1:] == [
        "dlg, vgg11, digits, batch size 1, fedsgd, defence none, seed 0",
        "took more than 600 s",
    ]
    what = "attack analytic; batch size 8; model lenet"
    assert unsupported.rows == [["1", "needs batch_size 1, not 8", what, records[3].id[:8]]]
    assert under(text, "dlg").column("above control") == ["unsure with 2 targets (+18.00 dB)", "failed", "timeout"]
    assert "### analytic\n\nNo cell has numbers: 1 unsupported; reasons below." in text


def test_a_folder_of_failures_only_is_a_report_of_failures(tmp_path: Path) -> None:
    text = reported(tmp_path, empty_record("failed", "first"), empty_record("failed", "second", model="mlp"))
    assert "**2 cells: 2 failed.**" in text
    assert "What leaks most" not in text
    assert [t.under for t in tables(text)] == ["Failed (2)", "Provenance"]


def test_an_empty_result_says_so(tmp_path: Path) -> None:
    text = reported(tmp_path)
    assert "**The matrix has no cells.**" in text
    assert [t.under for t in tables(text)] == ["Provenance"]


def test_an_interrupted_run_says_how_many_cells_are_left(tmp_path: Path) -> None:
    results = made_results(tmp_path, [update_record()], planned=["f" * 16, "e" * 16])
    assert "**3 cells: 1 ok, 2 not run yet.**" in report.markdown(results, links_from=tmp_path)
    nothing = made_results(tmp_path / "nothing", [], planned=["f" * 16])
    assert "**1 cell: 1 not run yet.**" in report.markdown(nothing, links_from=tmp_path)


def test_one_target_has_no_spread(tmp_path: Path) -> None:
    table = details(reported(tmp_path, update_record([30.0])))[0]
    assert table.column("PSNR (dB) ↑") == ["30.00"]
    assert table.column("above control") == ["unsure with 1 target (+15.50 dB)"]


def test_a_batch_of_several_pictures_has_a_spread_over_pictures_even_alone(tmp_path: Path) -> None:
    one_batch = {
        "targets": 1,
        "images": 2,
        "scores": {"psnr": [[30.0, 34.0]]},
        "controls": {"grey": {"psnr": [[14.0, 13.0]]}},
    }
    table = details(reported(tmp_path, update_record(facts=one_batch, batch_size=2)))[0]
    assert table.column("PSNR (dB) ↑") == ["32.00 ± 2.00"]


def test_seeds_are_a_column_where_there_are_several(tmp_path: Path) -> None:
    table = details(reported(tmp_path, update_record(seed=0), update_record(seed=1)))[0]
    assert table.column("seed") == ["0", "1"]


def test_diverged_targets_and_missing_controls_are_said(tmp_path: Path) -> None:
    psnr = [30.0, 34.0, 32.0]
    records = [update_record(psnr, facts={"diverged": 1}), update_record(facts={"controls": {}}, model="mlp")]
    table = details(reported(tmp_path, *records))[0]
    assert table.column("above control") == ["+17.83 dB; 1 of 3 diverged", "no control"]


def test_names_cannot_break_the_tables_or_add_html(tmp_path: Path) -> None:
    odd = "a|b<img src=x>`c`[d](e)*f*"
    records = [
        update_record(attack=odd, model=odd, defense=odd, dataset=odd, protocol=odd),
        empty_record("failed", odd, attack="x"),
        update_record(facts={"notes": [odd]}, attack="y"),
    ]
    text = reported(tmp_path, *records)
    assert all(len(row) == len(t.header) for t in tables(text) for row in t.rows)
    assert not kinds(text) & {"html_inline", "html_block", "em_open"}
    first = details(text)[0]
    assert first.under == "a\\|b&lt;img src=x&gt;\\`c\\`[d\\](e)\\*f\\*"
    assert first.rows[0][:2] == [odd, odd]
    assert under(text, "Failed (1)").rows[0][2] == odd
    assert {link.split("/")[-1] for link in addresses(text)} == {"grid.png"}


def test_notes_are_gathered_with_the_number_of_their_cells(tmp_path: Path) -> None:
    one, both = "labels were hidden", "LPIPS: pictures under 32 pixels were enlarged"
    records = [update_record(facts={"notes": [one, both, both]}), update_record(facts={"notes": [both]}, model="mlp")]
    assert under(reported(tmp_path, *records), "Notes").rows == [["2", both, "all"], ["1", one, "model lenet"]]


def test_provenance_names_versions_devices_data_and_what_else_lies_there(tmp_path: Path) -> None:
    file = {"name": "npz", "hash": "cd" * 32, "path": "/home/someone/private/faces.npz"}
    made_results(tmp_path, [update_record(model="vgg11")])
    text = reported(tmp_path, update_record(), update_record(facts={"device": "cuda:0", "dataset": file}, model="mlp"))
    rows = dict(under(text, "Provenance").rows)
    assert rows["git"] == "0123abc-dirty"
    assert rows["versions.torch"] == "2.14.1"
    assert rows["command"] == "invbench run 'my matrix.yaml'"
    assert rows["cells computed with device"] == "cpu, cuda:0"
    assert rows["data set 1"] == f"digits, content {'ab' * 32}"
    assert rows["data set 2"] == f"npz, file faces.npz, content {'cd' * 32}"
    assert rows["not in this report"] == "1 cell of earlier matrices in the same folder"
    assert "/home/someone" not in text


def test_a_control_that_lacks_a_metric_leaves_that_cell_empty(tmp_path: Path) -> None:
    record = update_record(facts={"controls": {"grey": {"psnr": nested([14.0, 13.0])}}})
    table = details(reported(tmp_path, record))[0]
    assert table.rows[0][4] == "13.50 (grey)"
    assert table.rows[0][6] == ""


def test_written_files_are_the_report_and_the_summary(tmp_path: Path) -> None:
    results = made_results(tmp_path, GRID)
    report.write_files(results)
    assert (tmp_path / "report.md").read_text() == report.markdown(results, links_from=tmp_path)
    assert (tmp_path / "summary.csv").read_text().count("\n") == len(GRID) + 1


def test_a_folder_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"plan\.json"):
        report.markdown(Results(tmp_path), links_from=tmp_path)


def test_reports_do_not_import_torch() -> None:
    modules = "invbench.report, invbench.report.summary, invbench.report.cell_page, invbench.report.comparison"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_report_of_thousands_of_cells_shows_what_leaks_most_and_counts_the_rest(tmp_path: Path) -> None:
    records = [update_record([20.0 + seed / 1000], attack=attack, seed=seed) for attack in "ab" for seed in range(550)]
    records += [empty_record("unsupported", f"needs {seed % 2}", attack="c", seed=seed) for seed in range(101)]
    folder = Results(tmp_path)
    folder.create("name: many\n", [record.id for record in records], ENVIRONMENT)
    text = document(folder, figures_of_all(records), links_from=tmp_path)
    rows = [line for line in text.splitlines() if line.startswith("| `lenet` | `none`")]
    assert len(rows) == 2 * 333  # a thousand rows over three tables
    assert "| 549  |" in rows[332]
    assert "| 217  |" in rows[0]
    assert "The 333 that leak most of 550 cells; all stand in `summary.csv`." in text
    listed = under(text, "Unsupported (101)")
    assert [row[:2] for row in listed.rows] == [["51", "needs 0"], ["50", "needs 1"]]


def test_a_report_of_hundreds_of_attacks_shows_the_strongest(tmp_path: Path) -> None:
    records = [update_record([20.0 + k % 1001 / 1000], attack=f"attack-{k}") for k in range(1001)]
    folder = Results(tmp_path)
    folder.create("name: many\n", [record.id for record in records], ENVIRONMENT)
    text = document(folder, figures_of_all(records), links_from=tmp_path)
    assert text.count("\n### ") == 200
    assert "### attack-1000" in text
    assert "### attack-800\n" not in text
    assert "801 more attacks that leak less stand in `summary.csv`." in text
