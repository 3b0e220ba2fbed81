"""Words that others chose, made safe to show: no sign that a terminal, a page or a table would obey is left in them.

Names, reasons and notes come from records, baselines, files and plug-ins. Every place where words leave invbench
passes them through here first: `console/saying.py` to a terminal, `report/tables.py` to Markdown, `report/summary.py`
to CSV, `gate/junit.py` to XML.
"""

from __future__ import annotations


def printable(words: object) -> str:
    """Words on lines of their own, in which every other sign that cannot be seen is written out: `\\x1b`, `\\u202e`.

    What Python itself shows escaped is written out: controls, marks that turn the direction of writing or have no
    width, halves of surrogate pairs, spaces other than the plain one. Line feeds and tabs stay.
    """
    text = str(words)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in "\n\t" else _written_out(sign) for sign in text)


def one_line(words: object) -> str:
    """The same on one line: every run of white space is one space."""
    return printable(" ".join(str(words).split()))


def _written_out(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode()
