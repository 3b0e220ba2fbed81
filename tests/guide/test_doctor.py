"""`doctor` tries each thing, and one broken thing hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_cells import plugged

from invbench.guide.doctor import Finding, examine

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
