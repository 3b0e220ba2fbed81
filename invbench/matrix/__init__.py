"""A YAML file to a validated `Matrix` of frozen cells.

Everything wrong with the file is told at once, each with its place. Nothing is computed; data sets are
loaded, because their content is part of a cell's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from invbench.cell import Cell
from invbench.core.names import Defaults
from invbench.federation import Federation, Utility, federations_of
from invbench.matrix import values
from invbench.matrix.blocks import Batches, Block, Limits, read_data, read_grid, read_include
from invbench.matrix.bounds import refuse_out_of_bounds
from invbench.matrix.choices import Reader
from invbench.matrix.controls import read_controls, refuse_strangers
from invbench.matrix.errors import Errors, MatrixError, MatrixErrors
from invbench.matrix.excluding import Exclusion, read_exclusion
from invbench.matrix.published import published_of, read_published
from invbench.matrix.selecting import select
from invbench.matrix.source.nodes import Entry, Items, Node, Table
from invbench.matrix.tree import read_tree
from invbench.matrix.utility import read_utility
from invbench.matrix.varying import defaults_that_vary
from invbench.published import Published

MOST_CELLS = 1_000_000
"""Of a matrix, before any is excluded: what a parent process can hold and a folder can keep."""

__all__ = ["Matrix", "MatrixError", "MatrixErrors", "load", "select"]


@dataclass(frozen=True)
class Matrix:
    """What a matrix file asks for. `cells`: the grid in order, then the included ones, no id twice."""

    name: str
    cells: tuple[Cell, ...]
    text: str  # the file, headed by a comment with `--set`
    warnings: tuple[str, ...]  # each `FILE:LINE:COLUMN: what looks wrong`
    threads: int  # of one cell
    timeout: float  # seconds a cell
    utility: Utility | None = None  # how the trainings go that say what defences cost, where they are asked for
    published: tuple[Published, ...] = ()  # what papers report, beside the cells that ask the same question

    @cached_property
    def federations(self) -> dict[str, Federation]:
        """Those trainings by the ids of the cells whose defences they are of."""
        return {} if self.utility is None else federations_of(self.cells, self.utility)

    @cached_property
    def defaults(self) -> Defaults:
        """Defaults that tables say, since other cells of the matrix have another value of the setting."""
        return defaults_that_vary(self.cells)


def load(path: Path | str, sets: Sequence[str] = ()) -> Matrix:
    """The matrix of a file with `--set KEY=VALUE` put in; MatrixErrors holds all that is wrong with it."""
    path, errors = Path(path), Errors()
    tree, text = read_tree(path, sets, errors)
    if tree is None:
        raise MatrixErrors(errors.found)
    reader = Reader(path.absolute().parent, errors)
    values.refuse_unknown(tree, values.MATRIX_KEYS, "the matrix", errors)
    name = values.read_name(tree.entries.get("name"), path.stem, tree.place, errors)
    limits = Limits(
        threads=values.setting("threads", tree, errors),
        compile=values.setting("compile", tree, errors),
        controls=read_controls(tree.entries.get("controls"), errors),
        timeout=values.setting("timeout", tree, errors),
    )
    utility = read_utility(tree.entries.get("utility"), errors)
    claims = read_published(tree.entries.get("published"), reader)
    grid, included, exclusions = _read_blocks(tree, reader)
    _refuse_too_many([grid, *included] if grid else included, tree, errors)
    errors.check()
    kept, warnings = _without_excluded(grid.cells(limits) if grid else (), exclusions)
    kept += [cell for block in included for cell in block.cells(limits)]
    if not kept:
        errors.add(tree.entries["grid"].place, "every cell of the grid is excluded")
    refuse_out_of_bounds(kept, tree, errors)
    refuse_strangers(limits.controls, (cell.game for cell in kept), errors)
    errors.check()
    unique: dict[str, Cell] = {}
    for cell in kept:
        unique.setdefault(cell.id, cell)
    cells = tuple(unique.values())
    published = published_of(claims, cells, errors)
    made = Matrix(name, cells, text, warnings, limits.threads, limits.timeout, utility, published)
    if utility is not None and not made.federations:
        errors.add(tree.entries["utility"].place, "utility needs cells in which clients share updates; there are none")
    errors.check()
    return made


def _read_blocks(tree: Table, reader: Reader) -> tuple[Block | None, list[Block], list[Exclusion]]:
    """The grid, the included cells and what is excluded; what is wrong with them is noted, not raised."""
    given, errors = tree.entries, reader.errors
    included, excluded = _items(given.get("include")), _items(given.get("exclude"))
    if "grid" not in given and not included:
        errors.add(tree.place, "the matrix has no cells: it needs 'grid' or 'include'")
    lends = "grid" in given or any(isinstance(node, Table) and "dataset" not in node.entries for node in included)
    if lends and "dataset" not in given:
        errors.add(tree.place, "the matrix lacks 'dataset'")
    batches = Batches(
        data=read_data(given["dataset"].value, reader) if "dataset" in given else None,
        targets=values.setting("targets", tree, errors),
        offset=values.setting("offset", tree, errors),
        seeds=values.read_axis("seed", given["seed"].value, reader) if "seed" in given else (0,),
    )
    grid = read_grid(given["grid"], batches, reader) if "grid" in given else None
    blocks = [read_include(node, batches, reader) for node in included]
    exclusions = [read_exclusion(node, reader) for node in excluded]
    return grid, [block for block in blocks if block], [exclusion for exclusion in exclusions if exclusion]


def _refuse_too_many(blocks: Sequence[Block], tree: Table, errors: Errors) -> None:
    """Note that grid and included cells, with every seed, are more than `MOST_CELLS`; counted, none of them made."""
    number = sum(map(len, blocks))
    if number > MOST_CELLS:
        entry = tree.entries.get("grid") or tree.entries["include"]
        errors.add(entry.place, f"the matrix makes {number:,} cells; at most {MOST_CELLS:,}")


def _items(entry: Entry | None) -> tuple[Node, ...]:
    """The items of `include` or `exclude`; a single mapping is a list of one."""
    if entry is None:
        return ()
    return entry.value.items if isinstance(entry.value, Items) else (entry.value,)


def _without_excluded(cells: Iterable[Cell], exclusions: list[Exclusion]) -> tuple[list[Cell], tuple[str, ...]]:
    """The cells that no exclusion matches, and a warning for each exclusion that matches none."""
    kept, used = [], set()
    for cell in cells:
        matching = [exclusion.place for exclusion in exclusions if exclusion.matches(cell)]
        used.update(matching)
        if not matching:
            kept.append(cell)
    unused = [exclusion.place for exclusion in exclusions if exclusion.place not in used]
    warnings = [MatrixError(p.file, p.line, p.column, "this exclude matches no cell of the grid") for p in unused]
    return kept, tuple(str(warning) for warning in warnings)
