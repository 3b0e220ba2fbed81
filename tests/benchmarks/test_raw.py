"""A raw file holds what its script computes and no sentence; report.md is made of the raw files and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _raw  # type: ignore[import-not-found]
import _table  # type: ignore[import-not-found]
import msgspec
import pytest
import report  # type: ignore[import-not-found]
from msgspec.inspect import DictType, ListType, StrType, StructType, UnionType, type_info

BY_HAND = (
    "Taken in two goes, of two rounds and, because those were short of the goals, of one more.",
    "The rows of `auto` were computed again, alone",
    "In these samples the report's process also loaded torch (about 1.5 s, 400 MB), which the power leaves out.",
    "the machine was slow",
    "Once More, Alone",
    "slow\n",
)
"""Sentences that were once put into raw files by hand, and the like."""

every_question = pytest.mark.parametrize("name", report.QUESTIONS)


def texts(kind: Any) -> Iterator[StrType]:
    """Every text that a type admits."""
    if isinstance(kind, StrType):
        yield kind
    elif isinstance(kind, StructType):
        assert kind.forbid_unknown_fields, kind.cls
        for field in kind.fields:
            yield from texts(field.type)
    elif isinstance(kind, ListType):
        yield from texts(kind.item_type)
    elif isinstance(kind, DictType):
        yield from texts(kind.key_type)
        yield from texts(kind.value_type)
    elif isinstance(kind, UnionType):
        for one in kind.types:
            yield from texts(one)
    else:
        assert type(kind).__name__ in ("IntType", "FloatType", "BoolType", "NoneType", "LiteralType"), kind


@every_question
def test_no_field_of_a_raw_file_admits_a_sentence(name: str) -> None:
    admitted = list(texts(type_info(_raw.kind(name))))
    assert admitted  # revision and processor at least
    for text in admitted:
        assert text.pattern is not None
        assert not [sentence for sentence in BY_HAND if re.search(text.pattern, sentence)], text


@every_question
def test_every_question_has_a_raw_file_that_its_script_can_have_written(name: str) -> None:
    raw = _raw.read(name)
    table = _raw.question(name).answer(raw.settings, raw.samples)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_there_is_no_raw_file_without_its_question() -> None:
    assert {path.name for path in _raw.RAW.iterdir()} == {f"{name}.json" for name in report.QUESTIONS}


@pytest.mark.parametrize("place", [(), ("facts",), ("settings",), ("samples",)])
@every_question
def test_a_field_put_in_by_hand_is_refused(
    name: str, place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.loads((_raw.RAW / f"{name}.json").read_text())
    inner = raw[place[0]] if place else raw
    inner["text"] = BY_HAND[0]
    (tmp_path / f"{name}.json").write_text(json.dumps(raw))
    monkeypatch.setattr(_raw, "RAW", tmp_path)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        _raw.read(name)


def test_report_md_is_what_the_scripts_make_of_the_raw_files() -> None:
    assert report.REPORT.read_text() == report.text()


def test_a_processor_s_name_is_kept_and_a_remark_is_none() -> None:
    for name in ("AMD EPYC", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "NVIDIA H100 80GB HBM3", "Apple M1", "x86_64"):
        assert re.search(_raw.BRAND, name), name
    assert not re.search(_raw.BRAND, "AMD EPYC while nothing else ran")


@pytest.mark.parametrize(
    ("revisions", "one"),
    [(["20ea3ac54f"], True), (["20ea3ac54f", "0d227aa4b0"], False), (["20ea3ac54f with changes"], False)],
)
def test_a_table_that_is_not_of_one_clean_revision_says_so(revisions: list[str], one: bool) -> None:
    raw = _raw.read("lanes")
    facts = msgspec.structs.replace(raw.facts, revisions=revisions)
    text = _table.section("lanes", _raw.question("lanes").answer(raw.settings, raw.samples), facts)
    assert ("Not of one revision; to be measured again" in text) is not one
    assert all(revision in text for revision in revisions)
