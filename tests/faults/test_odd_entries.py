"""Links, pipes and folders in a results folder: nothing outside is changed, nothing in it is lost, and runs go on."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import FinishedRun, invbench, table
from made_results import made_results, update_record

import invbench as package
from invbench import report
from invbench.store import Results, StoreError, fresh, merge
from invbench.store.writing import TEMPORARY

RECORDS = [update_record((20.0 + k, 30.0), seed=k) for k in range(3)]
MANY_RECORDS = [(update_record(seed=k), {}) for k in range(3, 40)]
CELL = f"cells/{RECORDS[0].id}"
FILES = (
    "plan.json", "matrix.yaml", "environment.json", "report.md", "summary.csv", "fresh.json", ".invbench.lock",
    ".invbench.holder", ".plan.json.PID.tmp", ".plan.json.7.tmp", f"{CELL}/record.json",
    f"{CELL}/arrays.npz", f"{CELL}/grid.png", f"{CELL}/.record.json.PID.tmp",
    f"cells/{MANY_RECORDS[0][0].id}/.record.json.PID.tmp",
)  # fmt: skip
ENTRIES = (*FILES, CELL, "cells", f"cells/{MANY_RECORDS[0][0].id}")
"""What a results folder holds, by its name in it; PID is the number of this process."""
PUT = [(kind, entry) for kind in ("link", "pipe") for entry in ENTRIES]
PUT += [(kind, entry) for kind in ("hard link", "folder") for entry in FILES]


def put(path: Path, kind: str, outside: Path) -> None:
    """Put an entry of this kind in a path's place. Links lead into `outside`, which gets what was there."""
    path.parent.mkdir(exist_ok=True)
    if kind in ("link", "hard link"):
        theirs = outside / "theirs"
        if os.path.lexists(path):
            shutil.move(path, theirs)
        elif TEMPORARY.fullmatch(path.name) or path.suffix:
            theirs.write_text("precious")
        else:
            theirs.mkdir()
        if theirs.is_dir():
            (theirs / "notes.txt").write_text("precious")
            (theirs / ".notes.txt.12.tmp").write_text("precious")
        path.symlink_to(theirs) if kind == "link" else os.link(theirs, path)
        return
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "theirs.txt").write_text("precious")


def use(results: Results, source: Results) -> Iterator[Callable[[], object]]:
    """Everything that writes into a results folder, each to be called under its lock."""
    id = RECORDS[0].id
    yield lambda: results.create("name: again\n", results.plan(), {})
    yield lambda: fresh.begin(results, [id])
    yield lambda: results.write(RECORDS[0], {"originals": np.zeros(3)}, {"grid.png": b"a picture"})
    yield lambda: results.write_many(MANY_RECORDS)
    yield lambda: results.copy(id, source)
    yield lambda: results.set_aside(id)
    yield lambda: results.write(RECORDS[0], {"originals": np.zeros(3)})
    yield lambda: report.write_files(results)
    yield lambda: fresh.end(results, [id])


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    facts = [(p, p.lstat()) for p in sorted(folder.rglob("*"))]
    return {
        str(p.relative_to(folder)): (s.st_ino, s.st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p, s in facts
    }


@pytest.mark.parametrize(("kind", "entry"), PUT)
@pytest.mark.filterwarnings("ignore:.*kept as")
def test_nothing_outside_a_results_folder_is_changed_and_nothing_in_it_lost(
    tmp_path: Path, kind: str, entry: str
) -> None:
    results, outside = made_results(tmp_path / "r", RECORDS), tmp_path / "outside"
    source = made_results(tmp_path / "source", RECORDS)
    outside.mkdir()
    put(results.path / entry.replace("PID", str(os.getpid())), kind, outside)
    before = tree(outside)
    for write in use(results, source):
        try:
            with results.lock():
                write()
        except StoreError:
            continue
    assert tree(outside) == before
    if kind == "folder":
        kept = [path.read_text() for path in results.path.rglob("theirs.txt")]
        assert kept == ["precious"]


@pytest.mark.parametrize("entry", [CELL, "cells"])
def test_a_folder_of_cells_that_is_a_link_is_refused_and_one_cell_s_set_aside_by_name(
    tmp_path: Path, entry: str
) -> None:
    results, outside = made_results(tmp_path / "r", RECORDS), tmp_path / "outside"
    outside.mkdir()
    put(results.path / entry, "link", outside)
    with results.lock():
        if entry == "cells":
            with pytest.raises(StoreError, match=r"r/cells: is a link or a file; a result is written into folders of"):
                results.create("name: again\n", results.plan(), {})
            return
        results.create("name: again\n", results.plan(), {})
        with pytest.warns(match=rf"{CELL}: is a link, which is not written to; kept as {RECORDS[0].id}\.damaged"):
            results.write(RECORDS[0])
    assert [record.id for record in results.records()] == [record.id for record in RECORDS]
    assert (results.path / f"{CELL}.damaged").is_symlink()


def test_a_results_folder_reached_through_a_link_that_its_user_named_is_written(tmp_path: Path) -> None:
    made_results(tmp_path / "r", RECORDS)
    (tmp_path / "link").symlink_to("r")
    results = Results(tmp_path / "link")
    with results.lock():
        results.create("name: again\n", results.plan(), {})
        results.write(RECORDS[0], {"originals": np.zeros(3)})
        report.write_files(results)
    assert (tmp_path / "r/report.md").is_file()
    assert merge([results], Results(tmp_path / "merged"), []).missing == ()


def test_each_damaged_record_of_a_cell_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    results = made_results(tmp_path / "r", RECORDS)
    folder = results.cell(RECORDS[0].id)
    names = []
    for content in ("first", "second", "third"):
        (folder / "record.json").write_text(content)
        names.append(results.set_aside(RECORDS[0].id).name)
    assert names == ["record.damaged.json", "record.damaged-2.json", "record.damaged-3.json"]
    results.write(RECORDS[0])
    assert [(folder / name).read_text() for name in names] == ["first", "second", "third"]


def test_a_run_goes_on_whatever_its_cells_hold_and_says_what_it_set_aside(
    tmp_path: Path, finished: FinishedRun
) -> None:
    result = finished.copy(tmp_path)
    before, cells = table(result), sorted(path.parent for path in result.glob("cells/*/arrays.npz"))
    (cells[0] / "record.json").unlink()
    (cells[0] / "record.json").mkdir()
    (cells[0] / "record.damaged.json").write_text("of before")
    (cells[1] / "record.json").write_text("torn")
    (cells[1] / "arrays.npz").unlink()
    (cells[1] / "arrays.npz").mkdir()
    shutil.rmtree(cells[2])
    cells[2].write_text("a file")
    (result / ".plan.json.7.tmp").mkdir()
    (result / "summary.csv").unlink()
    (result / "summary.csv").mkdir()
    again = invbench("run", "small.yaml", "--workers", 1, folder=tmp_path)
    assert (again.exit_code, again.stderr.count("Traceback")) == (0, 0), again.stderr
    assert table(result) == before
    assert (cells[0] / "record.damaged.json").read_text() == "of before"
    assert (cells[0] / "record.damaged-2.json").is_dir()
    assert (cells[1] / "arrays.damaged.npz").is_dir()
    assert cells[2].with_name(f"{cells[2].name}.damaged").read_text() == "a file"
    for name in ("record.damaged-2.json", "arrays.damaged.npz", f"{cells[2].name}.damaged", "summary.damaged.csv"):
        assert f"kept as {name}" in again.stderr


WRITERS = {"write_text", "write_bytes", "touch", "unlink", "rename", "mkdir", "rmdir", "rmtree"}
"""What changes a file or a folder; so do `os.replace`, `os.remove`, and `open` to write."""


def writing(call: ast.Call) -> str | None:
    """The call's name where it writes or removes something."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [word.value for word in call.args if isinstance(word, ast.Constant)]
    opened = name == "open" and any(set("wxa+") & set(mode) for mode in modes if isinstance(mode, str))
    moved = name in ("replace", "remove") and ast.unparse(call.func).startswith("os.")
    return name if name in WRITERS or opened or moved else None


def test_nothing_writes_into_a_results_folder_but_through_the_door() -> None:
    root = Path(package.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), name)
        for room in ("store", "report", "gate", "console")
        for path in (root / room).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and (name := writing(call))
    }
    assert {(file, name) for file, name in found if file != "store/writing.py"} == {
        ("store/results.py", "mkdir")  # of the results folder itself, which its user named
    }
    assert {name for file, name in found if file == "store/writing.py"} == {"open", "replace", "unlink", "mkdir"}
