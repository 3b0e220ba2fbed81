"""`invbench run` as a user meets it: what it says, what it writes, what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import (
    FinishedRun,
    environment,
    invbench,
    outcomes,
    records,
    statuses,
    table,
    write,
    write_small,
    written,
)
from exact_attack import EXACT
from their_attacks import install

WARFARIN = """\
dataset: {name: warfarin, sensitive: vkorc1}
targets: 5
grid: {attack: [map-inversion], model: [iwpc]}
"""


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and the time of its last change."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_a_run_says_how_each_cell_ended_and_where_to_look(finished: FinishedRun) -> None:
    done = finished.done
    assert done.exit_code == 0
    first, *lines = done.stderr.splitlines()
    assert first == "6 cells (5 of game update, 1 of game attribute): 6 to compute, 0 kept from before"
    made = [line for line in lines if line.startswith("made: ")]
    assert all(re.match(r"made: (\d+ x )?limits of a target of ", line) for line in made)
    assert len(set(made)) == len(made), "targets of a cell are told together"
    lines = [line for line in lines if line not in made]
    assert [line[:5] for line in lines] == [f"[{k}/6]" for k in range(1, 7)]
    said = "\n".join(line[6:] for line in lines)
    assert f"{EXACT} mlp(width=8) b2 none  unsupported: needs batch_size 1, not 2" in said
    for row in table(finished.result):
        if row["status"] == "ok" and row["game"] == "update":
            name = f"{row['attack']} {row['model']} b{row['batch_size']} {row['defense']}"
            numbers = f"psnr {float(row['psnr_mean']):.2f} dB (control {float(row['control_psnr_mean']):.2f})"
            assert re.search(re.escape(f"{name}  {numbers}") + r"  \d+(\.\d)? s$", said, re.MULTILINE)
    counts, *places = done.stdout.splitlines()
    assert counts == "5 ok, 1 unsupported"
    paths = [place.split(maxsplit=1)[1] for place in places]
    assert paths == ["results/small/report.md", "results/small/summary.csv", "results/small/cells/*/grid.png"]
    assert all(list(finished.folder.glob(path)) for path in paths)


def test_the_folder_holds_what_the_contract_names(finished: FinishedRun) -> None:
    result = finished.result
    assert {path.name for path in result.iterdir() if not path.name.startswith(".")} == {
        *("matrix.yaml", "environment.json", "plan.json", "cells", "summary.csv", "report.md"),
    }
    assert (result / "matrix.yaml").read_text() == (finished.folder / "small.yaml").read_text()
    facts = json.loads((result / "environment.json").read_text())
    assert facts["command"] == ["run", "small.yaml", "--workers", "2"]
    assert (facts["device"], facts["threads"], facts["workers"]) == ("cpu", 1, 2)
    assert [row["cell"] for row in table(result)] == json.loads((result / "plan.json").read_text())["cells"]
    for id, record in records(result).items():
        files = {path.name for path in (result / "cells" / id).iterdir()}
        pictures = {"arrays.npz", "grid.png"} if record["names"]["game"] == "update" else {"arrays.npz"}
        assert files == {"record.json"} | (pictures if record["status"] == "ok" else set())


def test_an_attack_in_closed_form_reads_the_pictures_and_hardly_through_noise(finished: FinishedRun) -> None:
    rows = {row["defense"]: row for row in table(finished.result) if (row["attack"], row["status"]) == (EXACT, "ok")}
    assert float(rows["none"]["psnr_mean"]) > 90
    assert float(rows["gaussian(std=0.1)"]["psnr_mean"]) < float(rows["gaussian(std=0.1)"]["control_psnr_mean"]) + 10


def test_every_mistake_of_a_matrix_is_told_at_once_with_place_and_nearest_name(tmp_path: Path) -> None:
    text = """\
name: wrong
dataset: {name: npz, path: gone.npz}
tragets: 3
grid:
  attack: [dgl, {name: inverting-gradients, iteratons: 5}]
  model: [lenet]
  batch_size: [0]
"""
    write(tmp_path / "wrong.yaml", text)
    done = invbench("run", "wrong.yaml", folder=tmp_path)
    assert done.exit_code == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [re.match(r"wrong\.yaml:(\d+:\d+): ", line).group(1) for line in lines] == [
        *("2:28", "3:1", "5:12", "5:45", "7:16"),
    ]
    assert "gone.npz" in lines[0]
    assert [line.partition("; nearest: ")[2] for line in lines] == ["", "'targets'", "'dlg'", "'iterations'", ""]
    assert not (tmp_path / "results").exists()


def test_an_unknown_device_or_choice_and_a_folder_of_something_else_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "m.yaml", WARFARIN)
    gpu = invbench("run", "m.yaml", "--device", "cuda:7", folder=tmp_path)
    assert (gpu.exit_code, gpu.stderr) == (2, "--device cuda:7: this machine has no GPUs\n")
    only = invbench("run", "m.yaml", "--only", "attack=map-inversoin", folder=tmp_path)
    assert (only.exit_code, only.stdout) == (2, "")
    assert only.stderr == (
        "--only attack=map-inversoin: no cell has attack 'map-inversoin'; nearest: 'map-inversion'\n"
    )
    assert not (tmp_path / "results").exists()
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine/thesis.txt", "years of work")
    foreign = invbench("run", "m.yaml", "-o", "mine", folder=tmp_path)
    assert foreign.exit_code == 2
    assert foreign.stderr.startswith("mine: holds 'thesis.txt' but no plan.json, so it is not a result of invbench")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_matrix_of_which_no_cell_can_be_run_ends_2_and_tells_why(tmp_path: Path, dry: list[str]) -> None:
    """A folder one level off: all pictures are of one class, every update is zero, and nothing would seem to leak."""
    write_small(tmp_path)
    np.savez(tmp_path / "images.npz", images=np.load(tmp_path / "images.npz")["images"], labels=np.zeros(12, np.int64))
    write(tmp_path / "one.yaml", "dataset: {name: npz, path: images.npz}\ngrid: {attack: idlg, model: mlp}\n")
    done = invbench("run", "one.yaml", *dry, folder=tmp_path)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("one.yaml: no cell that it asks for can be run; each is unsupported")
    assert "npz(path=images.npz) has one class, of which every update is zero" in joined(done.stdout + done.stderr)
    if not dry:
        assert statuses(tmp_path / "results" / "one") == {"idlg": "unsupported"}


def joined(words: str) -> str:
    """Folded lines as one."""
    return " ".join(words.split())


def test_a_dry_run_forecasts_and_writes_nothing_at_all(tmp_path: Path) -> None:
    write_small(tmp_path)
    before = tree(tmp_path)
    trained = "grid.model=[{name: mlp, width: 8, trained: true}]"
    done = invbench("run", "small.yaml", "--dry-run", "--workers", 2, "--set", trained, folder=tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert tree(tmp_path) == before
    lines = done.stdout.splitlines()
    names = [line.split("  ", 1)[1] for line in lines if re.match(r"[0-9a-f]{8}  ", line)]
    assert len(names) == 6
    assert names[0] == f"{EXACT} mlp(trained=true,width=8) b1 none"
    assert sum(re.fullmatch(r" +attack: at most [\d.]+ s(, [1-9]\d* MB)?", line) is not None for line in lines) == 5
    assert (
        sum(line.endswith("first: training mlp(trained=true,width=8) on npz(path=images.npz)") for line in lines) == 4
    )
    [refused] = [line.strip() for line in lines if "unsupported:" in line]
    assert refused.startswith("unsupported: needs batch_size 1, not 2: ")
    assert max(map(len, lines)) <= 80
    counts = lines.index("6 cells (5 of game update, 1 of game attribute): 5 to compute, 1 unsupported")
    costs = joined("\n".join(lines[counts + 1 :]))
    assert re.match(r"attacks: at most [\d.]+ s with 2 workers on cpu(, [1-9]\d* MB each)?; ", costs)


def test_a_dry_run_tells_what_would_be_kept_and_what_would_fail(
    finished: FinishedRun, tmp_path: Path, site: Path
) -> None:
    result = finished.copy(tmp_path)
    before = tree(result)
    words = [
        "run",
        "small.yaml",
        "--dry-run",
        "--set",
        "include=[{attack: bad-attack, model: iwpc, dataset: {name: warfarin, sensitive: vkorc1}}]",
    ]
    done = invbench(*words, folder=tmp_path, PYTHONPATH=str(site))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("done before, kept") == 4
    assert "no forecast: ValueError: no such luck" in done.stdout
    assert "5 cells (4 of game update, 1 of game attribute): 4 kept, 1 to compute without a forecast" in joined(
        done.stdout
    )
    assert tree(result) == before


def test_an_attack_of_another_package_runs_and_one_that_raises_costs_its_own_cell(tmp_path: Path) -> None:
    """The whole attack of CONTRIBUTING.md as a package of its own, beside one with a mistake in it."""
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    source = re.search(r"```python\n(.*?)```", guide, re.DOTALL).group(1)
    broken = source.replace("shape, self.level", "shape, self.levle")
    assert broken != source
    place = 1 + broken[: broken.index("self.levle")].count("\n")
    site = install(tmp_path / "site", {"flat-guess": source, "bad-attack": broken})
    write_small(tmp_path)
    attacks = "grid.attack=[bad-attack, {name: flat-guess, level: 0.25}]"
    words = ["run", "small.yaml", "--workers", 1, "--set", attacks, "--set", "grid.defense=none", "--set", "include=[]"]
    done = invbench(*words, folder=tmp_path, PYTHONPATH=str(site))
    result = tmp_path / "results/small"
    assert done.exit_code == 1, done.stderr
    assert statuses(result) == {"bad-attack": "failed", "flat-guess": "ok"}
    (failed,) = (record for record in records(result).values() if record["status"] == "failed")
    assert re.fullmatch(rf"AttributeError: .*'levle'.* \(bad_attack\.py:{place}\)", failed["reason"])
    assert f"failed: {failed['reason']}" in done.stderr
    assert "Traceback" not in done.stderr
    assert failed["reason"] in (result / "report.md").read_text().replace("\\", "")
    (row,) = (row for row in table(result) if row["status"] == "ok")
    assert row["attack"] == "flat-guess(level=0.25)"
    assert float(row["psnr_mean"]) < float(row["control_psnr_mean"])
    listed = invbench("list", "attacks", "flat-guess", folder=tmp_path, PYTHONPATH=str(site))
    assert "the grey level; at least 0, at most 1" in listed.stdout


def test_a_victim_is_trained_once_for_every_cell_that_attacks_it_and_kept(tmp_path: Path) -> None:
    write_small(tmp_path)
    model = "grid.model=[{name: mlp, width: 8, trained: true, training_steps: 3}]"
    words = [
        "run",
        "small.yaml",
        "--workers",
        2,
        "--set",
        model,
        "--set",
        f"grid.attack={EXACT}",
        "--set",
        "include=[]",
    ]
    words += ["--set", "targets=1", "--set", "grid.defense=[none, {name: clip, norm: 1.0}]"]
    done = invbench(*words, folder=tmp_path)
    assert done.exit_code == 0, done.stderr
    made = [line for line in done.stderr.splitlines() if line.startswith("made: ")]
    assert len(made) == 1
    assert made[0].startswith("made: training mlp(trained=true")
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
    again = invbench(*words, "--workers", 1, "--quiet", "-o", "again", folder=tmp_path)
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "")
    assert outcomes(tmp_path / "again") == outcomes(tmp_path / "results/small")


def test_the_installed_command_runs_too(tmp_path: Path) -> None:
    """Workers start by importing the main module again: a script's is another than `python -m`'s."""
    script = Path(sys.executable).with_name("invbench")
    write(tmp_path / "m.yaml", WARFARIN)
    done = subprocess.run(
        [script, "run", "m.yaml", "--quiet"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert statuses(tmp_path / "results/m") == {"map-inversion": "ok"}
    assert written(tmp_path / "results/m")
