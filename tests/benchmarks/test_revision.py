"""A table is of one commit: measuring is refused with local changes, and parts of another commit are."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import _measure  # type: ignore[import-not-found]
import _parts  # type: ignore[import-not-found]
import _raw  # type: ignore[import-not-found]
import pytest
from _revision import clean_revision, refuse_other_code  # type: ignore[import-not-found]


def git(folder: Path, *words: str) -> None:
    name = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *name, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one commit with a package and a raw file."""
    for path in ("invbench/code.py", "benchmarks/auto.py", "benchmarks/raw/auto.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_clean_checkout_names_its_commit_and_what_benchmarks_write_does_not_count(checkout: Path) -> None:
    revision = clean_revision(checkout)
    assert len(revision) == 10
    (checkout / "benchmarks/raw/auto.json").write_text("2\n")
    (checkout / "benchmarks/report.md").write_text("2\n")
    assert clean_revision(checkout) == revision


@pytest.mark.parametrize("path", ["invbench/code.py", "benchmarks/auto.py", "invbench/new.py"])
def test_with_local_changes_nothing_is_measured(checkout: Path, path: str) -> None:
    (checkout / path).write_text("2\n")
    with pytest.raises(SystemExit, match=path):
        clean_revision(checkout)


def test_without_a_repository_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no git revision"):
        clean_revision(tmp_path)


def test_another_installation_s_code_is_not_measured_under_this_checkout_s_name(checkout: Path, tmp_path: Path) -> None:
    refuse_other_code(str(checkout / "invbench" / "__init__.py"), checkout)
    with pytest.raises(SystemExit, match="imported from"):
        refuse_other_code("/somewhere/invbench/__init__.py", checkout)


def test_a_checkout_that_changes_while_it_is_measured_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    revisions, written = iter(["aaaaaaa", "bbbbbbb"]), []
    monkeypatch.setattr(_measure, "clean_revision", lambda: next(revisions))
    monkeypatch.setattr(_measure, "refuse_other_code", lambda file: None)
    monkeypatch.setattr(_raw, "write", lambda *given: written.append(given))
    with pytest.raises(SystemExit, match="was at aaaaaaa"):
        _measure.record("lanes", None, lambda: None)
    assert not written


def test_what_is_recorded_names_one_revision_and_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = _raw.read("lanes")
    monkeypatch.setattr(_measure, "clean_revision", lambda: "aaaaaaa")
    monkeypatch.setattr(_measure, "refuse_other_code", lambda file: None)
    monkeypatch.setattr(_raw, "RAW", tmp_path)
    monkeypatch.setattr(_measure.report, "REPORT", tmp_path / "report.md")
    _measure.record("lanes", raw.settings, lambda: raw.samples)
    again = _raw.read("lanes")
    assert again.facts.revisions == ["aaaaaaa"]
    assert again.facts.one_revision
    assert again.samples == raw.samples
    assert "Revision aaaaaaa" in (tmp_path / "report.md").read_text()


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make parts at a revision; which were made."""

    def finish(revision: str, *names: str, anew: bool = False) -> list[str]:
        made: list[str] = []

        def make(name: str) -> str:
            made.append(name)
            return revision

        monkeypatch.setattr(_parts, "clean_revision", lambda: revision)
        _parts.finish(tmp_path / "parts", names, make, revision, anew)
        return made

    return finish


def test_parts_of_one_revision_are_gathered_and_made_once(parts: Any, tmp_path: Path) -> None:
    assert parts("aaaaaaa", "one") == ["one"]
    with pytest.raises(SystemExit, match="left to measure: two"):
        _parts.read(tmp_path / "parts", ["one", "two"], str)
    assert parts("aaaaaaa", "one", "two") == ["two"]
    assert _parts.read(tmp_path / "parts", ["one", "two"], str) == ["aaaaaaa", "aaaaaaa"]


def test_parts_of_another_revision_are_refused_or_thrown_away(parts: Any, tmp_path: Path) -> None:
    parts("aaaaaaa", "one")
    with pytest.raises(SystemExit, match="are of aaaaaaa, this checkout is at bbbbbbb"):
        parts("bbbbbbb", "two")
    assert parts("bbbbbbb", "one", "two", anew=True) == ["one", "two"]
    assert set(_parts.read(tmp_path / "parts", ["one", "two"], str)) == {"bbbbbbb"}
