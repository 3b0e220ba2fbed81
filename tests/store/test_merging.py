"""`invbench merge` on folders that overlap, lack cells, disagree or are of other matrices. Torch is not imported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import FinishedRun, edit_scores, outcomes, records, table

from invbench.report import write_files
from invbench.store import Merged, Results, StoreError, merge


@pytest.fixture
def folder(finished: FinishedRun, tmp_path: Path) -> Callable[..., Results]:
    """`folder(name, *ids)`: a copy of the finished result that holds these cells alone; all of them by default."""

    def make(name: str, *ids: str) -> Results:
        shutil.copytree(finished.result, tmp_path / name)
        for id in set(records(finished.result)) - set(ids or records(finished.result)):
            shutil.rmtree(tmp_path / name / "cells" / id)
        return Results(tmp_path / name)

    return make


def content(results: Results) -> dict[str, bytes]:
    return {str(p.relative_to(results.path)): p.read_bytes() for p in results.path.rglob("*") if p.is_file()}


def edit(results: Results, id: str, **changes: Any) -> None:
    path = results.cell(id) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def merged(*folders: Results, into: Results) -> Merged:
    return merge(folders, into, ["merge"], write_files)


def test_parts_that_overlap_make_the_whole_and_are_left_as_they_were(
    finished: FinishedRun, folder: Callable[..., Results], tmp_path: Path
) -> None:
    a, b, c, d, e, f = Results(finished.result).plan()
    parts = [folder("one", a, b, c), folder("two", c, d), folder("three", e, f)]
    before = [content(part) for part in parts]
    whole = Results(tmp_path / "whole")
    result = merged(*parts, into=whole)
    assert (result.cells, result.missing) == (6, ())
    assert {path.name: cells for path, cells in result.taken.items()} == {"one": 3, "two": 1, "three": 2}
    assert [content(part) for part in parts] == before
    assert table(whole.path) == table(finished.result)
    assert outcomes(whole.path) == outcomes(finished.result)
    assert whole.environment()["workers"] == 2, "what the parts agree on stands as it was"


def test_an_existing_folder_keeps_what_it_has_and_missing_cells_are_named(
    finished: FinishedRun, folder: Callable[..., Results]
) -> None:
    a, b, c, *missing = Results(finished.result).plan()
    whole, part = folder("whole", a, b), folder("part", b, c)
    (whole.path / "cells" / ("0" * 16)).mkdir()
    (whole.path / "cells" / ("0" * 16) / "record.json").write_text("of an earlier matrix")
    before = content(whole)
    result = merged(part, into=whole)
    assert {path.name: cells for path, cells in result.taken.items()} == {"whole": 2, "part": 1}
    assert list(result.missing) == missing
    after = content(whole)
    assert {name: after[name] for name in before if name.startswith("cells/")} == {
        name: text for name, text in before.items() if name.startswith("cells/")
    }
    assert merged(whole, part, into=whole).taken == {whole.path: 3, part.path: 0}, "a second time nothing is new"


def test_a_result_replaces_a_failure_and_more_controls_replace_fewer_whatever_the_order(
    finished: FinishedRun, folder: Callable[..., Results], tmp_path: Path
) -> None:
    known = records(finished.result)
    a, b = [id for id in Results(finished.result).plan() if known[id]["status"] == "ok"][:2]
    better, worse = folder("better"), folder("worse")
    edit(worse, a, status="failed", reason="no such luck", scores={})
    edit(worse, b, controls={})
    for name, order in (("first", [better, worse]), ("last", [worse, better])):
        into = Results(tmp_path / name)
        merged(*order, into=into)
        assert outcomes(into.path) == outcomes(finished.result)


def test_two_different_results_of_a_cell_are_refused_and_nothing_is_written(
    folder: Callable[..., Results], tmp_path: Path
) -> None:
    one, two = folder("one"), folder("two")
    id = edit_scores(two.path, "inverting-gradients", lambda metric, value: value + 1)
    with pytest.raises(StoreError, match=rf"one/cells/{id} and .*two/cells/{id}: two different results of one cell"):
        merged(one, two, into=Results(tmp_path / "whole"))
    assert not (tmp_path / "whole").exists()


def test_results_of_other_matrices_are_refused_with_what_differs(folder: Callable[..., Results]) -> None:
    one, two = folder("one"), folder("two")
    plan = list(one.plan())
    (two.path / "plan.json").write_text(json.dumps({"schema": 1, "cells": [*plan[:-1], "0" * 16, "1" * 16]}))
    before = content(one)
    with pytest.raises(StoreError) as refused:
        merged(two, into=one)
    assert str(refused.value) == (
        f"{two.path}: is the result of another matrix than {one.path}: 5 cells are in both, 1 only in {one.path}, 2 "
        f"only in {two.path}; matrix.yaml is the same, so the data, a part of another package or invbench itself differ"
    )
    (two.path / "matrix.yaml").write_text(one.matrix_text().replace("targets: 3", "targets: 4", 1))
    with pytest.raises(StoreError, match=r"line 3 of matrix\.yaml is 'targets: 3' in .*one, 'targets: 4' in .*two"):
        merged(one, two, into=one)
    assert content(one) == before


def test_a_folder_that_is_no_result_or_a_damaged_record_is_refused_before_anything_is_written(
    folder: Callable[..., Results], tmp_path: Path
) -> None:
    one = folder("one")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"is no result of invbench: it has no plan\.json"):
        merged(Results(tmp_path / "mine"), into=Results(tmp_path / "whole"))
    with pytest.raises(StoreError, match=r"holds 'thesis\.txt'"):
        merged(one, into=Results(tmp_path / "mine"))
    (one.cell(one.plan()[-1]) / "record.json").write_text("{")
    with pytest.raises(StoreError, match=r"record\.json:1:2: is not JSON"):
        merged(one, into=Results(tmp_path / "whole"))
    assert not (tmp_path / "whole").exists()
