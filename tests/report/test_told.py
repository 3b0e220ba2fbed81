"""What varies between cells is said of all of them, at its default too: in names, on pages, in summary.csv."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_results import attribute_record, update_record

from invbench import matrix, report
from invbench.cell import Cell
from invbench.console.wording import cell_namer
from invbench.core.names import told
from invbench.matrix import select
from invbench.matrix.varying import defaults_that_vary
from invbench.store import Results, StoreError

PRIOR = {"attack": {"map-inversion": {"prior": "conditional"}}}


def cells(folder: Path, **axes: Any) -> tuple[Cell, ...]:
    grid = {"attack": [{"name": "map-inversion", "prior": "marginal"}, "map-inversion"], "model": "iwpc"} | axes
    said = {"dataset": {"name": "warfarin", "sensitive": "vkorc1"}, "targets": 2, "grid": grid}
    (folder / "m.yaml").write_text(yaml.safe_dump(said))
    return matrix.load(folder / "m.yaml").cells


def test_a_setting_that_varies_is_said_at_its_default_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    varied = cells(tmp_path, model=[{"name": "iwpc", "residual": 0.5}, {"name": "iwpc", "residual": 2}])
    assert defaults_that_vary(varied) == PRIOR, "no residual is at its default"
    assert defaults_that_vary(cells(tmp_path, attack="map-inversion")) == {}
    name = cell_namer(varied)
    assert [name(cell.names).split()[0] for cell in varied[::2]] == [
        "map-inversion(prior=marginal)",
        "map-inversion(prior=conditional)",
    ]
    assert select(varied, ["attack=map-inversion(prior=conditional)"]) == list(varied[2:])
    assert len({cell.id for cell in varied}) == 4
    assert {cell.names["attack"] for cell in varied} == {"map-inversion", "map-inversion(prior=marginal)"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lira", "lira(mode=online,variance=fixed)"),
        ("lira(variance=per-example)", "lira(mode=online,variance=per-example)"),
        ("lira(mode=offline,x=[1,2])", "lira(mode=offline,x=[1,2],variance=fixed)"),
        ("clip(norm=1)+lira", "clip(norm=1)+lira(mode=online,variance=fixed)"),
        ("lira (malicious server)", "lira(mode=online,variance=fixed) (malicious server)"),
        ("lira(x=two words)", "lira(x=two words,mode=online,variance=fixed)"),
        ("lira(mode=offline,variance=fixed)", "lira(mode=offline,variance=fixed)"),
        ("dlg(a=1)", "dlg(a=1)"),
        (None, None),
    ],
)
def test_a_name_gets_what_it_lacks_in_a_steady_order(name: str | None, expected: str | None) -> None:
    defaults = {"attack": {"lira": {"mode": "online", "variance": "fixed"}}}
    assert told({"attack": name, "seed": 0}, defaults) == {"attack": expected, "seed": 0}


def test_pages_and_tables_tell_two_cells_apart_by_what_varies(tmp_path: Path) -> None:
    marginal = replace(attribute_record(attack="map-inversion(prior=marginal)"), settings=settings(prior="marginal"))
    conditional = replace(attribute_record(), settings=settings())
    results = Results(tmp_path / "r")
    results.create("", [marginal.id, conditional.id], {}, defaults=PRIOR)
    for record in (marginal, conditional):
        results.write(record)
    page = report.markdown(results, tmp_path)
    assert "### map-inversion(prior=conditional)" in page
    assert "### map-inversion(prior=marginal)" in page
    assert "### map-inversion\n" not in page
    rows = list(csv.DictReader(io.StringIO(report.csv(results))))
    assert [row["attack.prior"] for row in rows] == ["marginal", "conditional"]
    assert [row["attack"] for row in rows] == ["map-inversion(prior=marginal)", "map-inversion(prior=conditional)"]
    assert [line.split()[-1] for line in report.cell_list(results).splitlines()] == [row["attack"] for row in rows]
    shown = report.cell_page(results, conditional.id)
    assert "map-inversion(prior=conditional), iwpc" in shown
    assert any(line.split()[1::2] == ["attack.prior", "conditional"] for line in shown.splitlines() if "prior" in line)
    stored = results.record(conditional.id)
    assert stored is not None
    assert stored.names["attack"] == "map-inversion", "what is stored stays as it was"


def settings(**prior: str) -> dict[str, Any]:
    return {"attack": {"name": "map-inversion", **prior}, "model": {"name": "iwpc", "residual": 1.0}}


def test_a_plan_without_it_reads_as_before_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    record = update_record()
    results = Results(tmp_path / "r")
    results.create("", [record.id], {})
    assert results.defaults() == {}
    path = results.path / "plan.json"
    assert set(json.loads(path.read_text())) == {"schema", "cells"}
    for wrong in ([], {"attack": 3}, {"attack": {"dlg": {"tv": {}}}}):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"defaults": wrong}))
        with pytest.raises(StoreError, match="'defaults' are not a plan of invbench"):
            report.markdown(results, tmp_path)
