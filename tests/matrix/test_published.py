"""The matrix's key `published`: papers' numbers beside our cells, outside every id, refused with place and reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_results import attribute_record, empty_record, update_record
from parsed_markdown import tables

from invbench import matrix, report
from invbench.matrix import Matrix, MatrixErrors
from invbench.published import Published
from invbench.store import Record, Results, StoreError, merge

ONE = {
    "cells": {"attack": {"name": "map-inversion", "prior": "marginal"}},
    "metric": "accuracy",
    "value": 0.5,
    "source": "A paper, table 1",
    "differs": "Other people.",
}
GRID = {"attack": [{"name": "map-inversion", "prior": "marginal"}, "map-inversion"], "model": "iwpc"}


def load(folder: Path, *published: Any, **more: Any) -> Matrix:
    said = {"dataset": {"name": "warfarin", "sensitive": "vkorc1"}, "targets": 2, "grid": GRID} | more
    said |= {"published": list(published)} if published else {}
    (folder / "m.yaml").write_text(yaml.safe_dump(said, sort_keys=False, width=1000))
    return matrix.load(folder / "m.yaml")


def test_it_meets_cells_by_the_axes_named_and_no_id_knows_of_it(tmp_path: Path) -> None:
    both = ONE | {"cells": {"attack": "map-inversion"}, "value": [0.25, 1]}
    asked, bare = load(tmp_path, ONE, both, seed=[0, 1]), load(tmp_path, seed=[0, 1])
    marginal, conditional = asked.cells[:2], asked.cells[2:]
    assert [one.cells for one in asked.published] == [
        tuple(cell.id for cell in marginal),
        tuple(cell.id for cell in (*marginal, *conditional)),
    ]
    assert asked.published[1].value == (0.25, 1)
    assert [cell.id for cell in bare.cells] == [cell.id for cell in asked.cells]
    assert bare.published == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sauce": "x"}, "a published number has no 'sauce'; nearest: 'source'"),
        ({"differs": None}, "differs must be words, not nothing"),
        ({"metric": "acuracy"}, "game attribute has no metric 'acuracy'; nearest: 'accuracy'"),
        ({"metric": "psnr"}, "has no metric 'psnr'; its metrics are accuracy, macro_auc, error"),
        ({"value": 50}, "accuracy is at least 0, at most 1, not 50"),
        ({"value": [0.5, 0.2]}, "value must be a number, a range [LOW, HIGH] or words"),
        ({"value": True}, "value must be a number, a range [LOW, HIGH] or words"),
        ({"cells": {}}, "cells must be a mapping of axes, such as {attack: dlg}, not an empty one"),
        ({"cells": {"atack": "dlg"}}, "cells has no 'atack'; nearest: 'attack'"),
        ({"cells": {"attack": "map-inversoin"}}, "no attack is called 'map-inversoin'; nearest: 'map-inversion'"),
        (
            {"cells": {"attack": "mi-face"}},
            "no cell of this matrix has this attack; there is map-inversion(prior=marginal), map-",
        ),
        ({"cells": {"seed": 3}}, "no cell of this matrix has this seed; there is 0"),
        ({"cells": {"attack": {"name": "map-inversion", "prior": "none"}}}, "prior must be conditional or marginal"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(MatrixErrors, match=r"m\.yaml:\d+:\d+: ") as caught:
        load(tmp_path, ONE | change)
    assert words in str(caught.value)


def test_what_is_lacking_and_what_no_cell_has_together_is_told(tmp_path: Path) -> None:
    with pytest.raises(MatrixErrors) as caught:
        load(tmp_path, {"cells": {"seed": 0}}, 3)
    told = str(caught.value)
    assert all(f"a published number lacks {key!r}" in told for key in ("metric", "value", "source", "differs"))
    assert "published holds mappings with cells, metric, value, source, differs, not 3" in told
    other = {"attack": "map-inversion", "model": "iwpc", "dataset": {"name": "warfarin", "sensitive": "cyp2c9"}}
    no_such = {"attack": {"name": "map-inversion", "prior": "marginal"}, "dataset": other["dataset"]}
    with pytest.raises(MatrixErrors, match="no cell of this matrix agrees with all axes of this published number"):
        load(tmp_path, ONE | {"cells": no_such}, include=[other])


def made(folder: Path, records: Sequence[Record], published: Sequence[Published]) -> Results:
    results = Results(folder)
    results.create("name: made-up\n", [*(record.id for record in records), "0" * 16], {}, published=published)
    for record in records:
        results.write(record)
    return results


def beside(*records: Record, **said: Any) -> Published:
    facts: dict[str, Any] = {"metric": "accuracy", "value": 0.5, "source": "P 2014", "differs": "Other people."}
    return Published(cells=tuple(record.id for record in records), **facts | said)


def test_the_report_sets_ours_beside_theirs_and_says_why_they_differ(tmp_path: Path) -> None:
    one, two = attribute_record(), attribute_record((1, 0, 0, 0), attack="map-inversion(prior=marginal)")
    failed = empty_record("failed", "a reason", attack="dlg")
    published = [
        beside(one, two),
        replace(beside(), cells=("0" * 16,), value=(0.25, 0.5), differs="A | second reason."),
        beside(failed, metric="psnr", value="a likeness", source="*P*"),
    ]
    results = made(tmp_path / "one", [one, two, failed], published)
    page = report.markdown(results, tmp_path)
    [table] = [table for table in tables(page) if table.under == "Beside the published numbers"]
    assert table.header == ["what", "metric", "ours", "published", "source", "why", "cell"]
    assert [row[1:] for row in table.rows] == [
        ["accuracy ↑", "0.750 [0.000, 1.000]", "0.5", "P 2014", "1", one.id[:8]],
        ["accuracy ↑", "0.250 [0.000, 1.000]", "0.5", "P 2014", "1", two.id[:8]],
        ["accuracy ↑", "not run", "0.25 to 0.5", "P 2014", "2", "0" * 8],
        ["PSNR (dB) ↑", "failed", "a likeness", "*P*", "1", failed.id[:8]],
    ]
    assert "map-inversion(prior=marginal)" in table.rows[1][0]
    assert table.rows[2][0] == ""
    assert "Why they differ:\n\n1. Other people.\n2. A \\| second reason.\n" in page
    cell = report.cell_page(results, two.id)
    assert "## Beside the published numbers" in cell
    assert "0.25 to 0.5" not in cell


def test_a_matrix_without_it_reports_byte_for_byte_as_before_and_its_plan_has_no_such_key(tmp_path: Path) -> None:
    record = update_record()
    with_it, without = made(tmp_path / "a" / "r", [record], [beside(record, metric="psnr")]), tmp_path / "b" / "r"
    bare = made(without, [record], [])
    assert set(json.loads((without / "plan.json").read_text())) == {"schema", "cells"}
    shown = report.markdown(with_it, with_it.path)
    start, end = shown.index("## Beside the published numbers"), shown.index("How to read the tables")
    assert shown[:start] + shown[end:] == report.markdown(bare, bare.path)


def test_it_travels_with_a_merge_and_a_changed_plan_is_refused(tmp_path: Path) -> None:
    record = attribute_record()
    parts = [made(tmp_path / name, [record], [beside(record)]) for name in ("one", "two")]
    whole = Results(tmp_path / "whole")
    merge(parts, whole, ["merge"])
    assert whole.published() == parts[0].published() == (beside(record),)
    plan = json.loads((whole.path / "plan.json").read_text())
    for wrong in ({"metric": 3}, {"metric": "psnr\x1b[31m"}, {"cells": ["../x"]}, {"value": {}}):
        changed = plan | {"published": [plan["published"][0] | wrong]}
        (whole.path / "plan.json").write_text(json.dumps(changed))
        with pytest.raises(StoreError, match="'published' is not a plan of invbench"):
            whole.published()
