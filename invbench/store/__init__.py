"""The results folder: records, arrays and pictures of cells, kept whole whatever happens. No torch here."""

from invbench.store.cells import CELL_ID, text_of
from invbench.store.files import Damaged, StoreError
from invbench.store.merging import Merged, merge
from invbench.store.provenance import environment
from invbench.store.reading import BASELINE, read_json, refuse_too_large
from invbench.store.record import AXES, Record, Scores, Status
from invbench.store.results import Results
from invbench.store.schema import LARGEST, NAME, names_fault
from invbench.store.writing import write_atomic, write_out

__all__ = [
    "AXES",
    "BASELINE",
    "CELL_ID",
    "LARGEST",
    "NAME",
    "Damaged",
    "Merged",
    "Record",
    "Results",
    "Scores",
    "Status",
    "StoreError",
    "environment",
    "merge",
    "names_fault",
    "read_json",
    "refuse_too_large",
    "text_of",
    "write_atomic",
    "write_out",
]
