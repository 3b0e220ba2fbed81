"""Markdown as GitHub would read it: its tables as rows of plain text, its links and its pictures."""

from __future__ import annotations

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Table:
    """A table below the heading `under`; `bold[row]` holds the columns set in bold."""

    under: str
    header: list[str]
    rows: list[list[str]]
    bold: list[set[int]]

    def column(self, title: str) -> list[str]:
        """The first column of that title."""
        place = self.header.index(title)
        return [row[place] for row in self.rows]


def tables(markdown: str) -> list[Table]:
    """Every table, in order."""
    found: list[Table] = []
    heading, row, previous = "", list[str](), None
    for token in PARSER.parse(markdown):
        if token.type == "inline":
            if previous == "heading_open":
                heading = token.content
            elif previous in ("th_open", "td_open"):
                if any(child.type == "strong_open" for child in token.children or []):
                    found[-1].bold[-1].add(len(row))
                row.append(plain(token))
        elif token.type == "table_open":
            found.append(Table(heading, [], [], [set()]))
        elif token.type == "tr_close":
            if found[-1].header:
                found[-1].rows.append(row)
            else:
                found[-1].header.extend(row)
            found[-1].bold.append(set())
            row = []
        previous = token.type
    return [Table(t.under, t.header, t.rows, t.bold[1:-1]) for t in found]


def plain(inline: Token) -> str:
    """An inline token's text as a reader sees it."""
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))


def addresses(markdown: str) -> list[str]:
    """Where links and pictures lead, in order."""
    inline = [token for token in PARSER.parse(markdown) if token.type == "inline"]
    children = [child for token in inline for child in token.children or []]
    return [str(child.attrs["href" if child.type == "link_open" else "src"]) for child in children if child.attrs]


def kinds(markdown: str) -> set[str]:
    """Types of every token, inline ones included."""
    tokens = PARSER.parse(markdown)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
