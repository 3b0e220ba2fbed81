"""`doctor` tries each thing, and one broken thing hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_cells import plugged

from invbench.guide.doctor import Finding, examine
from invbench.sheets import columns

ESSENTIAL = ["torch", "processor", "LPIPS weights", "cache folder",
             "data set natural", "data set lfw", "data set digits"]  # fmt: skip


def by_name() -> dict[str, Finding]:
    return {finding.what: finding for finding in examine()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_everything_essential_works_here_and_says_what_was_found(cache: Path) -> None:
    found = by_name()
    assert list(found)[: len(ESSENTIAL)] == ESSENTIAL
    assert all(found[what].works is True for what in ESSENTIAL)
    assert torch.__version__.partition("+")[0] in found["torch"].detail
    assert found["data set natural"].detail == "640 pictures of 3 x 32 x 32"
    assert found["data set lfw"].detail == "200 pictures of 1 x 25 x 25"
    assert found["cache folder"].detail == str(cache)
    assert cache.is_dir()
    assert found["GPU"].works is (True if torch.cuda.is_available() else None)


def test_a_cache_that_cannot_be_made_is_found_and_the_rest_is_still_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "file" / "cache"))
    found = by_name()
    assert found["cache folder"].works is False
    assert str(tmp_path / "file") in found["cache folder"].detail
    assert all(found[what].works for what in ESSENTIAL if what != "cache folder")


def test_parts_of_other_packages_are_named(tmp_path: Path, cache: Path) -> None:
    assert by_name()["plugins"].works is None
    with plugged(tmp_path, {"defenses.theirs": "", "attacks.their-own": "", "protocols.theirs": ""}):
        found = by_name()
    assert found["plugins"] == Finding("plugins", True, "attack their-own, defense theirs")
    assert found["plugin protocols.theirs"].works is False
    assert "no kind is called 'protocols'; nearest: 'protocol'" in found["plugin protocols.theirs"].detail
    assert found["defense theirs"].works is False
    assert "exactly one class marked as defense" in found["defense theirs"].detail


BROKEN = {
    "attacks.ends": "raise SystemExit('bye')",
    "metrics.odd": """
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric
METRIC = Metric(column=Column("odd", "a metric", decimals="3"), games=("update",))
""",
    "metrics.pipe": """
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric
METRIC = Metric(column=Column("pipe", "a metric", title="a | b"), games=("update",))
""",
    "sheets.odd": """
from invbench.numbers.sheet import Noun, Sheet
SHEET = Sheet(columns="psnr", item=Noun("picture", "pictures"))
""",
    "models.settings": """
from dataclasses import dataclass
from invbench.registry import model, parameter
@model(data="images")
@dataclass(frozen=True)
class Settings:
    width: "no such type" = parameter(1, help="a width")
""",
}


@pytest.mark.filterwarnings("ignore:metric .* is left out")
def test_every_plugin_that_cannot_be_used_is_named_with_what_is_wrong_and_costs_no_other(
    tmp_path: Path, cache: Path
) -> None:
    with plugged(tmp_path, BROKEN):
        found = by_name()
        assert columns()["psnr"].decimals == 2
    assert all(found[what].works for what in ESSENTIAL)
    said = {
        "attack ends": "SystemExit: bye",
        "metric odd": "Column.decimals must be int, not '3'",
        "metric pipe": "Column.title must be plain words, not 'a | b'",
        "sheet odd": "Sheet.columns must be tuple[str | ",
        "model settings": "",
    }
    for what, words in said.items():
        assert found[what].works is False
        assert words in found[what].detail


def test_a_plugin_with_the_name_of_a_part_that_is_there_is_a_finding(tmp_path: Path, cache: Path) -> None:
    with plugged(tmp_path, {"attacks.dlg": ""}):
        found = by_name()
    assert found["plugins of attacks"].works is False
    assert "has the name of a part that is there already" in found["plugins of attacks"].detail
    assert found["torch"].works
