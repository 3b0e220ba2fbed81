"""The results folder: records, arrays and pictures of cells, kept whole whatever happens. No torch here."""

from invbench.store.files import StoreError, read_json, write_atomic
from invbench.store.merging import Merged, merge
from invbench.store.provenance import environment
from invbench.store.record import AXES, Record, Scores, Status
from invbench.store.results import Results, text_of

__all__ = [
    "AXES",
    "Merged",
    "Record",
    "Results",
    "Scores",
    "Status",
    "StoreError",
    "environment",
    "merge",
    "read_json",
    "text_of",
    "write_atomic",
]
