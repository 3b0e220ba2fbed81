"""A game of somebody else, with statistics of whole cells and a cost: tables, gate, pages and list, like ours."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_presence import CANDIDATES, SHEET, membership_record
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from small_cells import plugged

from invbench import gate, report
from invbench.console.wording import headline
from invbench.gate import Verdict
from invbench.guide import catalogue
from invbench.report.figures import figures_of
from invbench.report.legend import INTERVAL
from invbench.store import Record, Results, Scores

EMPTY = "tpr_at_fpr_0.001 is empty: a false positive rate of 0.001 needs at least 1000 non-members, there are 40"


@pytest.fixture
def _theirs(tmp_path: Path) -> Iterator[None]:
    with plugged(tmp_path, {"sheets.presence": SHEET}):
        yield


def made(folder: Path, *records: Record) -> Results:
    results = Results(folder)
    results.create("name: made-up\n", [record.id for record in records], {})
    for record in records:
        results.write(record)
    return results


def auc(record: Record) -> float:
    return float(roc_auc_score(record.scores["member"][0], record.scores["score"][0]))


def outcomes(verdicts: list[Verdict]) -> dict[str | None, str]:
    return {verdict.metric: verdict.outcome for verdict in verdicts}


@pytest.mark.usefixtures("_theirs")
def test_a_report_shows_the_area_with_its_interval_and_what_is_above_the_control(tmp_path: Path) -> None:
    loud, quiet = membership_record(2.0), membership_record(0.0, attack="guess")
    page = report.markdown(made(tmp_path / "r", loud, quiet), tmp_path)
    found = figures_of(loud)
    mean, _, low, high, _ = found.scores["auc"]
    assert mean == pytest.approx(auc(loud))
    assert f"**{mean:.3f}** [{low:.3f}, {high:.3f}]".replace("**", "") in page.replace("**", "")
    assert "AUC ↑" in page
    assert "queries" in page
    assert "queries ↓" not in page
    assert f"+{found.leak.gain:.3f}" in page  # type: ignore[union-attr]
    assert "read nothing" in page
    assert "- AUC and tpr at fpr 0.1: of all candidates, with the 95 % bootstrap interval over candidates." in " ".join(
        page.split()
    ).replace(f"Queries: {INTERVAL}. ", "")
    assert "Queries is a cost, and no leak: lower is better." in " ".join(page.split())
    assert "Half of the candidates are members." in page
    assert EMPTY.replace("_", r"\_") in page or EMPTY in page


@pytest.mark.usefixtures("_theirs")
def test_the_summary_holds_the_statistics_and_leaves_empty_what_has_none(tmp_path: Path) -> None:
    record = membership_record()
    [row] = csv.DictReader(report.csv(made(tmp_path / "r", record)).splitlines())
    assert float(row["auc_mean"]) == pytest.approx(auc(record))
    assert float(row["auc_ci_low"]) < auc(record) < float(row["auc_ci_high"])
    assert float(row["control_auc_mean"]) == pytest.approx(auc(replace(record, scores=record.controls["loss"])))
    assert (row["auc_std"], row["tpr_at_fpr_0.001_mean"], row["queries_mean"]) == ("", "", "100")
    assert "score_mean" not in row


@pytest.mark.usefixtures("_theirs")
def test_a_cost_is_no_evidence_and_a_control_s_interval_decides(tmp_path: Path) -> None:
    found = figures_of(membership_record(2.0))
    assert [leak.metric for leak in found.evidence] == ["auc"]
    assert found.shown is not None
    nothing = figures_of(membership_record(0.0, queries=1.0))
    assert nothing.shown is None


@pytest.mark.usefixtures("_theirs")
def test_infinite_scores_do_not_leave_an_area_in_silence(tmp_path: Path) -> None:
    record = membership_record(2.0)
    lost = replace(record, scores={**record.scores, "score": [[float("inf"), *record.scores["score"][0][1:]]]})
    page = report.markdown(made(tmp_path / "r", lost), tmp_path)
    assert f"auc leaves out 1 of {CANDIDATES} candidates, which have no finite score" in page


@pytest.mark.usefixtures("_theirs")
def test_one_victim_of_many_candidates_is_evidence_and_two_members_are_none() -> None:
    """Of a statistic of the whole cell what counts is its items, of the rarer side."""
    record = membership_record(4.0)
    assert record.targets == 1
    assert figures_of(record).shown is not None
    member = [place for place, value in enumerate(record.scores["member"][0]) if value][:2]
    other = [place for place, value in enumerate(record.scores["member"][0]) if not value][:20]

    def few(scores: Scores) -> Scores:
        return {name: [[of[0][place] for place in member + other]] for name, of in scores.items() if len(of[0]) > 1}

    controls = {name: few(scores) for name, scores in record.controls.items()}
    found = figures_of(replace(record, scores=few(record.scores), controls=controls))
    assert found.leak is not None
    assert (found.leak.more, found.shown, found.unsure) == (True, None, True)
    low, high = found.scores["auc"].ci_low, found.scores["auc"].ci_high
    assert low is not None
    assert high is not None
    assert low < high, "two members that all score highest prove little"


@pytest.mark.usefixtures("_theirs")
def test_the_gate_finds_a_weaker_attack_and_is_quiet_about_a_like_one(tmp_path: Path) -> None:
    baseline = gate.freeze(made(tmp_path / "a", membership_record(2.0)))
    like = outcomes(gate.check(made(tmp_path / "b", membership_record(2.01)), baseline))
    assert like == {"auc": "same", "tpr_at_fpr_0.1": "same", "queries": "same"}
    verdicts = gate.check(made(tmp_path / "c", membership_record(0.5)), baseline)
    assert outcomes(verdicts) == {"auc": "regressed", "tpr_at_fpr_0.1": "regressed", "queries": "same"}
    found = verdicts[0]
    assert (found.before, found.after) == pytest.approx((auc(membership_record(2.0)), auc(membership_record(0.5))))
    assert found.interval is not None
    assert found.interval[1] < 0
    assert found.message.startswith("the attack is weaker: auc ")
    stronger = gate.check(made(tmp_path / "d", membership_record(4.0)), baseline, direction="stronger")
    assert outcomes(stronger)["auc"] == "regressed"


@pytest.mark.usefixtures("_theirs")
@pytest.mark.parametrize("direction", ["weaker", "stronger"])
def test_a_cost_has_regressed_when_it_grew_whoever_asks(tmp_path: Path, direction: gate.Direction) -> None:
    baseline = gate.freeze(made(tmp_path / "a", membership_record(queries=100)))
    more = gate.check(made(tmp_path / "b", membership_record(queries=120)), baseline, direction=direction)
    fewer = gate.check(made(tmp_path / "c", membership_record(queries=80)), baseline, direction=direction)
    assert (outcomes(more)["queries"], outcomes(fewer)["queries"]) == ("regressed", "improved")
    assert more[-1].message.startswith("the cost is worse: queries 100 -> 120")


@pytest.mark.usefixtures("_theirs")
def test_a_candidate_that_lost_its_score_is_missing_and_counted_by_its_name(tmp_path: Path) -> None:
    record = membership_record()
    baseline = gate.freeze(made(tmp_path / "a", record))
    score = [[None, *record.scores["score"][0][1:]]]
    lost = replace(record, scores={**record.scores, "score": score})
    verdict = gate.check(made(tmp_path / "b", lost), baseline)[0]
    assert (verdict.outcome, verdict.message) == ("missing", f"1 of {CANDIDATES} candidates have no value any more")


@pytest.mark.usefixtures("_theirs")
def test_a_baseline_keeps_what_is_resampled_once_and_survives_its_file(tmp_path: Path) -> None:
    record = membership_record()
    frozen = gate.freeze(made(tmp_path / "a", record))
    [cell] = frozen["cells"].values()
    assert cell["metrics"]["auc"] == {"mean": pytest.approx(auc(record))}
    assert cell["inputs"] == {"score": record.scores["score"], "member": record.scores["member"]}
    file = tmp_path / "baseline.json"
    file.write_text(gate.to_text(frozen))
    assert gate.read_baseline(file) == frozen
    file.write_text(gate.to_text(frozen).replace(str(cell["metrics"]["auc"]["mean"]), "0.5"))
    with pytest.raises(gate.GateError, match=r"metrics.auc.mean: is 0.5, but its inputs give 0\.9"):
        gate.read_baseline(file)


@pytest.mark.usefixtures("_theirs")
def test_compare_and_show_and_the_run_s_line_and_list_name_the_statistics(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", membership_record(2.0)), made(tmp_path / "b", membership_record(0.5))
    text = report.comparison(gate.compare(first, second))
    assert "AUC ↑" in text
    assert "regressed" in text
    page = report.cell_page(first, first.plan()[0])
    assert "AUC ↑" in page
    assert "queries" in page
    assert "not a member" not in page
    assert EMPTY.replace("_", r"\_") in page or EMPTY in page
    assert headline(membership_record(2.0)) == f"auc {auc(membership_record(2.0)):.3f} (control " + (
        f"{auc(replace(membership_record(), scores=membership_record().controls['loss'])):.3f})"
    )
    listed = dict(catalogue.summaries("metrics"))
    assert listed["auc"] == "area under the ROC curve; higher is a stronger attack"
    assert listed["queries"] == "questions asked; a cost, and no leak; lower is better"
    assert list(listed)[-2:] == ["tpr_at_fpr_0.1", "queries"], "after ours"


def test_results_of_a_game_that_is_not_installed_are_shown_as_they_are(tmp_path: Path) -> None:
    results, record = made(tmp_path / "r", membership_record()), membership_record()
    page = report.markdown(results, tmp_path)
    assert "no package that describes it is installed here" in page
    assert "| score " in page
    assert "not known" in page
    assert "Best here" not in page
    [row] = csv.DictReader(report.csv(results).splitlines())
    assert float(row["queries_mean"]) == 100
    assert "member" in report.cell_page(results, record.id)
    assert headline(record) == ""
    assert outcomes(gate.check(results, gate.freeze(results))) == dict.fromkeys(("member", "queries", "score"), "same")


def test_a_baseline_of_a_game_that_is_gone_is_readable(tmp_path: Path) -> None:
    with plugged(tmp_path, {"sheets.presence": SHEET}):
        results = made(tmp_path / "r", membership_record())
        file = tmp_path / "baseline.json"
        file.write_text(gate.to_text(gate.freeze(results)))
    verdicts = gate.check(results, gate.read_baseline(file))
    assert outcomes(verdicts)["auc"] == "missing"
    assert outcomes(verdicts)["queries"] == "same"
