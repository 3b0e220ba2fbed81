"""Published claims that are cheap enough to check each time, and the results that the repository keeps."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from command_line import invbench

from invbench.report import summary
from invbench.store import Results

ROOT = Path(__file__).parents[1]
REFERENCE = sorted(path.parent for path in (ROOT / "results" / "reference").glob("*/plan.json"))


def test_idlg_reads_every_label_of_the_first_100_cifar10_test_pictures(shared_data: Path, tmp_path: Path) -> None:
    matrix = ROOT / "benchmarks" / "reproduce" / "zhao2020-labels.yaml"
    data = f"dataset.path={shared_data / 'cifar10-test-first100.npz'}"
    done = invbench("run", matrix, "--set", data, "-o", "labels", "--quiet", folder=tmp_path)
    assert done.exit_code == 0, done.stderr
    (record,) = Results(tmp_path / "labels").records()
    assert record.scores["label_accuracy"] == [[1.0]] * 100


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda folder: folder.name)
def test_a_kept_table_is_what_its_records_say(folder: Path) -> None:
    kept = list(csv.DictReader((folder / "summary.csv").open()))
    made = summary.rows(Results(folder))
    assert [row["cell"] for row in kept] == [row["cell"] for row in made]
    assert [row["psnr_mean"] for row in kept] == [f"{row['psnr_mean']:.12g}" for row in made]


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda folder: folder.name)
def test_a_kept_result_names_no_place_on_a_machine_and_no_arrays(folder: Path) -> None:
    assert not list(folder.glob("cells/*/arrays.npz"))
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".yaml", ".md", ".csv")]
    assert not [text for text in texts if str(Path.home()) in text or "=/" in text]
