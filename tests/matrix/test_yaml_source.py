"""The YAML reader: values as YAML 1.2 means them, places that count from 1, and no input that breaks it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.matrix.source.nodes import Complaint, Items, Node, Place, Table, plain
from invbench.matrix.source.reading import MAX_BYTES, MAX_DEPTH, MAX_NODES, decode, read
from invbench.matrix.source.scalars import MAX_WORD

QUICK = settings(deadline=None, max_examples=200)


def value(text: str) -> object:
    node, complaints = read(text, "m.yaml")
    assert complaints == []
    assert node is not None
    return plain(node)


def refusals(text: str) -> list[str]:
    """What is wrong with a text, each as LINE:COLUMN: MESSAGE."""
    return [f"{c.place.line}:{c.place.column}: {c.message}" for c in read(text, "m.yaml")[1]]


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "1E-4", "+1e-4", ".0001", "0.0001", "1e-04"])
def test_every_spelling_of_a_small_number_is_that_number(text: str) -> None:
    assert value(text) == 0.0001
    assert isinstance(value(text), float)


@pytest.mark.parametrize(
    "word",
    [
        *("on", "off", "On", "OFF", "yes", "no", "y", "n", "none", "inf", "nan", "1:30", "190:20:30", "0o17", "017"),
        *("0x1f", "0b1", "1_000", "2024-01-01", "2024-01-01T10:00:00", "1e", "e5", ".", "-", "+", "=", "tRue"),
    ],
)
def test_what_only_yaml_1_1_reads_as_something_else_stays_a_word(word: str) -> None:
    expected = word if word != "-" else [None]
    assert value(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("4", 4), ("-4", -4), ("+4", 4), ("0", 0), ("true", True), ("False", False), ("null", None), ("~", None)),
        *(("1.", 1.0), ("-.5", -0.5), ("'4'", "4"), ('"true"', "true"), ("a: ", {"a": None}), ("'off'", "off")),
        *(('"a\\tb"', "a\tb"), ("|\n a\n b\n", "a\nb\n")),
    ],
)
def test_plain_scalars_follow_the_core_schema_and_quoted_ones_are_words(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize("text", [".inf", "-.inf", ".NaN", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused_where_it_stands(text: str) -> None:
    assert refusals(f"lr: {text}") == [f"1:5: a number must be finite, not {text}"]


def test_a_whole_number_beyond_64_bits_is_refused() -> None:
    assert refusals("seed: 9223372036854775808") == ["1:7: a whole number may have 18 characters, not 19"]
    assert value("seed: 999999999999999999") == {"seed": 10**18 - 1}


def test_places_count_lines_and_columns_from_one() -> None:
    node, _ = read("grid:\n  attack: [{name: dlg, iteratons: 5}]\n", "m.yaml")
    assert isinstance(node, Table)
    grid = node.entries["grid"]
    assert grid.place == Place("m.yaml", 1, 1)
    assert isinstance(grid.value, Table)
    attack = grid.value.entries["attack"].value
    assert isinstance(attack, Items)
    assert attack.place == Place("m.yaml", 2, 11)
    (item,) = attack.items
    assert isinstance(item, Table)
    assert item.entries["iteratons"].place == Place("m.yaml", 2, 24)
    assert item.entries["iteratons"].value.place == Place("m.yaml", 2, 35)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1: empty"]),
        ("# only a comment\n", ["2:1: empty"]),
        ("a: 1\na: 2\n", ["2:1: 'a' is repeated; first in line 1"]),
        ("a: 1\n---\nb: 2\n", ["2:1: a second document; there can be one only"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["1:4: tags (!) are not allowed"]),
        ("a: !!int '3'\n", ["1:4: tags (!) are not allowed"]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", ["3:3: merge keys (<<) are not allowed"]),
        ("1: a\n", ["1:1: a key must be a word, not 1"]),
        ("? [a, b]\n: c\n", ["1:3: a key must be a word, not a list"]),
        ("a: *b\n", ["1:4: alias *b has no anchor that ends before it"]),
        ("a: &b [*b]\n", ["1:8: alias *b has no anchor that ends before it"]),
        ("a: [1, 2\n", ["2:1: not YAML: while parsing a flow sequence: expected ',' or ']', but got '<stream end>'"]),
        ("a: b: c\n", ["1:5: not YAML: mapping values are not allowed here"]),
        (
            "a:\n\t- b\n",
            ["2:1: not YAML: while scanning for the next token: found character '\\t' that cannot start any token"],
        ),
        ("a: b\nc: \x07\n", ["2:4: character U+0007 is not allowed"]),
        ('a: "\\0"\n', ["1:4: control characters are not allowed"]),
        ('a: "\\ud800"\n', ["1:4: control characters are not allowed"]),
        ('a: "\\UFFFFFFFF"\n', ["1:7: not YAML: a number out of range"]),
        (f"a: {'x' * (MAX_WORD + 1)}\n", [f"1:4: longer than {MAX_WORD} characters"]),
    ],
)
def test_each_misuse_is_refused_with_its_place(text: str, expected: list[str]) -> None:
    assert refusals(text) == expected


def test_what_is_wrong_in_several_places_is_told_at_once() -> None:
    assert refusals("a: .inf\nb: !x 1\na: 2\n") == [
        "1:4: a number must be finite, not .inf",
        "2:4: tags (!) are not allowed",
        "3:1: 'a' is repeated; first in line 1",
    ]


def test_an_alias_stands_for_what_its_anchor_named() -> None:
    assert value("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    started = time.process_time()
    (refusal,) = refusals("\n".join(lines))
    assert "more than 100,000 values, aliases followed" in refusal
    assert time.process_time() - started < 1


def test_as_many_values_as_the_limit_are_read_and_one_more_is_not() -> None:
    hundred = ", ".join(["&a [" + ", ".join(["1"] * 998) + "]"] + ["*a"] * 99)  # 100 lists of 999 values
    assert len(nodes(read(f"[{hundred}{', 1' * 99}]", "m.yaml")[0])) == MAX_NODES
    assert "more than" in refusals(f"[{hundred}{', 1' * 100}]")[0]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded_without_a_traceback(opening: str) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in refusals(opening * 100_000)[0]


@pytest.mark.parametrize("around", ["[%s]", "{b: %s}", "{? %s : b}"])
def test_depth_built_from_aliases_is_bounded_too(around: str) -> None:
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} {around % f'*a{i - 1} '}" for i in range(1, 1000)]
    assert f"nested more than {MAX_DEPTH} deep" in refusals("\n".join(lines))[-1]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: \xff\n", Complaint(Place("m.yaml", 2, 4), "not UTF-8 text")),
        ("a: 1".encode("utf-16"), Complaint(Place("m.yaml", 1, 1), "not UTF-8 text")),
        (b"#" * (MAX_BYTES + 1), Complaint(Place("m.yaml"), "larger than 1 MiB")),
    ],
)
def test_bytes_that_are_no_text_of_bounded_size_are_refused(data: bytes, expected: Complaint) -> None:
    assert decode(data, "m.yaml") == (None, [expected])


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode(b"\xef\xbb\xbfa: 1", "m.yaml") == ("a: 1", [])


def test_a_value_that_stands_in_no_file_has_no_line() -> None:
    node, complaints = read("[1, {a: .inf, a: 1}]", "--set x=y", fixed=True)
    assert {c.place for c in complaints} == {Place("--set x=y")}
    assert {n.place for n in nodes(node)} == {Place("--set x=y")}


def nodes(node: Node | None) -> list[Node]:
    """A node and all below it."""
    if isinstance(node, Items):
        return [node] + [below for item in node.items for below in nodes(item)]
    if isinstance(node, Table):
        return [node] + [below for entry in node.entries.values() for below in nodes(entry.value)]
    return [] if node is None else [node]


YAML_LIKE = st.text(alphabet="ab1.0eE-+:?,[]{}&*!|>'\"%@`#<~ \n\t\\xuU\u00e9\u2028", max_size=60)


@QUICK
@given(text=st.one_of(YAML_LIKE, st.text(max_size=60)))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    node, complaints = read(text, "m.yaml")
    assert node is not None or complaints
    assert all(c.place.line is not None and c.place.column is not None for c in complaints)


@QUICK
@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    text, complaints = decode(data, "m.yaml")
    assert (text is None) == bool(complaints)


WORDS = st.text(alphabet="abcdefgh", min_size=1, max_size=6)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@QUICK
@given(data=PLAIN)
def test_what_is_written_as_json_is_read_back_unchanged(data: object) -> None:
    assert value(json.dumps(data)) == data
