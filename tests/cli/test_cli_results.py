"""What reads a finished result: report, baseline, check, compare, show. None of them imports torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import Finished, FinishedRun, edit_scores, invbench, records
from exact_attack import EXACT

WITHOUT_TORCH = """\
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "lpips"):
            raise ImportError(f"{name} is not to be imported here")

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Finished]:
    """The command line in `tmp_path`, in a Python that refuses to import torch."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(WITHOUT_TORCH)
    return lambda *words: invbench(*words, folder=tmp_path, PYTHONPATH=str(guard))


def weaker(metric: str, value: float) -> float:
    return value - 1 if metric == "psnr" else value


def stronger(metric: str, value: float) -> float:
    return value + 1 if metric == "psnr" else value


def links(markdown: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", markdown)


def test_the_guard_of_these_tests_refuses_torch(finished: FinishedRun, command: Callable[..., Finished]) -> None:
    assert "torch is not to be imported here" in command("run", finished.folder / "small.yaml").stderr


def test_a_report_is_printed_or_written_and_its_links_exist_from_where_it_stands(
    finished: FinishedRun, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    finished.copy(tmp_path)
    printed = command("report", "results/small")
    assert (printed.exit_code, printed.stderr) == (0, "")
    assert len(links(printed.stdout)) >= 4
    assert all((tmp_path / link).is_file() for link in links(printed.stdout))
    (tmp_path / "a b" / "c").mkdir(parents=True)
    written = command("report", "results/small", "-o", "a b/c/page.md")
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "")
    page = tmp_path / "a b" / "c" / "page.md"
    assert len(links(page.read_text())) == len(links(printed.stdout))
    assert all((page.parent / link).is_file() for link in links(page.read_text()))
    inside = tmp_path / "results/small/report.md"
    assert all((inside.parent / link).is_file() for link in links(inside.read_text()))


def test_a_result_passes_against_its_own_baseline(
    finished: FinishedRun, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    finished.copy(tmp_path)
    frozen = command("baseline", "results/small", "-o", "baseline.json")
    assert (frozen.exit_code, frozen.stdout) == (0, "wrote baseline.json: 5 cells\n")
    assert re.fullmatch(
        rf"left out: [0-9a-f]{{16}} .*{EXACT}.*: unsupported: needs batch_size 1, not 2.*\n", frozen.stderr
    )
    same = command("check", "results/small", "--baseline", "baseline.json")
    assert (same.exit_code, same.stderr) == (0, "")
    assert re.fullmatch(r"passed: \d+ same\n", same.stdout)


def test_an_attack_that_lost_a_decibel_is_a_regression_by_name_in_every_form(
    finished: FinishedRun, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    result = finished.copy(tmp_path)
    command("baseline", "results/small", "-o", "baseline.json")
    cell = edit_scores(result, "inverting-gradients", weaker)
    check = ["check", "results/small", "--baseline", "baseline.json"]
    table = command(*check)
    assert table.exit_code == 1
    assert cell[:8] in table.stdout
    assert "the attack is weaker" in " ".join(table.stdout.split())
    assert re.search(r"^NOT passed: \d+ same, 1 regressed$", table.stdout, re.MULTILINE)
    assert max(map(len, table.stdout.splitlines())) <= 80

    as_json = command(*check, "--json", "--junit", "verdicts.xml")
    assert as_json.exit_code == 1
    told = json.loads(as_json.stdout)
    (verdict,) = (v for v in told["verdicts"] if v["outcome"] == "regressed")
    assert (verdict["cell"], verdict["metric"]) == (cell, "psnr")
    assert verdict["after"] - verdict["before"] == pytest.approx(-1)
    suites = ElementTree.parse(tmp_path / "verdicts.xml").getroot()
    assert (suites.get("failures"), suites.get("tests")) == ("1", str(len(told["verdicts"])))
    (case,) = (case for case in suites.iter("testcase") if case.find("failure") is not None)
    assert cell in case.get("name", "")

    assert command(*check, "--tolerance", "psnr=2").exit_code == 0
    assert command(*check, "--direction", "stronger").exit_code == 0
    assert command(*check, "--direction", "both").exit_code == 1


def test_an_attack_that_gained_a_decibel_is_a_regression_only_where_leaks_are_watched(
    finished: FinishedRun, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    result = finished.copy(tmp_path)
    command("baseline", "results/small", "-o", "baseline.json")
    edit_scores(result, "inverting-gradients", stronger)
    check = ["check", "results/small", "--baseline", "baseline.json"]
    assert command(*check).exit_code == 0
    assert command(*check, "--direction", "stronger").exit_code == 1


def test_two_results_stand_side_by_side(
    finished: FinishedRun, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    result = finished.copy(tmp_path)
    cell = edit_scores(result, "inverting-gradients", weaker)
    short = command("compare", finished.result, "results/small")
    assert (short.exit_code, short.stderr) == (0, "")
    (listed,) = (line for line in short.stdout.splitlines() if line.startswith(cell[:8]))
    assert listed.split()[-2:] == ["-1", "regressed"]
    assert max(map(len, short.stdout.splitlines())) <= 80
    assert re.search(r"^\d+ same, 1 regressed; \d+ values equal, not listed$", short.stdout, re.MULTILINE)
    done = command("compare", finished.result, "results/small", "--markdown")
    assert (done.exit_code, done.stderr) == (0, "")
    row = next(line for line in done.stdout.splitlines() if cell[:8] in line and "PSNR" in line.upper())
    before, after = (float(n) for n in re.findall(r"\| +(-?\d+\.\d\d) ", row)[:2])
    assert after == pytest.approx(before - 1, abs=0.011)


def test_a_cell_is_shown_by_the_beginning_of_its_id(finished: FinishedRun, command: Callable[..., Finished]) -> None:
    cell, record = next((i, r) for i, r in records(finished.result).items() if r["scores"])
    shown = command("show", finished.result, cell[:6])
    assert shown.exit_code == 0
    assert cell in shown.stdout
    assert record["names"]["attack"] in shown.stdout
    missing = command("show", finished.result, "zzzz")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "no cell 'zzzz' in" in missing.stderr
    assert "lists its cells" in missing.stderr


def test_without_a_cell_every_cell_is_listed(finished: FinishedRun, command: Callable[..., Finished]) -> None:
    shown = command("show", finished.result)
    assert shown.exit_code == 0
    listed = {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()}
    assert listed == {id: record["status"] for id, record in records(finished.result).items()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "DIR", "--format", "html"], "'html' is not one of 'markdown', 'csv'"),
        (["report", "DIR", "--format", "latex"], "'latex' is not one of 'markdown', 'csv'"),
        (["report", "DIR", "-o", "no/such/folder/page.md"], "cannot be written"),
        (["run", "m.yaml", "--ray-address", "127.0.0.1:6379"], "--ray-address needs --executor ray"),
        (["run", "m.yaml", "--gpus-per-cell", "0.5"], "--gpus-per-cell needs --executor ray"),
        (["run", "m.yaml", "--executor", "ray", "--gpus-per-cell", "2"], "2.0 is not in the range 0<x<=1"),
        (["run", "m.yaml", "--workers", "0"], "--workers"),
        (["run", "m.yaml"], "m.yaml: cannot be read: No such file or directory"),
        (["check", "DIR", "--baseline", "b.json", "--github"], "--github is not built yet; --junit is"),
        (["check", "DIR", "--baseline", "b.json"], "b.json: there is no such file"),
        (["check", "DIR"], "Missing option '--baseline'"),
        (["check", "DIR", "--baseline", "b.json", "--tolerance", "pnsr=1"], "nearest: 'psnr'"),
        (["check", "DIR", "--baseline", "b.json", "--direction", "up"], "'up' is not one of"),
        (["baseline", "."], "Missing option '-o'"),
        (["baseline", ".", "-o", "b.json"], "is no result of invbench: it has no plan.json"),
        (["report", "nowhere"], "'nowhere' does not exist"),
        (["report", "."], "is no result of invbench: it has no plan.json"),
        (["rport", "."], "Did you mean 'report'?"),
        (["run", "m.yaml", "--fersh"], "'--fresh'"),
        ([], "Usage:"),
    ],
)
def test_wrong_words_end_2_and_say_what_is_wrong(
    finished: FinishedRun, command: Callable[..., Finished], words: list[str], message: str
) -> None:
    done = command(*[str(finished.result) if word == "DIR" else word for word in words])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
