"""The command line: words to calls. How things print is `console/`'s business; nothing is decided here.

Everything heavy is imported inside a command, so that `--help`, completion and what reads a finished result
stay quick and never import torch.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from invbench import __version__
from invbench.console.at_once import INTERRUPTED
from invbench.console.leaving import heed_interrupts, leave
from invbench.console.refusing import WRONG, Commands, Refused
from invbench.console.saying import say, say_refusal, say_warnings
from invbench.console.streams import patient_streams

if TYPE_CHECKING:
    from invbench.cell import Cell
    from invbench.federation import Federation
    from invbench.gate import Direction
    from invbench.matrix import Matrix
    from invbench.runs.executors import Crew

RESULT = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
KINDS = ("attacks", "models", "defenses", "datasets", "protocols", "metrics", "games")


class Kind(click.Choice):  # type: ignore[type-arg]  # generic only since click 8.2
    """One of KINDS, or its nearest in the refusal; the singular is as good."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            kind: str = super().convert(f"{value}s" if f"{value}s" in KINDS else value, param, ctx)
        except click.BadParameter as error:
            message, near = error.message.rstrip("."), difflib.get_close_matches(str(value), KINDS, n=1, cutoff=0.5)
            raise click.BadParameter(f"{message}; nearest: {near[0]!r}" if near else message, ctx, param) from None
        return kind


def main() -> NoReturn:
    """Run the command line and leave with its exit code.

    0 all well, 1 a cell failed or a check did not pass, 2 the words or a file are wrong, 130 interrupted.
    """
    streams = patient_streams()
    heed_interrupts()
    say_warnings()
    try:
        code = invbench.main(standalone_mode=False)
    except click.ClickException as error:
        say_refusal(error)
        leave(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted", err=True)
        leave(INTERRUPTED)
    if lost := streams.lost():
        say(f"standard output cannot be written: {lost}", err=True)
        leave(WRONG)
    leave(code if isinstance(code, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="invbench")
def invbench() -> None:
    """Measure how much private training data leaks, and what each defence buys."""


@invbench.command()
@click.argument("path", type=FILE, default="matrix.yaml")
def init(path: Path) -> None:
    """Write a commented matrix.yaml that runs."""
    from invbench.guide.template import TEMPLATE

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise Refused(f"{path} is there already; it is left as it is") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
    say(f"wrote {path}; next: invbench run {path}")


@invbench.command()
@click.argument("matrix", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Results folder [results/NAME].")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N", help="Where cells run.")
@click.option("--workers", type=click.IntRange(min=1), help="Cells at a time [CPU: cores / threads; GPU: 1].")
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--ray-address", metavar="HOST:PORT", help="Ray cluster [RAY_ADDRESS, else a Ray of this machine].")
@click.option(
    "--gpus-per-cell", type=click.FloatRange(0, 1, min_open=True), help="Share of a GPU that a cell gets on Ray [1]."
)
@click.option("--fresh", is_flag=True, help="Compute every cell again.")
@click.option(
    "--dry-run", is_flag=True, help="Show the cells, what cannot run and why, and a forecast; compute nothing."
)
@click.option("--only", multiple=True, metavar="KEY=VALUE", help="Only the cells that agree; may be repeated.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change the matrix; may be repeated.")
@click.option("--shard", metavar="I/N", help="Only the I-th of N equal parts, into a folder of its own.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def run(
    matrix: Path,
    output: Path | None,
    device: str,
    workers: int | None,
    executor: str,
    ray_address: str | None,
    gpus_per_cell: float | None,
    fresh: bool,
    dry_run: bool,
    only: tuple[str, ...],
    sets: tuple[str, ...],
    shard: str | None,
    quiet: bool,
) -> int:
    """Run the cells of MATRIX that have no result yet."""
    for option, given in (("--ray-address", ray_address), ("--gpus-per-cell", gpus_per_cell)):
        if executor != "ray" and given is not None:
            raise Refused(f"{option} needs --executor ray")
    read, cells, trainings, name = _read(matrix, sets, only, shard)
    for warning in () if quiet else read.warnings:
        say(f"warning: {warning}", err=True)
    from invbench import report
    from invbench.console import plan, progress, tables
    from invbench.runs.run import is_done
    from invbench.runs.run import run as run_cells
    from invbench.runs.trainings import of_trainings
    from invbench.store import Results, environment
    from invbench.store.fresh import of_before

    results = Results(output or Path("results") / name)
    with ExitStack() as stack:
        if executor == "ray" and not dry_run:
            crew, where = _on_ray(stack, ray_address, device, workers, read.threads, gpus_per_cell or 1.0)
        else:
            crew, where = _here(device, workers, read.threads)
        if dry_run:
            before = of_before(results)
            done = {cell.id for cell in cells if not fresh and cell.id not in before and is_done(results, cell)}
            outcomes = plan.print_plan(cells, lambda cell: cell.id in done, where, crew.workers, read.threads)
            plan.print_trainings(trainings, results, fresh, where, crew.workers)
            _refuse_idle(matrix, outcomes, shard)
            return int(plan.only_failures(outcomes))
        facts = {"device": where, "threads": read.threads, "executor": executor, "workers": crew.workers}
        facts = {**environment(), **facts, "command": sys.argv[1:]}
        listen = stack.enter_context(progress.progress_display(quiet, cells, crew.workers))
        conclude = report.write_files
        records = run_cells(
            read, cells, results, facts, crew=crew, fresh=fresh, trainings=trainings, listen=listen, conclude=conclude
        )
    if not quiet:
        tables.print_outcome(records, results.path)
    _refuse_idle(matrix, [record.status for record in records], shard)
    if lost := len(cells) - len(records):
        say(f"{results.path}: {lost} of {len(cells)} cells have no record any more", err=True)
    ended = [*(record.status for record in records), *of_trainings(trainings, results)]
    return int(bool(lost) or bool({"failed", "timeout"} & set(ended)))


def _refuse_idle(matrix: Path, outcomes: Iterable[str], shard: str | None) -> None:
    """Refused where every cell asked for is unsupported: such a matrix asks for nothing that can be run.

    A shard may hold none but those by chance.
    """
    if shard is None and set(outcomes) == {"unsupported"}:
        raise Refused(
            f"{matrix}: no cell that it asks for can be run; each is unsupported, for the reason told with it"
        )


def _read(
    matrix: Path, sets: Sequence[str], only: Sequence[str], shard: str | None
) -> tuple[Matrix, list[Cell], list[Federation], str]:
    """The matrix, those of its cells that are asked for, the trainings of their defences, the name of their results."""
    from invbench.matrix import load, select
    from invbench.runs.shards import read_shard

    part = read_shard(shard) if shard is not None else None
    read = load(matrix, sets)
    cells = select(read.cells, only) if only else list(read.cells)
    trainings = list({one.id: one for cell in cells if (one := read.federations.get(cell.id)) is not None}.values())
    if part is None:
        return read, cells, trainings, read.name
    return read, part.of(cells), part.of(trainings), f"{read.name}-{part}"


def _here(device: str, workers: int | None, threads: int) -> tuple[Crew, str]:
    """Workers on this machine, and the device as it is told."""
    from invbench.runs.devices import resolve
    from invbench.runs.run import default_workers, local_crew

    where = resolve(device)
    return local_crew(where, workers or default_workers(where, threads), threads), where


def _on_ray(
    stack: ExitStack, address: str | None, device: str, workers: int | None, threads: int, gpus: float
) -> tuple[Crew, str]:
    """Workers on a Ray cluster until the stack closes, and the device as it is told."""
    from invbench.runs.executors.cluster import cluster_crew

    waiting = cluster_crew(address or os.environ.get("RAY_ADDRESS"), device, workers, threads, gpus)
    crew = stack.enter_context(waiting)
    return crew, crew.device


@invbench.command()
@click.argument("folders", type=RESULT, nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Results folder.")
def merge(folders: tuple[Path, ...], output: Path) -> None:
    """Bring shards of one matrix together in one results folder.

    A cell that two folders have must have the same result in both; a failure gives way to a result. The folder of
    -o may hold results of the same matrix, which it keeps.
    """
    from invbench import report, store
    from invbench.console import tables

    found = [store.Results(folder) for folder in folders]
    merged = store.merge(found, store.Results(output), sys.argv[1:], report.write_files)
    tables.print_merged(merged, output)


@invbench.command("report")
@click.argument("result", type=RESULT)
@click.option("--format", "form", type=click.Choice(["markdown", "csv"]), default="markdown", show_default=True)
@click.option("-o", "--output", type=FILE, help="File to write instead of printing.")
def report_(result: Path, form: str, output: Path | None) -> None:
    """Print a result as a page of tables, or as the rows of summary.csv."""
    from invbench import report
    from invbench.store import Results, write_out
    from invbench.store.utility import damaged_utilities

    found = Results(result)
    there = output.absolute().parent if output else Path.cwd()
    page = report.csv(found) if form == "csv" else report.markdown(found, there)
    if output:
        write_out(output, page)
    else:
        say(page, end="")
    for wrong in damaged_utilities(found).values():
        say(f"left out: {wrong}; the next `invbench run` makes it again", err=True)


@invbench.command()
@click.argument("result", type=RESULT)
@click.option("-o", "--output", type=FILE, required=True, help="The baseline file to write.")
def baseline(result: Path, output: Path) -> None:
    """Freeze a result as a baseline for `check`."""
    from invbench import gate
    from invbench.store import Results, write_out

    frozen = gate.freeze(Results(result))
    write_out(output, gate.to_text(frozen))
    for line in gate.left_out(Results(result)):
        say(f"left out: {line}", err=True)
    say(f"wrote {output}: {len(frozen['cells'])} cells")


@invbench.command()
@click.argument("result", type=RESULT)
@click.option("--baseline", "frozen", type=click.Path(path_type=Path), required=True, help="From `invbench baseline`.")
@click.option("--tolerance", multiple=True, metavar="METRIC=VALUE", help="Change that is put up with; may be repeated.")
@click.option("--direction", type=click.Choice(["weaker", "stronger", "both"]), default="weaker", show_default=True)
@click.option("--exact", is_flag=True, help="Every value must be the same to its last bit.")
@click.option("--junit", type=FILE, help="Also write the verdicts as JUnit XML.")
@click.option("--github", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def check(
    result: Path,
    frozen: Path,
    tolerance: tuple[str, ...],
    direction: Direction,
    exact: bool,
    junit: Path | None,
    github: bool,
    as_json: bool,
) -> int:
    """Hold a result against a baseline.

    Exit code 1 where a metric regressed, or a cell failed, changed or is missing. A shift within the tolerance that
    the targets agree on is shown as moved, and passes.
    """
    if github:
        raise Refused("--github is not built yet; --junit is")
    import json

    from invbench import gate
    from invbench.console import tables
    from invbench.store import Results, write_out

    tolerances, before, found = gate.read_tolerances(tolerance), gate.read_baseline(frozen), Results(result)
    verdicts = gate.check(found, before, tolerances, direction, exact)
    if other := gate.other_code(before, found):
        say(other, err=True)
    if junit:
        write_out(junit, gate.junit(verdicts))
    if as_json:
        say(json.dumps(gate.as_json(verdicts), indent=2, allow_nan=False))
    else:
        tables.print_check(verdicts)
    return 0 if gate.passed(verdicts) else 1


@invbench.command()
@click.argument("first", type=RESULT)
@click.argument("second", type=RESULT)
@click.option("--markdown", is_flag=True, help="Every metric of every cell, as a Markdown table.")
def compare(first: Path, second: Path, markdown: bool) -> None:
    """Two results side by side: what differs."""
    from invbench import gate
    from invbench.console import tables
    from invbench.store import Results

    tables.print_comparison(gate.compare(Results(first), Results(second)), markdown)


@invbench.command()
@click.argument("result", type=RESULT)
@click.argument("cell", required=False)
def show(result: Path, cell: str | None) -> None:
    """One cell: its numbers, settings and picture; without CELL, what cells there are.

    CELL is its id, or as much of the beginning as no other cell has.
    """
    from invbench import report
    from invbench.store import Results

    found = Results(result)
    say(report.cell_list(found) if cell is None else report.cell_page(found, cell), end="")


@invbench.command("list")
@click.argument("kind", type=Kind(KINDS), required=False, metavar="[KIND]")
@click.argument("name", required=False)
@click.option("--schema", is_flag=True, help="Print the settings of NAME as JSON Schema.")
def list_(kind: str | None, name: str | None, schema: bool) -> None:
    """What there is, and the settings of each part.

    KIND is attacks, models, defenses, datasets, protocols, metrics or games.
    """
    import json

    from invbench.console import tables
    from invbench.guide import catalogue

    if schema and name is None:
        raise Refused("--schema needs a KIND and a NAME, as in: invbench list attacks dlg --schema")
    if schema and kind == "metrics":
        raise Refused("a metric has no settings, so it has no schema")
    if kind is None:
        tables.print_catalogue(catalogue.overview())
    elif name is None:
        tables.print_names(kind, catalogue.summaries(kind))
    elif schema:
        say(json.dumps(catalogue.schema(kind, name), indent=2))
    else:
        tables.print_part(catalogue.page(kind, name))


@invbench.command()
def doctor() -> None:
    """What works here: devices, data, weights, optional parts."""
    from invbench.console import tables
    from invbench.guide.doctor import examine

    tables.print_findings(examine())
