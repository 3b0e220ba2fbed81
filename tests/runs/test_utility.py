"""The matrix's key `utility`: trainings beside the cells, once each, kept, resumed, merged, and no part of any id."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from exact_attack import EXACT
from small_cells import MLP, write_pool

from invbench import cli, matrix, report
from invbench.matrix import Matrix, MatrixErrors
from invbench.runs.executors import Crew, Ended, Event, Started, Task
from invbench.runs.run import Made, News, Planned, run
from invbench.runs.shards import read_shard
from invbench.store import Damaged, Results, merge
from invbench.store.utility import damaged_utilities, utilities, utility_of

SMALL: dict[str, Any] = {"rounds": 2, "clients": 2}
NOISE = {"name": "gaussian", "std": 0.1}


def written(folder: Path, utility: Any = SMALL, **grid: Any) -> Matrix:
    """A matrix of the attack in closed form on untrained and trained networks, without and with noise."""
    if not (folder / "pool.npz").exists():
        drawn = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
        write_pool(folder / "pool.npz", drawn)
    axes = {"attack": EXACT, "model": [MLP, {**MLP, "trained": True, "training_steps": 3}], "defense": ["none", NOISE]}
    said = {"dataset": {"name": "npz", "path": "pool.npz"}, "targets": 2, "seed": [0, 1], "grid": axes | grid}
    (folder / "m.yaml").write_text(yaml.safe_dump(said if utility is None else said | {"utility": utility}))
    return matrix.load(folder / "m.yaml")


def ran(
    read: Matrix, folder: Path, trainings: Any = None, cells: int = 0, **more: Any
) -> tuple[Results, list[News], list[str]]:
    """A run in this process, of so many cells: its result, its news and the names of its tasks' functions."""
    news, calls = list[News](), list[str]()

    def execute(tasks: Sequence[Task]) -> Iterator[Event]:
        for task in tasks:
            module, name = task.function.split(":")
            calls.append(name)
            yield Started(task.key, 0)
            yield Ended(task.key, getattr(importlib.import_module(module), name)(*task.arguments))

    results = Results(folder)
    every = list({one.id: one for one in read.federations.values()}.values()) if trainings is None else trainings
    crew = Crew("cpu", 1, execute)  # type: ignore[arg-type]  # an iterator that nobody closes
    run(read, read.cells[:cells], results, {}, crew=crew, trainings=every, listen=news.append, **more)
    return results, news, calls


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def test_no_cell_knows_of_it_and_cells_of_one_defence_share_it(tmp_path: Path) -> None:
    bare, asked = written(tmp_path, None), written(tmp_path)
    assert [cell.id for cell in bare.cells] == [cell.id for cell in asked.cells]
    assert (len(bare.federations), len(asked.federations)) == (0, 8)
    assert len({one.id for one in asked.federations.values()}) == 4  # defence and seed; trained and untrained share it
    hidden = written(tmp_path, protocol=[{"name": "fedsgd", "labels": "hidden", "clients": 2}])
    assert {one.id for one in hidden.federations.values()} == {one.id for one in asked.federations.values()}
    other = written(tmp_path, {**SMALL, "rounds": 3})
    assert not {one.id for one in other.federations.values()} & {one.id for one in asked.federations.values()}


def test_ids_change_where_the_bytes_of_a_message_were_counted_wrongly(tmp_path: Path) -> None:
    quantize, clip = {"name": "quantize", "bits": 4}, {"name": "clip", "norm": 1.0}
    stacks = [[clip, NOISE], [quantize, NOISE], [quantize], [NOISE, "secure-aggregation"]]
    stacks.append(["sign", {"name": "top-k", "fraction": 0.1}])
    read = written(tmp_path, defense=stacks)
    found = {one.names["defense"]: one.settings.get("messages") for one in read.federations.values()}
    assert list(found.values()) == [None, 2, None, None, 2]


def test_a_run_trains_each_once_keeps_it_and_shows_it(tmp_path: Path) -> None:
    read = written(tmp_path)
    results, news, calls = ran(read, tmp_path / "one", cells=1, conclude=report.write_files)
    assert calls.count("make") == calls.count("record_of") == 4
    (planned,) = [one for one in news if isinstance(one, Planned)]
    assert (planned.to_train, planned.trained) == (4, 0)
    assert any("accuracy" in one.what for one in news if isinstance(one, Made))
    assert {one.status for one in utilities(results).values()} == {"ok"}
    _, _, again = ran(read, tmp_path / "one", cells=1)
    assert again == []
    _, _, elsewhere = ran(read, tmp_path / "two")
    assert elsewhere.count("make") == 0, "made once on this machine"
    rows = list(csv.DictReader(io.StringIO((results.path / "summary.csv").read_text())))
    assert len(rows) == 8
    assert 0 <= float(rows[0]["utility_accuracy_mean"]) <= 1
    assert float(rows[0]["utility_accuracy_ci_low"]) <= float(rows[0]["utility_accuracy_ci_high"])
    shown = report.cell_page(results, rows[0]["cell"])
    assert "## Utility" in shown
    assert "Accuracy over 2 seeds" in shown


def test_a_torn_record_is_set_aside_and_made_again(tmp_path: Path) -> None:
    read = written(tmp_path, defense=["none"])
    results, _, _ = ran(read, tmp_path / "one")
    id = next(iter(results.federations().values()))
    before = utility_of(results, id)
    path = results.path / "utility" / f"{id}.json"
    path.write_text(path.read_text()[:40])
    _, news, calls = ran(read, tmp_path / "one")
    assert calls == ["record_of"]
    assert any("damaged" in str(one) for one in news)
    after = utility_of(results, id)
    assert before is not None
    assert after is not None
    assert replace(after, seconds=before.seconds) == before


EDITED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"accuracy": 2.5}, "accuracy is 2.5, which is no share"),
    ({"held_out": -5}, "held_out is -5, and must be at least 1"),
    ({"rounds": 0}, "rounds is 0"),
    ({"message_bytes": -1.0}, "message_bytes is -1"),
    ({"seconds": {"whole": 1.0}}, "lacks a number"),
    ({"seconds": {"round": -1.0}}, "'seconds' must be numbers of at least 0"),
    ({"settings": {}}, "in 'utility', which it lacks"),
    ({"settings": {"utility": {"clients": "ten"}}}, "where clients must be a number"),
    ({"settings": {"utility": {**dict.fromkeys(("clients", "rounds", "batch_size", "lr"), 1)}}}, "must be a word"),
    ({"status": "fine"}, "status"),
    ({"id": "0" * 16}, "is the record of another training"),
)


def test_an_edited_record_is_damaged_and_left_out_of_pages_that_name_it(tmp_path: Path) -> None:
    """Pages print what the settings say: of such a record they would end in a traceback."""
    results, _, _ = ran(written(tmp_path, defense=["none"]), tmp_path / "one")
    id = next(iter(results.federations().values()))
    path = results.path / "utility" / f"{id}.json"
    whole = json.loads(path.read_text())
    for edit, words in EDITED:
        path.write_text(json.dumps(whole | edit))
        with pytest.raises(Damaged) as caught:
            utility_of(results, id)
        assert words in str(caught.value), edit
    report.write_files(results)
    page, other = (results.path / "report.md").read_text(), next(iter(set(results.federations().values()) - {id}))
    assert f"utility/{id}.json: is the record of another training" in page
    assert set(damaged_utilities(results)) == {id}
    assert {one.id for one in utilities(results).values()} == {other}
    with pytest.raises(Damaged, match="is the record of another training"):
        merge([results], Results(tmp_path / "whole"), ["merge"])
    assert not (tmp_path / "whole").exists(), "refused before anything is written"


def test_the_page_of_a_cell_and_the_command_name_a_torn_record_and_end_well(tmp_path: Path) -> None:
    results, _, _ = ran(written(tmp_path, defense=["none"]), tmp_path / "one", cells=1)
    cell = results.records()[0].id
    path = results.path / "utility" / f"{results.federations()[cell]}.json"
    path.write_text(path.read_text()[:40])
    assert f"left out, damaged: {path}" in report.cell_page(results, cell).replace("\\", "")
    ended = CliRunner().invoke(cli.invbench, ["report", str(results.path)])
    assert ended.exit_code == 0
    assert f"left out: {path}" in ended.stderr
    assert f"utility/{path.name}" in ended.stdout.replace("\\", "")


def test_shards_deal_trainings_and_merge_brings_them_together(tmp_path: Path) -> None:
    read = written(tmp_path)
    every = list({one.id: one for one in read.federations.values()}.values())
    parts = [ran(read, tmp_path / f"part{number}", read_shard(f"{number}/2").of(every))[0] for number in (1, 2)]
    for part in parts:
        assert len({one.id for one in utilities(part).values()}) == 2
    whole = Results(tmp_path / "whole")
    merge(parts, whole, ["merge"])
    assert {one.id for one in utilities(whole).values()} == {one.id for one in every}


def test_a_training_that_fails_is_recorded_with_its_reason_and_tried_again(tmp_path: Path) -> None:
    read = written(tmp_path, defense=["none"])

    def execute(tasks: Sequence[Task]) -> Iterator[Event]:
        for task in tasks:
            yield Ended(task.key, problem="failed", reason="ArithmeticError: training diverged")

    results, every = Results(tmp_path / "one"), list({f.id: f for f in read.federations.values()}.values())
    crew = Crew("cpu", 1, execute)  # type: ignore[arg-type]
    run(read, [], results, {}, crew=crew, trainings=every[:1])
    record = utility_of(results, every[0].id)
    assert record is not None
    assert (record.status, record.done) == ("failed", False)
    assert "diverged" in str(record.reason)


@pytest.mark.parametrize(
    ("utility", "words"),
    [
        ({"round": 3}, "utility has no 'round'; nearest: 'rounds'"),
        ({"participation": 0}, "participation must be above 0, at most 1, not 0"),
        ({"split": "dirchlet"}, "split must be iid or dirichlet, not 'dirchlet'; nearest: 'dirichlet'"),
        ({"alpha": 1.0}, "alpha is a setting of split dirichlet"),
        (3, "utility must be true or a mapping of settings, not 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, utility: Any, words: str) -> None:
    with pytest.raises(MatrixErrors) as told:
        written(tmp_path, utility)
    assert words in str(told.value)
    assert "m.yaml:" in str(told.value)


def test_a_matrix_in_which_nobody_shares_updates_is_refused(tmp_path: Path) -> None:
    said = {"dataset": {"name": "warfarin", "sensitive": "vkorc1"}, "targets": 2, "utility": True}
    grid = {"attack": "map-inversion", "model": "iwpc"}
    (tmp_path / "m.yaml").write_text(json.dumps(said | {"grid": grid}))
    with pytest.raises(MatrixErrors, match="utility needs cells in which clients share updates"):
        matrix.load(tmp_path / "m.yaml")
