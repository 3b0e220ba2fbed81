"""Tables, pictures and pages of a result, from the results folder alone: nothing here imports torch."""

from pathlib import Path

from invbench.report.cell_page import CellError, cell_list, cell_page
from invbench.report.comparison import comparison
from invbench.report.figures import figures_of_all, no_collection
from invbench.report.frontier import frontiers
from invbench.report.frontier_page import write_frontiers
from invbench.report.markdown import document
from invbench.report.summary import to_csv
from invbench.report.told import each_told
from invbench.report.utility import costs
from invbench.store import Results, write_atomic

__all__ = ["CellError", "cell_list", "cell_page", "comparison", "csv", "markdown", "write_files"]


def csv(results: Results) -> str:
    """The text of `summary.csv`."""
    with no_collection():
        return to_csv(figures_of_all(each_told(results, settings=True)), results.plan(), costs(results))


def markdown(results: Results, links_from: Path) -> str:
    """The report of a results folder. `links_from`: the folder in which the text will stand; links start there.

    StoreError where the folder is no result of invbench or a record is damaged.
    """
    with no_collection():
        return document(results, figures_of_all(each_told(results, settings=True)), links_from, costs(results))


def write_files(results: Results) -> None:
    """Write `summary.csv`, `report.md` and its pictures, each whole, of what is computed so far into its folder."""
    with no_collection():
        figures, utility = figures_of_all(each_told(results, settings=True)), costs(results)
        write_atomic(results.path / "summary.csv", to_csv(figures, results.plan(), utility))
        if utility:
            write_frontiers(results, frontiers(figures, utility))
        write_atomic(results.path / "report.md", document(results, figures, results.path, utility))
