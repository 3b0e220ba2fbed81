from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parsed_markdown import addresses, kinds, tables

from invbench.report.tables import address, code, facts, table, text

WORDS = st.text(
    st.sampled_from("ab1 |`*_[](){}<>&;~#\\!-+.:/\n\t±é") | st.characters(exclude_categories=["C"]), max_size=30
)


@settings(deadline=None, max_examples=150)
@example(words="a\\|b")
@example(words="a\\")
@example(words="` `` |")
@example(words="![x](y) <script>alert(1)</script> &lt; __init__ *x* ~~y~~")
@given(words=WORDS)
@pytest.mark.parametrize("escape", [text, code])
def test_any_words_stay_in_their_cell_and_read_as_they_were(escape: Callable[[object], str], words: str) -> None:
    markdown = table(["left", "right"], [[escape(words), "x"], ["x", escape(words)]])
    [parsed] = tables(markdown)
    expected = " ".join(words.split())
    assert parsed.rows == [[expected, "x"], ["x", expected]]
    assert not kinds(markdown) & {"html_inline", "link_open", "image", "em_open", "strong_open"}


def test_reasons_keep_their_everyday_signs() -> None:
    for words in ("needs batch_size 1, not 8", "shape [3, 32, 32]", "50 % of 8 (4)"):
        assert text(words) == words


def test_columns_line_up_without_trailing_spaces() -> None:
    lines = table(["name", "dB"], [["a", "1"], ["a longer one", "31.25 ± 2"]], right=frozenset({1})).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len({tuple(m.start() for m in re.finditer(r"\|", line)) for line in lines}) == 1
    assert lines[1].endswith("-: |")
    assert lines[2].endswith("         1 |")


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 cells under a header of 2"):
        table(["a", "b"], [["1", "2", "3"]])


def test_nested_facts_are_rows_by_dotted_path_and_none_is_left_out() -> None:
    [parsed] = tables(facts({"a": {"b": 1, "c": None}, "d": [{"e": 2}, {"e": 3}], "f": [1, 2]}))
    assert parsed.rows == [["a.b", "1"], ["d[0].e", "2"], ["d[1].e", "3"], ["f", "[1, 2]"]]


def test_an_address_with_spaces_and_brackets_is_one_link() -> None:
    folder = Path("my results (old)") / "cells"
    assert addresses(f"[x]({address(folder, 'grid.png')})") == ["my%20results%20%28old%29/cells/grid.png"]
