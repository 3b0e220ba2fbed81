"""Who catches whom: a report's tables of what several attacks find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_memberships import membership_cell

from invbench.numbers.ranking import BalancedAccuracy, TruePositiveRate, precision
from invbench.numbers.whole_cell import estimate
from invbench.play.outcomes import unplayed
from invbench.report.agreement import agreements
from invbench.report.figures import figures_of_all
from invbench.report.legend import legend
from invbench.report.markdown import _notes
from invbench.report.remarks import remarks
from invbench.sheets import sheet_of
from invbench.store import Record, Results

MEMBER = (np.arange(400) % 2).astype(float)


def record(attack: str, found: Sequence[int], member: np.ndarray = MEMBER) -> Record:
    """An attack that surely finds these members of both targets, and knows nothing of the others."""
    score = np.random.default_rng(0).random((2, len(member)))
    score[:, list(found)] += 2
    items = [member.tolist()] * 2
    cell = membership_cell(attack)
    return replace(
        unplayed(cell, "ok", ""), reason=None, scores={"score": score.tolist(), "member": items, "called": items}
    )


def sections(folder: Path, records: Sequence[Record], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    by_id = {one.id: one for one in records}
    results = Results(folder)
    monkeypatch.setattr(Results, "record", lambda self, id: by_id[id])
    return agreements(results, figures_of_all(records))


def test_the_tables_count_who_is_found_by_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = [1, 3, 5], [3, 5, 7, 9, 11]
    [said] = sections(tmp_path, [record("lira", few), record("base", many)], monkeypatch)
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in said.splitlines() if line.startswith("|")}
    lines = [line for line in said.splitlines() if line.startswith("| `")]
    counts = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    found = [int(counts[0][0].split()[0]), int(counts[1][0].split()[0])]
    assert counts[2][0] == str(found[0])
    assert counts[3][1] == str(found[1])
    assert counts[2][1] == counts[3][0]
    assert 4 <= int(counts[2][1]) <= min(found)
    assert [cell.strip() for cell in rows["3"]] == ["2 of 2", "2 of 2", "0 of 0"]


def test_who_is_found_is_told_beside_how_often_he_is_flagged_as_no_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidate 3 is a member of one target of two, and has the highest score in both."""
    made = [record(name, [3]) for name in ("lira", "base")]
    turned = [[MEMBER.tolist(), (1 - MEMBER).tolist()]] * 2
    made = [replace(one, scores=one.scores | {"member": m, "called": m}) for one, m in zip(made, turned, strict=True)]
    [said] = sections(tmp_path, made, monkeypatch)
    [row] = [line for line in said.splitlines() if line.startswith("| 3 ")]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["1 of 1", "1 of 1", "2 of 2"]
    assert "flagged when not a member" in said


def test_where_controls_show_that_nothing_was_read_nobody_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = record("lira", [3])
    assert sections(tmp_path, [one], monkeypatch)
    assert not sections(tmp_path, [replace(one, controls={"blind": one.scores})], monkeypatch)


def test_one_attack_alone_is_told_what_a_positive_is_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [said] = sections(tmp_path, [record("lira", range(1, 400, 2))], monkeypatch)
    assert "400 of 400" in said
    assert all(word in said for word in ("50%", "92%", "99%"))
    assert "both find" not in said


def test_attacks_on_other_members_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = record("base", [1], 1 - MEMBER)
    [said] = sections(tmp_path, [record("lira", [1]), other], monkeypatch)
    assert "`base`" not in said


def test_what_is_found_is_the_rate() -> None:
    drawn = np.random.default_rng(1)
    member = drawn.integers(0, 2, 500).astype(float)
    score = np.round(drawn.normal(0, 1, 500) + member, 1)
    rate = TruePositiveRate(at=0.05)
    value = rate.values([score, member], np.ones((500, 1)))[0]
    assert rate.found(score, member).sum() / member.sum() == pytest.approx(value)


def test_balanced_accuracy_is_the_mean_of_both_sides_under_any_weights() -> None:
    called, member = np.array([1.0, 0, 1, 1, 0]), np.array([1.0, 1, 0, 0, 0])
    weights = np.array([[1.0, 2], [1, 0], [1, 1], [1, 0], [1, 3]])
    assert BalancedAccuracy().values([called, member], weights).tolist() == pytest.approx([(0.5 + 1 / 3) / 2, 0.875])


def test_precision_is_bayes_rule() -> None:
    assert precision(0.5, 0.01, 0.5) == pytest.approx(0.5 / 0.51)
    assert precision(0.1, 0.01, 0.01) == pytest.approx(0.001 / (0.001 + 0.0099))


def test_a_sheet_s_remarks_are_those_of_the_values_that_are_there() -> None:
    scores = record("lira", range(1, 53, 2)).scores
    sheet = sheet_of("membership")
    found = {column.name: estimate(column.statistic, scores) for column in sheet.statistics if column.statistic}
    said = remarks(sheet, found, {}, 0, 2)
    assert any("tpr_at_fpr_0.001 is empty" in one for one in said)
    assert any("this is a leak" in one for one in said)


def test_a_report_says_that_a_low_area_may_be_a_leak_and_that_no_area_is_a_word_of_risk() -> None:
    figures = figures_of_all([record("lira", range(1, 53, 2))])
    assert figures[0].scores["auc"].mean < 0.6
    assert "is low, and yet this is a leak: a false positive rate of 1 % finds 1" in _notes(figures)
    assert "No word of risk follows from an AUC alone" in legend([sheet_of("membership")])


def test_a_report_says_how_often_a_positive_is_right_where_members_are_1_10_and_50_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [said] = sections(tmp_path, [record("lira", range(1, 400, 2))], monkeypatch)
    [header] = [line for line in said.splitlines() if "right where" in line]
    assert [cell.strip() for cell in header.split("|")[3:-1]] == [
        f"right where {share} are members" for share in ("1%", "10%", "50%")
    ]


def test_the_legend_says_what_a_cost_is_that_some_cell_has() -> None:
    assert "D-SNR: of a malicious server: how far one picture outweighs" in " ".join(
        legend([sheet_of("update")], {"d_snr"}).split()
    )
    assert "D-SNR" not in legend([sheet_of("update")])
