"""Parts that misbehave: each costs its own cell, with a reason, and moves no bit of what comes before or after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Finished, invbench, records, write_small
from misbehaving import (
    ANSWERS,
    ASKED,
    DEATHS,
    DEFENSES,
    ERRORS,
    GENTLE,
    OWN,
    REFUSED,
    REPLACED,
    ROUGH,
    SETTINGS,
    TAKEN,
    Fault,
)
from their_attacks import install

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

MEASURED = ("seconds", "memory_mb")
KINDS = {"attack": "attacks", "defense": "defenses", "dataset": "data"}
FAULTS = len(GENTLE) + len(ROUGH) + len(DEFENSES) + len(REFUSED)


def neighbour(number: int) -> dict[str, Any]:
    """An attack like no other in the matrix, whose picture depends on every setting of torch."""
    return {"name": "inverting-gradients", "iterations": 2, "tv": 0.0001 * (number + 1)}


def matrix(faults: Mapping[str, Fault], *, alone: bool = False) -> str:
    """Each fault between two neighbours; `alone`: the neighbours without the faults."""
    attacks = [name for name, fault in faults.items() if fault.kind == "attack"]
    grid: list[Any] = [neighbour(0)]
    for number, name in enumerate(attacks):
        grid += [neighbour(number + 1)] if alone else [name, neighbour(number + 1)]
    common = {"model": "lenet", "batch_size": 1}
    said: dict[str, Any] = {"name": "small", "dataset": {"name": "npz", "path": "images.npz"}, "targets": 2}
    said |= {"timeout": 20, "grid": {"attack": grid, "defense": ["none"]} | {k: [v] for k, v in common.items()}}
    others = [name for name, fault in faults.items() if fault.kind == "defense"]
    if others and not alone:
        said["include"] = [common | {"attack": neighbour(0), "defense": name} for name in others]
    return yaml.safe_dump(said, sort_keys=False)


def run(folder: Path, faults: Mapping[str, Fault], workers: int = 1, *, alone: bool = False) -> Finished:
    folder.mkdir()
    write_small(folder)
    (folder / "small.yaml").write_text(matrix(faults, alone=alone))
    site = installed(folder, faults)
    return invbench(
        *("run", "small.yaml", "--workers", workers), folder=folder, PYTHONPATH=f"{site}:{_path()}", patience=1500.0
    )


def installed(folder: Path, faults: Mapping[str, Fault]) -> Path:
    return install(folder / "site", {f"{KINDS[fault.kind]}.{name}": fault.source for name, fault in faults.items()})


def _path() -> str:
    return str(Path(__file__).parents[2])


def check(folder: Path, faults: Mapping[str, Fault], done: Finished, alone: Path) -> None:
    """Every fault has its outcome, and its neighbours are those of a run without it, bit for bit."""
    assert "Traceback" not in done.stderr, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    found = records(folder / "results/small")
    by_part = {name: record for record in found.values() for name in record["names"].values() if name in faults}
    assert by_part.keys() == faults.keys()
    wrong = []
    for name, fault in faults.items():
        record = by_part[name]
        said = done.stderr if fault in REPLACED.values() else record["reason"] or json.dumps(record)
        if record["status"] != fault.status or fault.words not in said:
            wrong.append(f"{name}: {record['status']}: {said[:200]}")
        trace = folder / "results/small/cells" / record["id"] / "traceback.txt"
        if record["status"] == "failed" and fault not in DEATHS.values() and not trace.exists():
            wrong.append(f"{name}: no traceback")
        if record["status"] != "failed" and trace.exists():
            wrong.append(f"{name}: a traceback of nothing")
    assert wrong == []
    bad = {record["status"] for record in by_part.values()} - {"ok", "unsupported"}
    assert done.exit_code == int(bool(bad))
    for id, record in records(alone / "results/small").items():
        mine = {key: value for key, value in found[id].items() if key not in MEASURED}
        assert mine == {key: value for key, value in record.items() if key not in MEASURED}, record["names"]
        arrays = [place / "results/small/cells" / id / "arrays.npz" for place in (folder, alone)]
        assert arrays[0].read_bytes() == arrays[1].read_bytes(), record["names"]


def played(folder: Path, faults: Mapping[str, Fault], workers: int) -> Finished:
    alone = run(folder / "alone", faults, alone=True)
    assert alone.exit_code == 0, alone.stderr
    done = run(folder / "with", faults, workers)
    check(folder / "with", faults, done, folder / "alone")
    return done


def test_there_are_faults_of_every_kind() -> None:
    assert FAULTS >= 60
    assert len(GENTLE) == sum(map(len, (ANSWERS, TAKEN, ERRORS, ASKED, SETTINGS)))
    assert not (GENTLE.keys() & ROUGH.keys() | GENTLE.keys() & DEFENSES.keys())


def test_what_some_parts_give_raise_or_set_costs_their_own_cells_and_no_worker(tmp_path: Path) -> None:
    every = {**GENTLE, **DEFENSES}
    done = played(tmp_path, {name: every[name] for name in list(every)[::3]}, 1)
    assert "a new worker" not in done.stderr
    assert "again:" not in done.stderr


def test_what_some_parts_replace_or_start_costs_their_worker_and_goes_with_it(tmp_path: Path) -> None:
    done = played(tmp_path, {name: REPLACED[name] for name in ("code", "operator", "daemon")}, 1)
    assert done.stderr.count("a new worker after ") == 3


def test_a_part_that_is_asked_before_the_run_changes_nothing_for_whoever_asks(tmp_path: Path) -> None:
    done = played(tmp_path, ASKED, 1)
    assert done.stdout.count("\\x1b]0;asked") == 1, "what it prints is words, and nobody asks twice"
    shown = [line for line in done.stderr.splitlines() if " to compute, " in line]
    assert len(shown) == 1, "a copy of the process that comes back has nothing to say"


def test_a_part_that_cannot_be_imported_built_or_loaded_is_refused_at_its_place_whatever_it_raises(
    tmp_path: Path,
) -> None:
    write_small(tmp_path)
    site = installed(tmp_path, REFUSED)
    cells = []
    for name, fault in REFUSED.items():
        cell = {"attack": neighbour(0), "model": "lenet", "batch_size": 1, "defense": "none"}
        cells.append(cell | {fault.kind: name})
    said = {"name": "small", "dataset": {"name": "npz", "path": "images.npz"}, "targets": 1, "include": cells}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    done = invbench("run", "small.yaml", "--dry-run", folder=tmp_path, PYTHONPATH=f"{site}:{_path()}")
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(REFUSED), done.stderr
    for line, (name, fault) in zip(lines, REFUSED.items(), strict=True):
        file = site / f"{KINDS[fault.kind]}_{name.replace('-', '_')}.py"
        assert line.startswith("small.yaml:"), line
        assert fault.words.format(file=file) in line


def test_a_metric_that_cannot_be_imported_costs_its_own_column_whatever_it_raises(tmp_path: Path) -> None:
    statements = (OWN, "raise KeyboardInterrupt", "import os\nos._exit(0)")
    sources = {f"{kind}.own-{k}": f"{line}\n" for k, line in enumerate(statements) for kind in ("metrics", "attacks")}
    site = install(tmp_path / "site", sources)
    for kind in ("metrics", "attacks"):
        done = invbench("list", kind, folder=tmp_path, PYTHONPATH=f"{site}:{_path()}")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.count("BROKEN: ") == len(statements)
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_part_gives_raises_or_sets_costs_its_own_cell_and_no_worker(tmp_path: Path, workers: int) -> None:
    done = played(tmp_path, {**GENTLE, **DEFENSES}, workers)
    assert "a new worker" not in done.stderr
    assert "again:" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_part_replaces_starts_or_ends_costs_its_own_cell_and_its_worker(tmp_path: Path, workers: int) -> None:
    done = played(tmp_path, ROUGH, workers)
    assert done.stderr.count("a new worker after ") == len(REPLACED)
    assert sum(line.startswith("again: ") for line in done.stderr.splitlines()) == sum(
        fault.status == "failed" for fault in DEATHS.values()
    ), "a worker that dies is forgiven once"
