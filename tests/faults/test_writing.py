"""A writer of results that is killed, or refused by the disk, at any of its calls: nothing torn, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import FinishedRun, invbench, records, table
from made_results import made_results, update_record

from invbench import report
from invbench.store import Results, StoreError, write_out

TESTS = Path(__file__).resolve().parents[1]


def swept(base: Path, every: int, first: int = 0) -> dict[str, Any]:
    path = os.pathsep.join(map(str, [TESTS, TESTS.parent]))
    command = [sys.executable, TESTS / "faults" / "writer_under_faults.py", base, str(every), str(first)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_broken_at_some_of_its_calls_a_writer_tears_nothing_and_the_resumed_folder_is_that_of_an_unbroken_one(
    tmp_path: Path,
) -> None:
    found = swept(tmp_path, 79)  # no factor of the 8 faults of a call, so that all kinds have their turn
    assert found["wrong"] == []
    assert found["faults"] >= 20


@pytest.mark.slow
@pytest.mark.parametrize("first", range(5))
def test_broken_at_each_of_its_calls_a_writer_tears_nothing_and_the_resumed_folder_is_that_of_an_unbroken_one(
    tmp_path: Path, first: int
) -> None:
    found = swept(tmp_path, 5, first)
    assert found["wrong"] == []
    assert found["faults"] >= 350


# What happens to a folder from outside


def test_a_folder_that_is_removed_in_mid_run_is_refused_and_not_made_again(tmp_path: Path) -> None:
    results = made_results(tmp_path / "r", [update_record()])
    with results.lock():
        for path in sorted(results.path.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        results.path.rmdir()
        with pytest.raises(StoreError, match=f"{results.path}.*: cannot be written: No such file"):
            results.write(update_record(seed=2))
        with pytest.raises(StoreError, match=f"{results.path}.*: cannot be written: No such file"):
            results.write_many([(update_record(seed=2), {})])
        with pytest.raises(StoreError, match=str(results.path)):
            report.write_files(results)
    assert not results.path.exists()


def test_a_record_that_appears_or_goes_between_two_looks_is_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = made_results(tmp_path / "r", [update_record()])
    [id] = results.plan()
    path = results.cell(id) / "record.json"
    text = path.read_bytes()
    opened, real = list[str](), os.open

    def appearing(name: Any, *more: Any, **others: Any) -> int:
        if str(name) != str(path):
            return real(name, *more, **others)
        opened.append(str(name))
        path.unlink(missing_ok=True)
        try:
            return real(name, *more, **others)
        finally:
            path.write_bytes(text)  # there at the next look

    monkeypatch.setattr(os, "open", appearing)
    assert results.record(id) is None
    assert results.records() == []
    assert len(opened) == 2


@pytest.mark.parametrize("call", ["listdir", "open"])
def test_what_the_disk_refuses_to_who_reads_is_one_refusal_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    results = made_results(tmp_path / "r", [update_record()])

    def refused(*_: Any, **__: Any) -> Any:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, call, refused)
    for read in (results.records, results.plan if call == "open" else results.older, lambda: report.csv(results)):
        with pytest.raises(StoreError, match=f"{results.path}.*: cannot be read: Input/output error"):
            read()


def test_a_run_sets_damaged_records_aside_names_them_and_computes_their_cells_again(
    finished: FinishedRun, tmp_path: Path
) -> None:
    result = finished.copy(tmp_path)
    arguments = ("run", "small.yaml", "--workers", 1, "--only", "defense=none", "--only", "batch_size=1")
    before = table(result)
    drawn = [path.parent for path in sorted(result.glob("cells/*/grid.png"))]
    cells = [cell for cell in drawn if records(result)[cell.name]["names"]["defense"] == "none"]
    assert len(cells) >= 2
    damaged, lacking = cells[0] / "record.json", next(c for c in cells[1:] if (c / "arrays.npz").exists())
    damaged.write_bytes(torn := damaged.read_bytes()[:100])
    (lacking / "arrays.npz").unlink()
    planned = invbench(*arguments, "--dry-run", folder=tmp_path)
    assert (planned.exit_code, damaged.read_bytes()) == (0, torn)
    again = invbench(*arguments, folder=tmp_path)
    assert again.exit_code == 0
    assert f"{damaged.relative_to(tmp_path)}:" in again.stderr
    assert "kept as record.damaged.json, and its cell is computed again" in again.stderr
    assert f"{lacking.relative_to(tmp_path)}: no arrays.npz any more; --fresh computes all again" in again.stderr
    assert (cells[0] / "record.damaged.json").read_bytes() == torn
    assert table(result) == before
    assert records(result)[lacking.name]["files"] == ["arrays.npz", "grid.png"]
    assert "arrays.npz" in invbench("show", result, lacking.name, folder=tmp_path).stdout.partition("- gone:")[2]


# Files that a user names


def test_a_fifo_a_device_and_a_link_stay_what_they_are(tmp_path: Path) -> None:
    fifo, link, target = tmp_path / "fifo", tmp_path / "link", tmp_path / "folder" / "page.md"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_out(fifo, "a page")
    assert os.read(reader, 100) == b"a page"
    assert fifo.is_fifo()
    os.close(reader)
    target.parent.mkdir()
    link.symlink_to(target)
    for content in ("first", "second"):
        write_out(link, content)
        assert (link.is_symlink(), target.read_text()) == (True, content)
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    write_out(null, "a page")
    assert null.is_symlink()
    assert not Path("/dev/null").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fifo", "folder", "link", "null"]


@pytest.mark.parametrize("command", ["report", "baseline"])
def test_the_name_of_the_standard_output_is_where_it_leads_and_what_is_there_stays(
    tmp_path: Path, command: str
) -> None:
    made_results(tmp_path / "r", [update_record()])
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("ab") as out:
        words = [sys.executable, "-m", "invbench", command, "r", "-o", "/dev/stdout"]
        subprocess.run(words, cwd=tmp_path, stdout=out, check=True, env=os.environ | {"PYTHONPATH": str(TESTS.parent)})
    text = log.read_text()
    assert text.startswith("before\n# invbench: r" if command == "report" else 'before\n{\n  "cells"')
    assert Path("/dev/stdout").is_symlink()


def test_arrays_of_a_cell_are_named_in_its_record_and_the_code_that_wrote_it(tmp_path: Path) -> None:
    results = made_results(tmp_path / "r", [])
    results.write(update_record(), {"a": np.zeros(3)}, {"grid.png": b""})
    found = Results(tmp_path / "r").record(update_record().id)
    assert found is not None
    assert found.files == ("arrays.npz", "grid.png")
    assert set(found.invbench) == {"version", "revision"}
    assert results.lost(found) == []
