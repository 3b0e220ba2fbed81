"""Whatever names, reasons and notes hold, a terminal, a page, a table and an XML file get words and nothing else."""

from __future__ import annotations

import ast
import csv
import io
import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_results import made_results, update_record
from parsed_markdown import tables as parsed_tables

import invbench
from invbench import gate, report
from invbench.console import tables
from invbench.console.progress import _words
from invbench.console.saying import say
from invbench.console.terminal import Terminal
from invbench.core.printing import one_line, printable
from invbench.report.summary import NUMBER, field
from invbench.report.tables import code, table, text
from invbench.store import Record, Results

HOSTILE = (
    "x[red]y[/] \x1b[2J\x1b]0;title\x07 \x9b31m \u202egnp.exe\u2066 \u2028two\nlines\r\x00 \ud800 | `a` <b> =1+1 \ufeff"
)
"""Markup, clear-screen, a window's title, marks that turn writing round, new lines, half a surrogate pair."""
TEXTS = st.text(st.characters(), max_size=40)
FORMULAS = ("=1+1", "+cmd", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1", "\uff1d1")


def harmless(shown: str, layout: str = "\n") -> bool:
    """Whether no sign in it is obeyed: no control, no mark of direction, no half of a pair."""
    return all(sign in layout or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in shown)


@given(TEXTS)
@example(HOSTILE)
def test_what_is_printable_stays_and_every_other_sign_is_written_out(words: str) -> None:
    shown = printable(words)
    assert harmless(shown, "\n\t")
    assert printable(shown) == shown
    assert "\n" not in one_line(words)
    if words.isprintable():
        assert shown == words


@given(TEXTS)
@example(HOSTILE)
def test_a_cell_of_a_markdown_table_stays_one_cell_and_shows_the_words(words: str) -> None:
    page = table(["a", "b"], [[text(words), "last"], [code(words), "last"]])
    assert harmless(page)
    [found] = parsed_tables(page)
    assert [row[1] for row in found.rows] == ["last", "last"]
    assert len(page.split("\n")) == 4


@given(TEXTS)
@example(HOSTILE)
@example(FORMULAS[4])
def test_no_field_of_csv_is_a_formula_or_breaks_its_row(words: str) -> None:
    shown = field(words)
    assert isinstance(shown, str)
    assert harmless(shown, "")
    assert shown[:1] not in ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20") or NUMBER.fullmatch(shown)


@pytest.mark.parametrize("words", FORMULAS)
def test_a_formula_in_csv_is_a_text(words: str) -> None:
    assert str(field(words)).startswith("'")


@pytest.mark.parametrize("words", ["-3.5", "+1", "-1e-5", ".5", "-.5"])
def test_a_plain_number_in_csv_stays_one(words: str) -> None:
    assert field(words) == words
    assert field(-3.5) == -3.5


def test_negative_numbers_of_a_summary_are_numbers(tmp_path: Path) -> None:
    shown = report.csv(made_results(tmp_path / "r", [update_record((-3.5, -3.5))]))
    assert next(csv.DictReader(io.StringIO(shown)))["psnr_mean"] == "-3.5"


# Everything that prints, of one hostile result


def hostile(**more: str) -> Record:
    made = update_record(attack=HOSTILE, defense=f"={HOSTILE}", dataset=HOSTILE, model=f"-{HOSTILE}")
    return replace(made, notes=(HOSTILE,), dataset={"name": HOSTILE, "hash": HOSTILE, "path": HOSTILE}, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    failed = replace(hostile(reason=HOSTILE), id="f" * 16, status="failed", scores={}, controls={})
    return made_results(tmp_path / "r", [hostile(), failed]).path


def test_every_page_of_a_hostile_result_is_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(folder)
    page, rows, cells = report.markdown(results, folder), report.csv(results), report.cell_list(results)
    shown = report.cell_page(results, results.plan()[0])
    for what in (page, rows, shown):
        assert harmless(what)
    assert len(list(csv.reader(io.StringIO(rows)))) == len(rows.splitlines()) == 3
    say(cells, end="")
    for markdown in (False, True):
        tables.print_comparison(gate.compare(results, results), markdown)
    assert harmless("".join(capsys.readouterr()))


def test_a_check_of_hostile_names_prints_them_as_words_on_terminal_json_and_xml(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(folder)
    baseline = gate.freeze(results)
    baseline["cells"] = {"a" * 16: next(iter(baseline["cells"].values()))}
    verdicts = gate.check(results, baseline)
    tables.print_check(verdicts)
    out = "".join(capsys.readouterr())
    assert "x[red]y[/]" in "".join(out.split("\n")) or "x[red]y" in out.replace(" ", "").replace("\n", "")
    assert harmless(out)
    xml = gate.junit(verdicts)
    assert harmless(xml)
    assert len(ElementTree.fromstring(xml.encode())[0]) == len(verdicts)
    assert harmless(json.dumps(gate.as_json(verdicts)))


@settings(max_examples=30)
@given(TEXTS)
@example(HOSTILE)
def test_tables_and_displays_of_the_terminal_take_no_markup_and_no_escape(words: str) -> None:
    terminal = Terminal()
    terminal.file = shown = io.StringIO()
    rows = tables.table("name", "what")
    rows.add_row(words, words)
    terminal.print(rows)
    terminal.print(words)
    assert harmless(shown.getvalue(), "\n\t")


def test_a_row_of_the_live_display_takes_no_markup() -> None:
    from rich.progress import Progress

    terminal = Terminal()
    terminal.file = shown = io.StringIO()
    each = Progress(_words("{task.description}"), console=terminal)
    each.add_task("x[red]y[/] \x1b[2J")
    terminal.print(each.get_renderable())
    assert "x[red]y[/]" in shown.getvalue()
    assert harmless(shown.getvalue())


# The door is the only one

DOORS = {
    "echo": {"console/saying.py"},
    "secho": set[str](),
    "print": set[str](),
    "Console": {"console/terminal.py"},
    "to_csv": {"report/summary.py"},
    "tostring": {"gate/junit.py"},
}
"""What writes words to somebody, and the files that may call it."""


def test_nothing_writes_to_anybody_but_through_the_door() -> None:
    root = Path(invbench.__file__).parent
    found = {name: set[str]() for name in DOORS}
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                of_click = called != "echo" or isinstance(node.func, ast.Attribute)
                own = called == "print" and isinstance(node.func, ast.Attribute)  # a Terminal's
                own |= called == "to_csv" and isinstance(node.func, ast.Name)  # report's own
                if called in found and of_click and not own:
                    found[called].add(path.relative_to(root).as_posix())
    assert {name: where for name, where in found.items() if where - DOORS[name]} == {}
