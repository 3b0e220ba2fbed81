"""Running cells: what is kept, what is computed again, and that the number of workers changes nothing."""

from __future__ import annotations

from pathlib import Path

from command_line import FinishedRun, invbench, outcomes, records, table, write_small, written
from exact_attack import EXACT


def test_one_worker_and_two_give_equal_tables(finished: FinishedRun, tmp_path: Path) -> None:
    write_small(tmp_path)
    done = invbench("run", "small.yaml", "--workers", 1, folder=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert table(tmp_path / "results/small") == table(finished.result)
    assert outcomes(tmp_path / "results/small") == outcomes(finished.result)


def test_what_is_done_is_kept_and_fresh_computes_it_again(finished: FinishedRun, tmp_path: Path) -> None:
    result = finished.copy(tmp_path)
    before, known = written(result), outcomes(result)
    again = invbench("run", "small.yaml", folder=tmp_path)
    assert again.exit_code == 0
    assert again.stderr.splitlines() == [
        "6 cells (5 of game update, 1 of game attribute): 0 to compute, 6 kept from before"
    ]
    assert written(result) == before
    fresh = invbench("run", "small.yaml", "--fresh", "--only", "attack=map-inversion", folder=tmp_path)
    assert fresh.exit_code == 0
    anew = {id for id, at in written(result).items() if at != before[id]}
    assert {known[id]["names"]["attack"] for id in anew} == {"map-inversion"}
    assert outcomes(result) == known
    assert table(result) == table(finished.result)


def test_a_control_asked_for_later_recomputes_only_what_lacks_it(finished: FinishedRun, tmp_path: Path) -> None:
    result = finished.copy(tmp_path)
    before, known = written(result), records(result)
    words = ["run", "small.yaml", "--workers", 1, "--set", "controls=[grey, mean, noise]"]
    assert invbench(*words, folder=tmp_path).exit_code == 0
    now = records(result)
    assert now.keys() == known.keys()
    for id, record in now.items():
        is_attacked = record["names"]["game"] == "update" and record["status"] == "ok"
        assert (written(result)[id] != before[id]) == is_attacked
        assert ("noise" in record["controls"]) == is_attacked
        assert record["scores"] == known[id]["scores"]
    assert invbench(*words, folder=tmp_path).stderr.startswith(
        "6 cells (5 of game update, 1 of game attribute): 0 to compute, 6 kept"
    )
    exact = [row for row in table(result) if (row["attack"], row["status"]) == (EXACT, "ok")]
    assert {row["defense"] for row in exact} == {"none", "gaussian(std=0.1)"}
    assert len({row["control_noise_psnr_mean"] for row in exact}) == 1  # noise knows nothing of the defence


def test_only_the_chosen_cells_run_as_set_says_and_quiet_says_nothing(tmp_path: Path) -> None:
    """A path in the file starts at the file, one given by --set at the working directory."""
    (tmp_path / "elsewhere").mkdir()
    write_small(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/images.npz").rename(tmp_path / "mine.npz")
    chosen = ["--only", f"attack={EXACT}", "--only", "defense=none", "--only", "batch_size=1"]
    changed = ["--set", "dataset.path=mine.npz", "--set", "targets=2"]
    done = invbench("run", "elsewhere/small.yaml", *chosen, *changed, "--quiet", "-o", "there", folder=tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    (record,) = records(tmp_path / "there").values()
    assert (record["names"]["attack"], record["names"]["defense"], record["targets"]) == (EXACT, "none", 2)
    assert record["dataset"]["path"] == "mine.npz"
    assert not (tmp_path / "results").exists()
    assert "mine.npz" in (tmp_path / "there/matrix.yaml").read_text()
