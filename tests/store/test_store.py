"""The results folder: whole whatever happens, and refused rather than half understood."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import invbench
from invbench.store import AXES, LARGEST, Record, Results, StoreError, environment, write_atomic
from invbench.store.cells import signed
from invbench.store.provenance import _own_revision
from invbench.store.writing import MANY

ROOT = Path(__file__).resolve().parents[2]
NAMES: dict[str, Any] = dict.fromkeys(AXES) | {"game": "update", "attack": "dlg", "batch_size": 1, "seed": 0}
ITEMS = st.floats(allow_nan=True, allow_infinity=True) | st.none()
SCORES = st.dictionaries(
    st.sampled_from(["psnr", "ssim"]), st.lists(st.lists(ITEMS, max_size=3), min_size=2, max_size=2)
)


def cell_id(number: int) -> str:
    return f"{number:016x}"


def record(number: int = 1, **fields: Any) -> Record:
    whole: dict[str, Any] = {
        "id": cell_id(number),
        "status": "ok",
        "names": NAMES,
        "settings": {"attack": {"name": "dlg"}, "number": number},
        "targets": 2,
        "images": 2,
        "scores": {"psnr": [[31.2], [None]]},
        "controls": {"grey": {"psnr": [[14.1], [13.0]]}, "mean": {}},
        "evaluations": (300, 280),
        "objectives": (0.1, None),
        "notes": ("a note",),
        "seconds": {"attack": 1.2, "cell": 2.0},
        "memory_mb": 120.5,
        "device": "cpu",
        "torch": "2.14.1",
        "dataset": {"name": "natural", "hash": "00", "path": None},
    }
    return Record(**(whole | fields))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.create("name: test\n", [cell_id(n) for n in range(4)], {"python": "3"})
    return made


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own that runs `code` with this checkout's package."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# Records


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=SCORES, objectives=st.lists(ITEMS, max_size=3))
def test_a_record_comes_back_as_written_with_null_for_what_is_not_finite(
    results: Results, scores: dict[str, list[list[float | None]]], objectives: list[float | None]
) -> None:
    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    def bounded(value: float | None) -> float | None:
        return value if value is not None and abs(value) <= LARGEST else None

    written = record(scores=scores, controls={"grey": scores}, objectives=tuple(objectives))
    results.write(written)
    expected = {metric: [[bounded(v) for v in target] for target in targets] for metric, targets in scores.items()}
    back = results.record(written.id)
    expected_fields = {"scores": expected, "controls": {"grey": expected}}
    assert back == signed(replace(written, **expected_fields, objectives=tuple(map(finite, objectives))), ())


def test_a_record_file_is_plain_json_of_schema_1(results: Results) -> None:
    results.write(record(notes=("ünïcode",), objectives=(math.nan,)))
    plain = json.loads((results.path / "cells" / cell_id(1) / "record.json").read_text())
    assert list(plain)[:5] == ["schema", "id", "status", "names", "settings"]
    assert plain["schema"] == 1
    assert plain["scores"] == {"psnr": [[31.2], [None]]}
    assert plain["objectives"] == [None]
    assert plain["notes"] == ["ünïcode"]


def test_numpy_numbers_in_scores_are_written_as_numbers(results: Results) -> None:
    results.write(record(scores={"psnr": [[np.float32(1.5)], [np.float64(2.5)]], "exact": [[True], [np.bool_(False)]]}))
    back = results.record(cell_id(1))
    assert back is not None
    assert back.scores == {"psnr": [[1.5], [2.5]], "exact": [[1.0], [0.0]]}


def mutations() -> dict[str, tuple[Callable[[dict[str, Any]], object], str]]:
    """Damage to a record's JSON, and what the refusal says of it."""
    return {
        "newer schema": (lambda r: r.update(schema=2), "has schema 2; this invbench reads 1"),
        "no schema": (lambda r: r.pop("schema"), "is not a record of invbench"),
        "field lost": (lambda r: r.pop("scores"), "has no field 'scores'"),
        "field unknown": (lambda r: r.update(extra=1), "has an unknown field 'extra'"),
        "status": (lambda r: r.update(status="done"), "'status' must be one of ok, failed, timeout, unsupported"),
        "status not hashable": (lambda r: r.update(status=[]), "'status' must be one of"),
        "axis lost": (lambda r: r["names"].pop("seed"), "'names' must be a mapping of exactly game, dataset"),
        "axis type": (lambda r: r["names"].update(seed=[1]), "'names' must be"),
        "settings": (lambda r: r.update(settings=[]), "'settings' must be a mapping, not []"),
        "score text": (lambda r: r["scores"].update(psnr=[["31.2"]]), "'scores' must be metric -> target -> item"),
        "score flat": (lambda r: r["scores"].update(psnr=[31.2]), "'scores' must be"),
        "score true": (lambda r: r["scores"].update(psnr=[[True]]), "'scores' must be"),
        "score huge": (lambda r: r["scores"].update(psnr=[[10**400]]), "'scores' must be"),
        "control": (lambda r: r["controls"].update(grey=[[1.0]]), "'controls' must be control -> metric"),
        "targets": (lambda r: r.update(targets=-1), "'targets' must be a count, not -1"),
        "images": (lambda r: r.update(images=2.0), "'images' must be a count, not 2.0"),
        "evaluations": (lambda r: r.update(evaluations=[1.5]), "'evaluations' must be a list of counts"),
        "notes": (lambda r: r.update(notes="a note"), "'notes' must be a list of texts"),
        "seconds": (lambda r: r["seconds"].update(cell=None), "'seconds' must be a mapping to finite numbers"),
        "another cell's": (lambda r: r.update(id=cell_id(2)), f"is the record of another cell, {cell_id(2)}"),
    }


@pytest.mark.parametrize("kind", mutations())
def test_a_damaged_record_is_refused_by_file_and_field(results: Results, kind: str) -> None:
    results.write(record())
    path = results.path / "cells" / cell_id(1) / "record.json"
    damage, message = mutations()[kind]
    plain = json.loads(path.read_text())
    damage(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(StoreError) as refused:
        results.records()
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "[" * 100_000, '{"a": -Infinity}', "\xff"])
def test_what_is_not_a_record_in_json_is_refused_by_file(results: Results, text: str) -> None:
    results.write(record())
    path = results.path / "cells" / cell_id(1) / "record.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"record\.json"):
        results.record(cell_id(1))


def test_a_number_beyond_float_is_refused(results: Results) -> None:
    results.write(record())
    path = results.path / "cells" / cell_id(1) / "record.json"
    path.write_text(path.read_text().replace("31.2", "1e999"))
    with pytest.raises(StoreError, match="1e999 is a number beyond"):
        results.record(cell_id(1))


def test_records_one_by_one_are_the_same_but_for_their_settings(results: Results) -> None:
    for number, note in enumerate(("a note", "half a pair: \udc80")):
        results.write(record(number, notes=(note,)))
    assert list(results.each_record()) == [replace(whole, settings={}) for whole in results.records()]
    assert results.records()[1] == signed(record(1, notes=("half a pair: \udc80",)), ())


@pytest.mark.parametrize("damage", [b'{"attack": \xff}', b'{"attack": "\xff"}', b"{]", b"[]", b"1"])
def test_settings_are_judged_where_they_are_not_read(results: Results, damage: bytes) -> None:
    results.write(record())
    path = results.cell(cell_id(1)) / "record.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'{"attack": {"name": "dlg"}, "number": 1}', damage))
    assert path.read_bytes() != whole
    with pytest.raises(StoreError) as refused:
        list(results.each_record())
    assert str(path) in str(refused.value)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused_and_nothing_else(
    results: Results, data: st.DataObject
) -> None:
    folder = results.path / "cells" / cell_id(1)
    if not folder.exists():
        results.write(record(), {"images": np.zeros((2, 3, 4, 4), np.float32)})
    name = data.draw(st.sampled_from(["record.json", "arrays.npz"]))
    whole = (folder / name).read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if broken else 0):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(broken)
    found = attempt(lambda: results.record(cell_id(1)) if name == "record.json" else results.arrays(cell_id(1)))
    (folder / name).write_bytes(whole)
    assert isinstance(found, Record | dict) or str(folder / name) in str(found)


def test_equal_controls_of_several_cells_are_read_as_one_object(results: Results) -> None:
    grey = {"grey": {"psnr": [[14.1], [13.0]]}}
    for number in range(3):
        results.write(record(number, controls=grey if number != 1 else {}))
    first, other, third = results.records()
    assert first.controls is third.controls
    assert (first.controls, other.controls) == (grey, {})


@pytest.mark.parametrize("value", [True, [[1.0]], "1.0"])
def test_controls_that_only_look_like_those_of_another_cell_are_refused(results: Results, value: Any) -> None:
    for number in range(2):
        results.write(record(number, controls={"grey": {"psnr": [[1.0], [1.0]]}}))
    path = results.cell(cell_id(1)) / "record.json"
    plain = json.loads(path.read_text())
    plain["controls"]["grey"]["psnr"] = [[1.0], [value]]
    path.write_text(json.dumps(plain))
    with pytest.raises(StoreError) as refused:
        results.records()
    assert str(refused.value).startswith(f"{path}: 'controls' must be control -> metric -> target -> item")


@pytest.mark.parametrize(
    "targets", [{}, "", [{}], ["1"], [[1e101], [1]], [[True]], [[1.0, False]], [[math.inf, -math.inf]], [[2**63]]]
)
def test_scores_of_another_form_are_refused_whatever_they_hold(targets: Any) -> None:
    plain = json.loads(record().to_json()) | {"scores": {"psnr": targets}}
    with pytest.raises(StoreError, match="here: 'scores' must be metric -> target -> item"):
        Record.from_json(plain, "here")


@pytest.mark.parametrize("targets", [[[], []], [[1e100, 1e100], [-1e100]], [[1, None, 2.5], []]])
def test_scores_without_items_or_as_large_as_scores_may_be_are_read(targets: Any) -> None:
    plain = json.loads(record().to_json()) | {"scores": {"psnr": targets}}
    assert Record.from_json(plain, "here").scores == {"psnr": targets}


def attempt(read: Callable[[], object]) -> object:
    """What was read, or the refusal."""
    try:
        return read()
    except StoreError as refused:
        return refused


def test_a_record_that_could_not_be_read_back_is_refused_and_the_cell_stays(results: Results) -> None:
    results.write(record(notes=("first",)))
    with pytest.raises(StoreError, match="'names' must be"):
        results.write(record(names={"game": "update"}))
    back = results.record(cell_id(1))
    assert back is not None
    assert back.notes == ("first",)


@pytest.mark.parametrize(
    ("status", "present", "requested", "done"),
    [
        ("ok", ["grey", "mean"], ["grey"], True),
        ("ok", ["grey", "mean"], ["grey", "noise"], False),
        ("ok", [], [], True),
        ("unsupported", [], ["grey", "noise"], True),
        ("failed", ["grey"], ["grey"], False),
        ("timeout", [], [], False),
    ],
)
def test_a_cell_is_done_when_unsupported_or_ok_with_every_control_asked_for(
    status: str, present: list[str], requested: list[str], done: bool
) -> None:
    assert record(status=status, controls={name: {} for name in present}).done(requested) is done


# The folder


def test_records_come_in_plan_order_and_others_are_counted_apart(results: Results) -> None:
    for number in (9, 2, 0, 8):
        results.write(record(number))
    assert [r.id for r in results.records()] == [cell_id(0), cell_id(2)]
    assert results.older() == 2
    results.create("name: test\n", [cell_id(8), cell_id(2)], {})
    assert [r.id for r in results.records()] == [cell_id(8), cell_id(2)]


def test_create_on_a_result_of_ours_brings_it_up_to_date_and_keeps_its_cells(results: Results) -> None:
    results.write(record(1), {"images": np.ones(3)}, {"grid.png": b"png"})
    (results.path / "my-notes.txt").write_text("mine")
    results.create("name: second\n", [cell_id(1)], {"python": "4"})
    assert results.matrix_text() == "name: second\n"
    assert results.environment() == {"python": "4"}
    assert results.plan() == (cell_id(1),)
    assert results.record(cell_id(1)) == signed(record(1), ["arrays.npz", "grid.png"])
    assert (results.path / "my-notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.tex", "cells", "matrix.yaml", "environment.json", "plan.json"])
def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(StoreError, match=name):
        Results(tmp_path).create("name: test\n", [], {})
    with pytest.raises(StoreError, match=name), Results(tmp_path).lock():
        pytest.fail("locked a folder that is not ours")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "{}")]


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match="results: cannot be written: File exists"):
        Results(tmp_path / "results").create("", [], {})
    assert (tmp_path / "results").read_text() == "a file"


def test_a_run_killed_between_its_lock_and_its_plan_can_start_again(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    with results.lock():
        (results.path / ".plan.json.123.tmp").write_text("{")
    results.create("name: test\n", [cell_id(0)], {})
    assert results.plan() == (cell_id(0),)
    assert not list(results.path.glob(".*.tmp"))


@pytest.mark.parametrize("cells", ["x", ["short"], [1], None, ["../../../../etc/pw"]])
def test_a_plan_that_is_not_one_is_refused(results: Results, cells: Any) -> None:
    (results.path / "plan.json").write_text(json.dumps({"schema": 1, "cells": cells}))
    with pytest.raises(StoreError, match=r"plan\.json: is not a plan of invbench"):
        results.records()


def test_a_folder_that_is_no_result_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is no result of invbench: it has no plan\.json"):
        Results(tmp_path / "nowhere").records()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("id", ["", "..", "../../record", "0123", "0123456789ABCDEF", "0123456789abcdef\n"])
def test_only_an_id_names_a_cell(results: Results, id: str) -> None:
    with pytest.raises(StoreError, match="is not the id of a cell"):
        results.record(id)


# Cells


def test_arrays_and_picture_come_back_bit_for_bit(results: Results) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "originals": rng.random((2, 3, 8, 8), np.float32),
        "labels": np.arange(2),
        "empty": np.zeros((0, 3)),
    }
    results.write(record(), arrays, {"grid.png": b"\x89PNG bytes"})
    back = results.arrays(cell_id(1))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    assert (results.cell(cell_id(1)) / "grid.png").read_bytes() == b"\x89PNG bytes"


def test_a_cell_written_again_keeps_nothing_of_before(results: Results) -> None:
    results.write(record(), {"images": np.ones(3)}, {"grid.png": b"png"})
    results.write(record(status="failed", reason="out of memory"))
    assert sorted(p.name for p in results.cell(cell_id(1)).iterdir()) == ["record.json"]
    with pytest.raises(StoreError, match=r"arrays\.npz: there is no such file"):
        results.arrays(cell_id(1))


def test_python_objects_are_neither_pickled_nor_unpickled(results: Results) -> None:
    with pytest.raises(StoreError, match="array 'guess' holds Python objects"):
        results.write(record(), {"guess": np.array([{"a": 1}], dtype=object)})
    assert results.record(cell_id(1)) is None
    results.write(record())
    np.savez(results.cell(cell_id(1)) / "arrays.npz", guess=np.array([print], dtype=object))
    with pytest.raises(StoreError, match=r"arrays\.npz: is not a readable npz file"):
        results.arrays(cell_id(1))


def test_a_torn_cell_is_not_done_and_is_written_over(results: Results) -> None:
    folder = results.cell(cell_id(1))
    folder.mkdir()
    (folder / "arrays.npz").write_bytes(b"half")
    (folder / ".record.json.77.tmp").write_text('{"schema"')
    assert results.record(cell_id(1)) is None
    assert results.records() == []
    results.write(record(), {"images": np.ones(3)})
    assert results.record(cell_id(1)) == signed(record(), ["arrays.npz"])
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.npz", "record.json"]


def test_create_clears_what_a_killed_run_left_half_written_and_nothing_else(results: Results) -> None:
    results.write(record())
    folder = results.cell(cell_id(1))
    for name in (".arrays.npz.12.tmp", ".hidden", "draft.tmp"):
        (folder / name).write_text("")
    results.create("name: test\n", results.plan(), {})
    assert sorted(p.name for p in folder.iterdir()) == [".hidden", "draft.tmp", "record.json"]


WRITER = """
import sys, numpy as np
from pathlib import Path
from invbench.store import Record, Results
from test_store import record
results = Results(Path(sys.argv[1]))
with results.lock():
    for turn in range(10_000):
        number = turn % 4
        files = {"grid.png": str(turn).encode()}
        results.write(record(number, notes=(str(turn),)), {"turn": np.full(50_000, turn)}, files)
"""


@pytest.mark.parametrize("after", [0.0, 0.031, 0.107])
def test_killed_at_any_moment_every_cell_is_whole_or_not_done(results: Results, after: float) -> None:
    process = python(f"import sys; sys.path.insert(0, {str(ROOT / 'tests/store')!r})" + WRITER, results.path)
    while not (results.cell(cell_id(0)) / "record.json").exists():
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(after)
    process.kill()
    process.communicate()
    found = [cell for cell in map(results.record, map(cell_id, range(4))) if cell is not None]
    assert found  # one cell at most was being written
    for cell in found:
        assert set(results.arrays(cell.id)["turn"]) == {int(cell.notes[0])}
        assert (results.cell(cell.id) / "grid.png").read_text() == cell.notes[0]
    with results.lock():
        results.create("name: test\n", results.plan(), {})
        results.write(record(0))
    assert not list(results.path.rglob(".*.tmp"))


@pytest.mark.parametrize("count", [3, MANY + 3])
def test_many_records_are_written_as_one_by_one_and_replace_what_a_cell_had(results: Results, count: int) -> None:
    results.write(record(1), {"images": np.ones(3)}, {"grid.png": b"grid"})
    records = [record(number, notes=("anew",)) for number in range(count)]
    results.write_many([(one, {}) for one in records])
    assert [results.record(cell_id(number)) for number in range(count)] == [signed(one, ()) for one in records]
    assert [path.name for path in results.cell(cell_id(1)).iterdir()] == ["record.json"]
    assert not list(results.path.rglob(".*.tmp"))


def test_a_rewrite_that_breaks_off_leaves_no_record_of_what_is_gone(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.write(record(), {"images": np.ones(3)})
    real = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".npz":
            raise OSError(5, os.strerror(5))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StoreError, match="cannot be written"):
        results.write(record(), {"images": np.zeros(3)})
    assert results.record(cell_id(1)) is None


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_atomic(path, "old")
    with pytest.raises(StoreError, match="nowhere/report"):
        write_atomic(tmp_path / "nowhere" / "report.md", "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.md"]
    assert path.read_text() == "old"


# The lock


HOLD = """
import sys, time
from pathlib import Path
from invbench.store import Results
with Results(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_told_who_holds_the_folder(results: Results) -> None:
    holder = python(HOLD, results.path)
    try:
        assert first_line(holder) == "held"
        with pytest.raises(StoreError, match=f"process {holder.pid} on {socket.gethostname()}"), results.lock():
            pytest.fail("two runs on one folder")
    finally:
        holder.kill()
        holder.communicate()


def test_a_second_lock_in_the_same_process_is_refused_too(results: Results) -> None:
    with results.lock():
        with pytest.raises(StoreError, match=f"process {os.getpid()}"), Results(results.path).lock():
            pytest.fail("locked twice")
        with pytest.raises(StoreError, match="another run is writing here"), results.lock():
            pytest.fail("the refused attempt let go of the lock")
    with results.lock():
        pass


def test_the_lock_dies_with_its_holder(results: Results) -> None:
    holder = python(HOLD, results.path)
    assert first_line(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with results.lock():
        pass


FORK = """
import os, sys, time
from pathlib import Path
from invbench.store import Results
with Results(Path(sys.argv[1])).lock():
    if os.fork() == 0:
        print(os.getpid(), flush=True)  # by then the child has let go of what it must not keep
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""
SPAWN = """
import subprocess, sys, time
from pathlib import Path
from invbench.store import Results
with Results(Path(sys.argv[1])).lock():
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(sleep, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("code", [FORK, SPAWN], ids=["forked", "spawned"])
def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(results: Results, code: str) -> None:
    holder = python(code, results.path)
    child = int(first_line(holder))
    try:
        with pytest.raises(StoreError, match=f"process {holder.pid} "), results.lock():
            pytest.fail("the child let go of its parent's lock")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        os.kill(child, 0)  # still alive
        with results.lock():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.communicate()


# Where it ran


def test_the_environment_says_versions_processor_and_cores() -> None:
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["numpy"] == np.__version__
    assert found["cores"] >= 1
    assert found["processor"]
    assert json.loads(json.dumps(found)) == found


def test_the_environment_names_the_caller_s_revision_and_whether_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] is None
    git("init")
    assert environment()["git"] is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    git("tag", "v1")
    revision = git("rev-parse", "HEAD").strip()
    assert environment()["git"] == revision
    (tmp_path / "file").write_text("2")
    assert environment()["git"] == f"{revision}-dirty"
    monkeypatch.setenv("PATH", "")
    assert environment()["git"] is None


def test_the_environment_names_this_invbench_wherever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(folder: Path, *words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "-C", str(folder)]
        return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    try:
        head: str | None = git(ROOT, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):  # a copy of the sources that is no checkout
        head = None
    git(tmp_path, "init")
    package = tmp_path / "site-packages" / "invbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / ".gitignore").write_text("site-packages\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-m", "the user's own")
    monkeypatch.chdir(tmp_path)
    said = environment()["invbench"]
    assert said["version"] == invbench.__version__
    if head is not None:
        assert said["revision"] in (head, f"{head}-dirty")
    assert _own_revision(package) != git(tmp_path, "rev-parse", "HEAD")


def test_store_and_gate_import_neither_torch_nor_pandas() -> None:
    code = "import sys, invbench.store, invbench.gate; print({'torch', 'pandas', 'scipy'} & set(sys.modules))"
    out, err = python(code).communicate()
    assert (out, err) == ("set()\n", "")


def test_a_record_from_before_attacks_said_anything_of_their_answers_is_read() -> None:
    plain = json.loads(record().to_json())
    del plain["facts"], plain["stopped"]
    assert Record.from_json(plain, "here").facts == ()
    assert Record.from_json(plain, "here").stopped == {}


def test_why_lanes_stopped_is_kept_as_counts_by_word() -> None:
    stopped = {"at rest": 1, "budget spent": 3}
    plain = json.loads(replace(record(), stopped=stopped).to_json())
    assert Record.from_json(plain, "here").stopped == stopped
    for wrong in ({"at rest": -1}, {"at rest": "two"}, ["at rest"]):
        with pytest.raises(StoreError, match="'stopped' must be a mapping to counts"):
            Record.from_json(plain | {"stopped": wrong}, "here")


def test_what_an_attack_says_of_its_answers_is_kept_and_no_number_but_a_finite_one() -> None:
    said = replace(record(), facts=({"certified": True, "layers": [{"condition": float("inf"), "rank": 3}]},))
    assert Record.from_json(json.loads(said.to_json()), "here").facts == (
        {"certified": True, "layers": [{"condition": None, "rank": 3}]},
    )
