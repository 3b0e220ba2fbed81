from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from made_results import attribute_record, empty_record, made_results, nested, update_record

from invbench import report
from invbench.report import summary
from invbench.store import Record, Results


def written(folder: Path, *records: Record) -> list[dict[str, str]]:
    """The rows of the summary.csv that a report of these records writes."""
    report.write_files(made_results(folder, records))
    return list(csv.DictReader(io.StringIO((folder / "summary.csv").read_text())))


def test_columns_are_those_of_the_contract_in_its_order(tmp_path: Path) -> None:
    [row] = written(tmp_path, update_record())
    metrics = ["psnr", "ssim", "lpips", "label_accuracy", "identified", "recovered", "exact"]
    assert list(row) == [
        *("cell", "game", "dataset", "attack", "model", "batch_size", "defense", "protocol", "seed", "status"),
        *("targets", "images", "diverged"),
        *(f"{metric}_{part}" for metric in metrics for part in ("mean", "std", "ci_low", "ci_high")),
        *(f"control_{metric}_mean" for metric in metrics),
        *("control_grey_psnr_mean", "control_mean_psnr_mean", "control_noise_psnr_mean"),
        *("attack_seconds", "attack_evaluations", "cell_seconds", "peak_memory_mb", "certified"),
        *("device", "reason"),
        *("attack.tv",),
    ]


def test_a_row_holds_the_records_numbers(tmp_path: Path) -> None:
    record = update_record([30.0, 34.0], facts={"diverged": 1})
    [row] = written(tmp_path, record)
    assert row["cell"] == record.id
    assert (row["psnr_mean"], row["psnr_std"], row["psnr_ci_low"], row["psnr_ci_high"]) == (
        "32",
        "2",
        "6.58759052765",
        "57.4124094723",
    )
    assert (row["ssim_mean"], row["control_ssim_mean"]) == ("", "")
    assert (row["control_psnr_mean"], row["control_lpips_mean"]) == ("14", "0.4")
    assert (row["control_grey_psnr_mean"], row["control_mean_psnr_mean"]) == ("14", "13")
    assert row["control_noise_psnr_mean"] == ""
    assert (row["attack_seconds"], row["attack_evaluations"], row["cell_seconds"]) == ("0.75", "600", "2.25")
    assert (row["peak_memory_mb"], row["device"], row["reason"]) == ("120.5", "cpu", "")
    assert (row["batch_size"], row["defense"], row["diverged"]) == ("1", "none", "1")


def test_settings_of_parts_are_columns_of_their_own(tmp_path: Path) -> None:
    """PSNR against std needs no parsing; a stack that has a setting twice has both, as its name has."""
    stacks = [
        [{"name": "gaussian", "std": 0.1}],
        [{"name": "clip", "norm": 1.0, "version": 2}, {"name": "gaussian", "std": 0.01}],
        [{"name": "gaussian", "std": 0.1}, {"name": "gaussian", "std": 0.2}],
        [],
    ]
    records = [
        update_record(seed=k, facts={"settings": {"attack": {"name": "dlg", "signed": True}, "defense": stack}})
        for k, stack in enumerate(stacks)
    ]
    rows = written(tmp_path, *records)
    assert list(rows[0])[-3:] == ["attack.signed", "defense.norm", "defense.std"]
    assert [row["defense.std"] for row in rows] == ["0.1", "0.01", "0.1+0.2", ""]
    assert [row["defense.norm"] for row in rows] == ["", "1.0", "", ""]
    assert {row["attack.signed"] for row in rows} == {"true"}


def test_cells_that_were_not_run_are_rows(tmp_path: Path) -> None:
    record = update_record()
    report.write_files(made_results(tmp_path, [record], planned=["f" * 16]))
    first, second = csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text()))
    assert (first["cell"], first["status"]) == (record.id, "ok")
    assert {name: value for name, value in second.items() if value} == {"cell": "f" * 16, "status": "not run"}


def test_no_interval_leaves_what_a_metric_can_be_and_one_target_has_none(tmp_path: Path) -> None:
    few, exact, one = written(
        tmp_path, update_record(), update_record([100.0] * 4, seed=1), update_record([30.0], seed=2)
    )
    assert (few["recovered_ci_low"], few["recovered_ci_high"]) == ("0.158113883008", "1")  # 0.025 ** (1 / 2)
    assert (exact["psnr_ci_low"], exact["psnr_ci_high"]) == ("39.7635364384", "100")  # 100 * 0.025 ** (1 / 4)
    assert (one["psnr_mean"], one["psnr_ci_low"], one["psnr_ci_high"]) == ("30", "", "")


def test_noise_is_a_control_as_strong_as_its_numbers(tmp_path: Path) -> None:
    noise = {"noise": {"psnr": nested([15.0, 16.0])}, "grey": {"psnr": nested([14.0, 14.0])}}
    [row] = written(tmp_path, update_record(facts={"controls": noise}))
    assert (row["control_noise_psnr_mean"], row["control_psnr_mean"]) == ("15.5", "15.5")


def test_axes_that_a_game_does_not_use_are_empty_and_whole_numbers_stay_whole(tmp_path: Path) -> None:
    update, attribute = written(tmp_path, update_record(), attribute_record())
    assert (attribute["batch_size"], attribute["defense"], attribute["protocol"]) == ("", "", "")
    assert (update["batch_size"], update["targets"], attribute["targets"]) == ("1", "2", "4")
    assert (attribute["accuracy_mean"], attribute["control_accuracy_mean"]) == ("0.75", "0.5")
    assert (attribute["psnr_mean"], update["accuracy_mean"]) == ("", "")


def test_a_cell_without_numbers_keeps_its_reason_on_one_line(tmp_path: Path) -> None:
    reason = 'needs batch_size 1, not 8 ("B")\nsecond line'
    [row] = written(tmp_path, empty_record("unsupported", reason, batch_size=8))
    assert (row["status"], row["reason"]) == ("unsupported", reason.replace("\n", " "))
    assert {row["psnr_mean"], row["attack_seconds"], row["attack_evaluations"], row["cell_seconds"]} == {""}


def test_rows_are_the_same_numbers_unrounded_in_plan_order(tmp_path: Path) -> None:
    records = [update_record([30.0, 31.0, 31.0], defense=name) for name in ("none", "sign", "clip(norm=1)")]
    rows = summary.rows(made_results(tmp_path, records))
    assert report.csv(Results(tmp_path)).count("\n") == 4
    assert [row["defense"] for row in rows] == ["none", "sign", "clip(norm=1)"]
    assert rows[0]["psnr_mean"] == pytest.approx(92 / 3, abs=1e-12)
    assert list(rows[0])[:2] == ["cell", "game"]


def test_equal_results_give_equal_bytes_and_leave_nothing_else(tmp_path: Path) -> None:
    records = [update_record([30.1, 31.7]), attribute_record()]
    for name in ("one", "two"):
        report.write_files(made_results(tmp_path / name, records))
    for file in ("summary.csv", "report.md"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one.replace(b"invbench: one", b"invbench: two") == two
    before = set((tmp_path / "one").iterdir())
    report.write_files(made_results(tmp_path / "one", records))
    assert set((tmp_path / "one").iterdir()) == before


def test_an_empty_result_has_a_header_and_no_row(tmp_path: Path) -> None:
    assert written(tmp_path) == []
    assert (tmp_path / "summary.csv").read_text().startswith("cell,game,dataset,attack,")


def test_certified_answers_are_counted_where_an_attack_certifies_any(tmp_path: Path) -> None:
    [row] = written(tmp_path, update_record([30.0, 34.0], facts={"facts": ({"certified": True}, {"certified": False})}))
    assert row["certified"] == "1"
    [row] = written(tmp_path / "silent", update_record([30.0, 34.0]))
    assert row["certified"] == ""


def test_numbers_are_written_as_pandas_writes_twelve_digits(tmp_path: Path) -> None:
    values = [1 / 3, 1e-7 / 3, -1e-99, 123456789.123456789, 2e99 / 3, 100.0]
    records = [update_record([value, value], seed=k) for k, value in enumerate(values)]
    results = made_results(tmp_path, [*records, update_record([1e99, -1e99], seed=9), empty_record("failed", 'a "b",')])
    rows = pd.DataFrame(summary.rows(results)).astype(dict.fromkeys(summary.WHOLE, "Int64"))
    assert report.csv(results) == rows.to_csv(index=False, float_format="%.12g", lineterminator="\n")
