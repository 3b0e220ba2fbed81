"""A result against a baseline: cell by cell, target by target."""

from __future__ import annotations

import json
import math
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import UPDATE

from invbench import gate
from invbench.gate import Direction, GateError, Verdict, as_json, check, compare, freeze, junit, passed
from invbench.sheets import columns
from invbench.store import AXES, Record, Results

NAMES: dict[str, Any] = UPDATE | {"dataset": "natural"}
SETTINGS: dict[str, Any] = {
    "game": "update",
    "data": "d" * 64,
    "attack": {"name": "dlg", "iterations": 300},
    "model": {"name": "lenet", "activation": "sigmoid"},
    "batch_size": 1,
    "defense": [],
    "protocol": {"name": "fedsgd"},
    "seed": 0,
    "targets": 4,
}
MEANS = sorted(name for name, one in columns().items() if one.statistic is None and one.role == "leak")
"""Columns that are means over targets, and evidence: the others have tests of their own."""
PSNR = [30.0, 31.0, 28.5, 33.25]


def cell(
    number: int,
    scores: Mapping[str, Sequence[float | None]] | None = None,
    names: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """A record whose scores are one item a target; metrics with fewer have none for the rest."""
    values = {"psnr": PSNR} if scores is None else scores
    targets = max(map(len, values.values()), default=4)
    nested = {
        metric: [[value] for value in (*given, *[None] * (targets - len(given)))] for metric, given in values.items()
    }
    return Record(
        id=f"{number:016x}",
        status=fields.pop("status", "ok"),
        names=NAMES | {"attack": f"dlg(iterations={number})"} | (names or {}),
        settings=SETTINGS | (settings or {}),
        targets=targets,
        images=targets,
        scores=nested,
        **fields,
    )


def result(folder: Path, *records: Record, plan: Sequence[str] | None = None) -> Results:
    """A results folder as the contract describes it, written without the store."""
    shutil.rmtree(folder, ignore_errors=True)
    for record in records:
        (folder / "cells" / record.id).mkdir(parents=True)
        (folder / "cells" / record.id / "record.json").write_text(record.to_json())
    folder.mkdir(parents=True, exist_ok=True)
    cells = [record.id for record in records] if plan is None else list(plan)
    (folder / "plan.json").write_text(json.dumps({"schema": 1, "cells": cells}))
    return Results(folder)


@contextmanager
def temporary(*records: Record) -> Iterator[Results]:
    with tempfile.TemporaryDirectory() as folder:
        yield result(Path(folder) / "r", *records)


def only(verdicts: Sequence[Verdict]) -> Verdict:
    assert len(verdicts) == 1, verdicts
    return verdicts[0]


# Properties

VALUES = st.floats(-100, 100)
SCORES = st.dictionaries(
    st.sampled_from(MEANS), st.lists(VALUES | st.none(), min_size=4, max_size=4), min_size=1, max_size=3
)
CELLS = st.lists(SCORES, min_size=1, max_size=4).map(lambda cells: [cell(n, scores) for n, scores in enumerate(cells)])


def has_numbers(records: Sequence[Record]) -> bool:
    return any(item is not None for r in records for rows in r.scores.values() for row in rows for item in row)


@settings(deadline=None, max_examples=40)
@given(records=CELLS.filter(has_numbers), direction=st.sampled_from(get_args(Direction)))
def test_a_result_against_itself_is_the_same_in_every_metric(records: list[Record], direction: Direction) -> None:
    with temporary(*records) as results:
        baseline = freeze(results)
        verdicts = check(results, baseline, direction=direction)
        measured = {(r.id, m) for r in records for m, rows in r.scores.items() if any(row != [None] for row in rows)}
        assert {(v.cell, v.metric) for v in verdicts if v.outcome == "same"} == measured
        assert passed(verdicts)
        assert all(v.difference == 0 and v.interval == (0, 0) for v in verdicts if v.outcome == "same")


@settings(deadline=None, max_examples=40)
@given(records=CELLS.filter(has_numbers))
def test_a_baseline_survives_its_file(records: list[Record]) -> None:
    with temporary(*records) as results:
        baseline = freeze(results)
        file = results.path / "baseline.json"
        file.write_text(gate.to_text(baseline))
        assert gate.read_baseline(file) == baseline
        assert gate.to_text(gate.read_baseline(file)) == file.read_text()


@settings(deadline=None, max_examples=40)
@given(
    metric=st.sampled_from(MEANS),
    values=st.lists(VALUES, min_size=1, max_size=6),
    times=st.floats(1.001, 50),
    sign=st.sampled_from([-1, 1]),
    direction=st.sampled_from(get_args(Direction)),
)
def test_moving_every_target_beyond_the_tolerance_is_a_regression_in_the_direction_watched_alone(
    metric: str, values: list[float], times: float, sign: int, direction: Direction
) -> None:
    shift = sign * times * columns()[metric].tolerance
    with (
        temporary(cell(1, {metric: values})) as before,
        temporary(cell(1, {metric: [v + shift for v in values]})) as now,
    ):
        verdict = only(check(now, freeze(before), direction=direction))
    stronger = columns()[metric].gain(shift) > 0
    regressed = direction == "both" or (direction == "stronger") == stronger
    assert verdict.outcome == ("regressed" if regressed else "improved")
    assert verdict.difference == pytest.approx(shift)
    assert ("stronger" if stronger else "weaker") in verdict.message
    assert passed([verdict]) is not regressed


@settings(deadline=None, max_examples=40)
@given(
    metric=st.sampled_from(MEANS),
    values=st.lists(VALUES, min_size=1, max_size=6),
    times=st.floats(-1, 1) | st.sampled_from([-1.0, 1.0]),
    direction=st.sampled_from(get_args(Direction)),
)
def test_a_difference_of_at_most_the_tolerance_passes_whatever_its_last_bits(
    metric: str, values: list[float], times: float, direction: Direction
) -> None:
    shift = times * columns()[metric].tolerance
    with (
        temporary(cell(1, {metric: values})) as before,
        temporary(cell(1, {metric: [v + shift for v in values]})) as now,
    ):
        verdict = only(check(now, freeze(before), direction=direction))
    assert verdict.outcome in ("same", "moved")
    if len(values) > 1 and abs(shift) > 1e-4:
        assert verdict.outcome == "moved", "every target agrees on it"
    assert passed([verdict])


@settings(deadline=None, max_examples=20)
@given(records=CELLS.filter(has_numbers), seed=st.integers(0, 99))
def test_the_order_of_cells_changes_nothing(records: list[Record], seed: int) -> None:
    moved = [cell(n, {"psnr": [v - n for v in PSNR]}) for n in range(6)]
    with temporary(*records) as before, temporary(*moved) as now:
        first = check(now, freeze(before))
        baseline = freeze(before)
        ids = list(baseline["cells"])
        random.Random(seed).shuffle(ids)
        random.Random(seed).shuffle(moved)
        result(now.path, *moved)
        assert check(now, {"schema": 1, "cells": {id: baseline["cells"][id] for id in ids}}) == first


# The rule


def test_hundredths_that_differ_by_the_tolerance_are_no_regression(tmp_path: Path) -> None:
    """0.57 - 0.55 is more than 0.02 in floating point, 0.03 - 0.01 is less."""
    before = result(tmp_path / "a", *(cell(n, {"ssim": [n / 100]}) for n in range(2, 100)))
    now = result(tmp_path / "b", *(cell(n, {"ssim": [(n - 2) / 100]}) for n in range(2, 100)))
    assert {v.outcome for v in check(now, freeze(before))} == {"same"}


def test_a_shift_within_the_tolerance_that_targets_agree_on_has_moved_and_passes(tmp_path: Path) -> None:
    """Step decay removed from an attack cost 0.2 dB of 26 and was not seen."""
    before = result(tmp_path / "a", cell(1, {"psnr": PSNR}), cell(2, {"psnr": PSNR}))
    shifts = [-0.2, -0.15, -0.22, -0.17]
    now = result(
        tmp_path / "b",
        cell(1, {"psnr": [v + shift for v, shift in zip(PSNR, shifts, strict=True)]}),
        cell(2, {"psnr": [v + shift for v, shift in zip(PSNR, [-0.4, 0.3, -0.2, 0.1], strict=True)]}),
    )
    moved, same = check(now, freeze(before))
    assert (moved.outcome, same.outcome) == ("moved", "same")
    assert passed([moved, same])
    assert moved.message.startswith("within the tolerance: psnr 30.69 -> 30.50 dB, moved by -0.18 (95 % interval -0.2")


def test_one_target_s_shift_within_the_tolerance_is_nothing(tmp_path: Path) -> None:
    before, now = (result(tmp_path / name, cell(1, {"psnr": [v]})) for name, v in (("a", 30.0), ("b", 30.2)))
    assert only(check(now, freeze(before))).outcome == "same"


@pytest.mark.parametrize("value", [math.nextafter(31.0, 0), 31.2, 34.0])
def test_exact_passes_equal_bits_and_nothing_else(tmp_path: Path, value: float) -> None:
    before = result(tmp_path / "a", cell(1), cell(2))
    now = result(tmp_path / "b", cell(1), cell(2, {"psnr": [PSNR[0], value, *PSNR[2:]]}))
    assert passed(check(now, freeze(before)))
    same, other = check(now, freeze(before), exact=True)
    assert (same.outcome, other.outcome) == ("same", "differs")
    assert other.message.startswith("not the same to the last bit: 1 of 4 values differ, by at most ")
    assert passed([same])
    assert not passed([other])


def test_exact_leaves_a_regression_its_name(tmp_path: Path) -> None:
    before, now = result(tmp_path / "a", cell(1)), result(tmp_path / "b", cell(1, {"psnr": [v - 3 for v in PSNR]}))
    assert only(check(now, freeze(before), exact=True)).outcome == "regressed"


def test_a_large_move_that_targets_disagree_on_is_no_regression(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": [30.0, 30.0, 30.0, 30.0]}))
    now = result(tmp_path / "b", cell(1, {"psnr": [18.0, 33.0, 31.0, 32.0]}))
    verdict = only(check(now, freeze(before)))
    assert verdict.outcome == "same"
    assert verdict.difference == -1.5
    assert verdict.interval is not None
    assert verdict.interval[0] < 0 < verdict.interval[1]
    assert "interval over targets holds zero" in verdict.message


def test_targets_are_paired(tmp_path: Path) -> None:
    """Pictures differ by 40 dB, the runs by 1 dB on each: only a paired test sees it."""
    before = result(tmp_path / "a", cell(1, {"psnr": [10.0, 20.0, 30.0, 50.0]}))
    now = result(tmp_path / "b", cell(1, {"psnr": [9.1, 19.0, 28.9, 49.0]}))
    verdict = only(check(now, freeze(before)))
    assert verdict.outcome == "regressed"
    assert (verdict.before, verdict.after) == (27.5, 26.5)
    assert "psnr 27.50 -> 26.50 dB, moved by -1.00" in verdict.message


def test_a_batch_counts_as_one_target(tmp_path: Path) -> None:
    scores: dict[str, Any] = {"psnr": [[30.0, 20.0], [10.0, None], [None, None]]}
    record = Record(id=f"{1:016x}", status="ok", names=NAMES, settings=SETTINGS, targets=3, images=6, scores=scores)
    metrics = freeze(result(tmp_path, record))["cells"][record.id]["metrics"]
    assert metrics == {"psnr": {"mean": 17.5, "values": [25.0, 10.0, None]}}


def test_tolerances_replace_the_columns_own(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": PSNR, "ssim": [0.5] * 4}))
    now = result(tmp_path / "b", cell(1, {"psnr": [v - 0.75 for v in PSNR], "ssim": [0.4] * 4}))

    def outcomes(*words: str) -> dict[str | None, str]:
        verdicts = check(now, freeze(before), gate.read_tolerances(words))
        return {v.metric: v.outcome for v in verdicts}

    assert outcomes() == {"psnr": "regressed", "ssim": "regressed"}
    assert outcomes("psnr=1") == {"psnr": "moved", "ssim": "regressed"}
    assert outcomes("psnr=0.75", "ssim=.1") == {"psnr": "moved", "ssim": "moved"}
    assert outcomes("psnr=0") == {"psnr": "regressed", "ssim": "regressed"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("psnr", "must be METRIC=VALUE"),
        ("psrn=1", "no metric is called 'psrn'; nearest: 'psnr'"),
        ("=1", "no metric is called ''"),
        ("psnr=", "must be a number of at least 0, not ''"),
        ("psnr=-1", "must be a number of at least 0, not '-1'"),
        ("psnr=nan", "must be a number of at least 0, not 'nan'"),
        ("psnr=inf", "must be a number of at least 0, not 'inf'"),
        ("psnr=1dB", "must be a number of at least 0, not '1dB'"),
    ],
)
def test_a_bad_tolerance_is_refused(word: str, message: str) -> None:
    with pytest.raises(GateError) as refused:
        gate.read_tolerances(["ssim=0.1", word])
    assert str(refused.value) == f"tolerance {word!r}: {message}"


# Cells that come, go, fail or change


def test_a_cell_that_is_gone_is_missing_and_one_that_came_is_new(tmp_path: Path) -> None:
    model: dict[str, Any] = {"names": {"model": "mlp"}, "settings": {"model": {"name": "mlp"}}}
    before = result(tmp_path / "a", cell(1), cell(2))
    now = result(tmp_path / "b", cell(1), cell(3, **model))
    verdicts = check(now, freeze(before))
    assert [(v.cell[-1], v.metric, v.outcome) for v in verdicts] == [
        ("1", "psnr", "same"),
        ("2", None, "missing"),
        ("3", None, "new"),
    ]
    assert not passed(verdicts)
    assert passed([v for v in verdicts if v.outcome != "missing"])


def test_a_cell_not_yet_run_is_missing(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1), cell(2))
    now = result(tmp_path / "b", cell(1), plan=[cell(1).id, cell(2).id])
    missing = [v for v in check(now, freeze(before)) if v.outcome == "missing"]
    assert only(missing).message == "planned, but not run"


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_a_cell_that_fails_is_failed_with_its_reason_also_where_the_baseline_never_had_it(
    tmp_path: Path, status: str
) -> None:
    before = result(tmp_path / "a", cell(1))
    bad = [cell(n, {}, status=status, reason="out of memory") for n in (1, 2)]
    verdicts = check(result(tmp_path / "b", *bad), freeze(before))
    assert [(v.metric, v.outcome, v.message) for v in verdicts] == [(None, "failed", f"{status}: out of memory")] * 2
    assert not passed(verdicts[1:])


def test_a_cell_that_became_unsupported_is_missing_with_its_reason(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1))
    now = result(tmp_path / "b", cell(1, {}, status="unsupported", reason="needs batch 1"))
    verdict = only(check(now, freeze(before)))
    assert (verdict.outcome, verdict.message) == ("missing", "unsupported: needs batch 1")


def test_an_unsupported_cell_that_the_baseline_never_had_is_no_news(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1))
    now = result(tmp_path / "b", cell(1), cell(2, {}, status="unsupported", reason="needs batch 1"))
    assert [v.outcome for v in check(now, freeze(before))] == ["same"]


def test_equal_names_with_other_settings_are_changed_and_the_settings_named(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, names={"attack": "dlg"}))
    after = cell(2, {"psnr": [v + 1 for v in PSNR]}, names={"attack": "dlg"}, settings={"targets": 5, "data": "e" * 64})
    verdict = only(check(result(tmp_path / "b", after), freeze(before)))
    assert verdict.outcome == "changed"
    assert verdict.interval is None
    assert verdict.difference == 1
    assert "targets: 4 -> 5" in verdict.message
    assert "data: " in verdict.message
    assert "attack" not in verdict.message
    assert not passed([verdict])


def test_a_parameter_of_a_part_that_changed_is_named_by_its_path(tmp_path: Path) -> None:
    old = {"defense": [{"name": "clip", "norm": 1.0}, {"name": "gaussian", "std": 0.1}]}
    new = {"defense": [{"name": "clip", "norm": 1.0}, {"name": "gaussian", "std": 0.2}], "seed": 1}
    before = result(tmp_path / "a", cell(1, settings=old, names={"defense": "clip+gaussian(std=0.1)"}))
    now = result(tmp_path / "b", cell(2, settings=new, names={"defense": "clip+gaussian(std=0.2)", "seed": 1}))
    message = only(check(now, freeze(before))).message
    assert message.endswith("(now cell 0000000000000002): defense[1].std: 0.1 -> 0.2; seed: 0 -> 1")


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"attack": {"name": "idlg"}}},
        {"settings": {"model": {"name": "mlp"}}},
        {"settings": {"batch_size": 4}},
        {"settings": {"defense": [{"name": "clip"}]}},
        {"names": {"dataset": "digits"}},
    ],
)
def test_another_part_or_batch_size_is_another_cell_not_a_changed_one(tmp_path: Path, other: dict[str, Any]) -> None:
    verdicts = check(result(tmp_path / "b", cell(2, **other)), freeze(result(tmp_path / "a", cell(1))))
    assert sorted(v.outcome for v in verdicts) == ["missing", "new"]


def test_another_variant_of_a_part_is_another_cell(tmp_path: Path) -> None:
    def with_model(number: int, variant: str) -> Record:
        return cell(number, settings={"model": {"name": "torchvision", "variant": variant}})

    before = result(tmp_path / "a", with_model(1, "resnet18"))
    verdicts = check(result(tmp_path / "b", with_model(2, "resnet50")), freeze(before))
    assert sorted(v.outcome for v in verdicts) == ["missing", "new"]


def test_of_several_changed_cells_each_answers_the_one_nearest_to_it(tmp_path: Path) -> None:
    def at(number: int, iterations: int, targets: int) -> Record:
        attack = {"name": "dlg", "iterations": iterations}
        names = {"attack": f"dlg(iterations={iterations})"}
        return cell(number, names=names, settings={"attack": attack, "targets": targets})

    before = result(tmp_path / "a", at(1, 100, 4), at(2, 200, 4))
    now = result(tmp_path / "b", at(3, 200, 8), at(4, 100, 8), at(5, 500, 8))
    outcomes = {v.cell[-1]: (v.outcome, v.message) for v in check(now, freeze(before))}
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == {"1": "changed", "2": "changed", "5": "new"}
    assert "now cell 0000000000000004" in outcomes["1"][1]
    assert "now cell 0000000000000003" in outcomes["2"][1]


# Metrics that come and go


def test_a_metric_empty_on_both_sides_is_skipped(tmp_path: Path) -> None:
    scores: dict[str, Any] = {"psnr": PSNR, "ssim": [None] * 4}
    results = result(tmp_path, cell(1, scores))
    assert list(freeze(results)["cells"][cell(1).id]["metrics"]) == ["psnr"]
    assert only(check(results, freeze(results))).metric == "psnr"


@pytest.mark.parametrize("now", [{"psnr": PSNR}, {"psnr": PSNR, "lpips": [None] * 4}, {"psnr": PSNR, "lpips": []}])
def test_a_metric_that_lost_its_values_is_missing_by_name(tmp_path: Path, now: dict[str, Any]) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": PSNR, "lpips": [0.1] * 4}))
    psnr, lpips = check(result(tmp_path / "b", cell(1, now)), freeze(before))
    assert (psnr.metric, psnr.outcome) == ("psnr", "same")
    assert (lpips.metric, lpips.outcome, lpips.before) == ("lpips", "missing", 0.1)
    assert not passed([lpips])


def test_a_mean_over_the_targets_that_survived_does_not_pass(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": [10.0, 40.0, 40.0, 40.0]}))
    verdict = only(check(result(tmp_path / "b", cell(1, {"psnr": [None, 40.0, 40.0, 40.0]})), freeze(before)))
    assert (verdict.outcome, verdict.message) == ("missing", "1 of 4 targets have no value any more")


def test_a_metric_that_gained_values_is_new(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": PSNR, "ssim": [None] * 4}))
    now = result(tmp_path / "b", cell(1, {"psnr": PSNR, "ssim": [0.5] * 4}))
    verdict = check(now, freeze(before))[1]
    assert (verdict.metric, verdict.outcome, verdict.after) == ("ssim", "new", 0.5)
    assert passed([verdict])


def test_a_target_that_gained_a_value_is_left_out_of_both_means(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": [None, 20.0, 30.0]}))
    verdict = only(check(result(tmp_path / "b", cell(1, {"psnr": [90.0, 20.0, 30.0]})), freeze(before)))
    assert (verdict.outcome, verdict.before, verdict.after) == ("same", 25.0, 25.0)


def test_other_numbers_of_targets_under_one_id_cannot_be_paired(tmp_path: Path) -> None:
    before = result(tmp_path / "a", cell(1, {"psnr": PSNR}))
    verdict = only(check(result(tmp_path / "b", cell(1, {"psnr": PSNR[:3]})), freeze(before)))
    assert (verdict.outcome, verdict.message) == ("changed", "4 targets before, 3 now: they cannot be paired")


def test_a_metric_that_nothing_describes_fails_where_it_moves_or_goes_and_costs_no_other(tmp_path: Path) -> None:
    frozen = freeze(result(tmp_path / "a", cell(1, {"psnr": PSNR, "psnrr": PSNR})))
    moved = [value + 1 for value in PSNR]
    for scores, outcome, why in (
        ({"psnr": PSNR, "psnrr": PSNR}, "same", ""),
        ({"psnr": PSNR, "psnrr": moved}, "regressed", "moved, which way is better is not known"),
        ({"psnr": PSNR}, "missing", "has no value any more"),
    ):
        verdicts = {v.metric: v for v in check(result(tmp_path / "b", cell(1, scores)), frozen)}
        assert verdicts["psnr"].outcome == "same"
        assert verdicts["psnrr"].outcome == outcome
        assert verdicts["psnrr"].message.startswith(why)
        assert outcome == "same" or "no metric is called 'psnrr' here; nearest: 'psnr'" in verdicts["psnrr"].message


# Baselines


def test_only_cells_with_numbers_are_frozen_and_the_others_are_said(tmp_path: Path) -> None:
    records = [
        cell(1),
        cell(2, {}, status="failed", reason="out of memory"),
        cell(3, {}, status="unsupported", reason="needs batch 1"),
        cell(4, {"psnr": [None]}),
    ]
    results = result(tmp_path, *records, plan=[f"{n:016x}" for n in range(1, 6)])
    assert list(freeze(results)["cells"]) == [cell(1).id]
    lines = gate.left_out(results)
    assert [line[:16] for line in lines] == [f"{n:016x}" for n in range(2, 6)]
    assert lines[0].endswith("dlg(iterations=2), lenet, batch 1, none, fedsgd, seed 0: failed: out of memory")
    assert lines[1].endswith(": unsupported: needs batch 1")
    assert lines[2].endswith(": ok: no metric has a value")
    assert lines[3].endswith(": planned, not yet run")


def test_a_result_without_numbers_is_not_frozen(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="nothing to freeze"):
        freeze(result(tmp_path, cell(1, {}, status="failed", reason="no")))


def test_a_baseline_is_sorted_plain_json(tmp_path: Path) -> None:
    text = gate.to_text(freeze(result(tmp_path, cell(2, {"ssim": [0.5], "psnr": [1.5]}), cell(1))))
    plain = json.loads(text)
    assert text == json.dumps(plain, sort_keys=True, indent=2) + "\n"
    assert plain["schema"] == 1
    frozen = plain["cells"][cell(2).id]
    assert frozen["metrics"]["psnr"] == {"mean": 1.5, "values": [1.5]}
    assert frozen["settings"] == SETTINGS
    assert set(frozen["names"]) == set(AXES)


AB = "ab" * 8


def baseline_with(**psnr: Any) -> str:
    metric = {"mean": 1.0, "values": [1.0]} | psnr
    return json.dumps({"schema": 1, "cells": {AB: {"settings": {}, "metrics": {"psnr": metric}}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1: is not JSON"),
        ('{"schema": 1,\n "cells": }', ":2:11: is not JSON"),
        ("[]", ": is not a baseline of invbench"),
        ('{"cells": {}}', ": is not a baseline of invbench"),
        ('{"schema": 2, "cells": {}}', ": has schema 2; this invbench reads 1"),
        ('{"schema": 1}', ": has no 'cells'"),
        ('{"schema": 1, "cells": []}', ".cells: must be a mapping"),
        ('{"schema": 1, "cells": {"ab": 1}}', ": cells: 'ab' is not the id of a cell"),
        (json.dumps({"schema": 1, "cells": {AB: {"settings": {}}}}), f": cells.{AB}: has no 'metrics'"),
        (
            baseline_with().replace('{"psnr": {"mean": 1.0, "values": [1.0]}}', "{}"),
            f": cells.{AB}.metrics: has no metric",
        ),
        (baseline_with().replace('"settings": {}', '"settings": 1'), f"cells.{AB}.settings: must be a mapping"),
        (baseline_with(values=[math.nan]), ": is not JSON: NaN is not a number that JSON knows"),
        (baseline_with().replace("[1.0]", "[1e999]"), ": is not JSON: 1e999 is a number beyond"),
        (baseline_with(mean=1e308, values=[1e308]), "psnr.values: must be a list of numbers within 1e+100 or null"),
        (baseline_with().replace('"schema": 1', '"schema": 1, "schema": 1'), "the key 'schema' is there twice"),
        ('{"schema": 1, "cells": {}}', ": has no cells"),
        (
            baseline_with(values=["1"]),
            f"cells.{AB}.metrics.psnr.values: must be a list of numbers within 1e+100 or null",
        ),
        (baseline_with(values=[]), f"cells.{AB}.metrics.psnr.values: must be a list of numbers within 1e+100 or null"),
        (baseline_with(values=[None]), f"cells.{AB}.metrics.psnr.values: has no number in it"),
        (baseline_with(values=1.0), f"cells.{AB}.metrics.psnr.values: must be a list"),
        (baseline_with(mean="1"), f"cells.{AB}.metrics.psnr.mean: must be a number within 1e+100"),
        (baseline_with(mean=True), f"cells.{AB}.metrics.psnr.mean: must be a number within 1e+100"),
        (baseline_with(mean=2.0), f"cells.{AB}.metrics.psnr.mean: is 2, but the mean of its values is 1"),
    ],
)
def test_a_bad_baseline_is_refused_by_file_and_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text)
    with pytest.raises(GateError) as refused:
        gate.read_baseline(file)
    assert str(refused.value).startswith(str(file))
    assert message in str(refused.value)


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"baseline\.json: there is no such file"):
        gate.read_baseline(tmp_path / "baseline.json")


def test_a_baseline_as_the_design_gives_it_without_names_is_read(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(baseline_with().replace(AB, f"{1:016x}"))
    verdict = only(check(result(tmp_path / "r", cell(1, {"psnr": [1.0]})), gate.read_baseline(file)))
    assert verdict.outcome == "same"


# Reports


def everything(tmp_path: Path) -> list[Verdict]:
    """One verdict of every outcome that a check without `exact` can end in."""
    better, worse = [v + 3 for v in PSNR], [v - 3 for v in PSNR]
    before = result(tmp_path / "a", *(cell(n) for n in range(1, 6)), cell(6, settings={"seed": 6}), cell(9))
    now = result(
        tmp_path / "b",
        cell(1),
        cell(2, {"psnr": better}),
        cell(3, {"psnr": worse}),
        cell(4, {}, status="failed", reason='a <b> & "c"\x1b[31m\x00\ud800 \n ünïcode'),
        cell(7, settings={"seed": 7}),
        cell(8, settings={"batch_size": 8}),
        cell(9, {"psnr": [v + 0.1 for v in PSNR]}),
    )
    return check(now, freeze(before))


def test_a_check_can_end_in_every_outcome(tmp_path: Path) -> None:
    assert {v.outcome for v in everything(tmp_path)} == set(gate.OUTCOMES) - {"differs"}


def test_the_junit_report_has_a_case_a_verdict_and_a_failure_for_each_that_does_not_pass(tmp_path: Path) -> None:
    verdicts = everything(tmp_path)
    root = ElementTree.fromstring(junit(verdicts).encode())
    suite = root[0]
    failing = [v for v in verdicts if v.outcome in gate.FAILING]
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    assert suite.get("name") == "invbench check"
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures")) == (str(len(verdicts)), str(len(failing)))
    assert [case.tag for case in suite] == ["testcase"] * len(verdicts)
    names = [case.attrib["name"] for case in suite]
    assert len(set(names)) == len(names)
    assert all(v.cell in name and name.endswith(v.metric or "cell") for v, name in zip(verdicts, names, strict=True))
    failures = [failure for case in suite for failure in case.findall("failure")]
    assert [f.get("type") for f in failures] == [v.outcome for v in failing]
    assert all(f.get("message") and f.text for f in failures)


def test_the_junit_report_uses_only_what_its_schema_knows(tmp_path: Path) -> None:
    """Names of the Jenkins xUnit plug-in's `junit-10.xsd`, which the other readers accept too."""
    known = {
        "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
        "testsuite": {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname"},
        "testcase": {"name", "assertions", "time", "classname", "status"},
        "failure": {"type", "message"},
        "system-out": set(),
    }
    for element in ElementTree.fromstring(junit(everything(tmp_path)).encode()).iter():
        assert set(element.attrib) <= known[element.tag]


def test_no_character_breaks_the_junit_report(tmp_path: Path) -> None:
    failed = only([v for v in everything(tmp_path) if v.outcome == "failed"])
    text = junit([failed])
    failure = next(ElementTree.fromstring(text.encode()).iter("failure"))
    assert failure.get("message") == 'failed: a <b> & "c"\\x1b[31m\\x00\\ud800 \n ünïcode'
    assert failure.text == failure.get("message")


def test_an_empty_check_is_a_valid_report() -> None:
    assert ElementTree.fromstring(junit([]).encode())[0].get("tests") == "0"


def test_verdicts_as_json_say_whether_they_pass_how_many_and_each(tmp_path: Path) -> None:
    verdicts = everything(tmp_path)
    plain = json.loads(json.dumps(as_json(verdicts), allow_nan=False))
    assert plain["passed"] is False
    assert sum(plain["counts"].values()) == len(plain["verdicts"]) == len(verdicts)
    regressed = only([v for v in verdicts if v.outcome == "regressed"])
    row = next(v for v in plain["verdicts"] if v["outcome"] == "regressed")
    assert row["interval"] == [-3, -3]
    assert row == vars(regressed) | {"interval": [-3, -3]}
    assert as_json([]) == {"schema": 1, "passed": True, "counts": dict.fromkeys(gate.OUTCOMES, 0), "verdicts": []}


# Side by side


def test_two_results_side_by_side_have_a_row_a_metric_with_both_numbers(tmp_path: Path) -> None:
    first = result(tmp_path / "a", cell(1, {"psnr": PSNR, "lpips": [0.5] * 4}), cell(2), cell(4))
    bad = cell(4, {}, status="timeout", reason="600 s")
    second = result(
        tmp_path / "b",
        cell(1, {"psnr": [v + 2 for v in PSNR], "lpips": [0.6] * 4}),
        cell(3, {"exact": [1.0]}, settings={"batch_size": 3}),
        bad,
    )
    rows = {(v.cell[-1], v.metric): v for v in compare(first, second)}
    mean = sum(PSNR) / 4
    assert {key: row.outcome for key, row in rows.items()} == {
        ("1", "psnr"): "improved",
        ("1", "lpips"): "regressed",
        ("2", "psnr"): "missing",
        ("3", "exact"): "new",
        ("4", "psnr"): "failed",
    }
    assert (rows["1", "psnr"].before, rows["1", "psnr"].after, rows["1", "psnr"].difference) == (mean, mean + 2, 2)
    assert (rows["2", "psnr"].before, rows["2", "psnr"].after) == (mean, None)
    assert (rows["3", "exact"].before, rows["3", "exact"].after) == (None, 1.0)
    assert (rows["4", "psnr"].before, rows["4", "psnr"].after) == (mean, None)


def test_results_of_other_settings_stand_side_by_side_unpaired(tmp_path: Path) -> None:
    first = result(tmp_path / "a", cell(1, names={"attack": "dlg"}))
    second = result(tmp_path / "b", cell(2, {"psnr": [20.0]}, names={"attack": "dlg"}, settings={"targets": 1}))
    row = only(compare(first, second))
    assert (row.outcome, row.metric, row.after, row.interval) == ("changed", "psnr", 20.0, None)
