"""What attacks on language models answered, as files beside a cell's record."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

QUERIES = tuple(10**power for power in range(7))


def strings_csv(answers: Sequence[Sequence[str]], text: str) -> bytes:
    """A row a string: its target and rank, whether it stands verbatim in the training text, and how many did so far.

    Strings are written as Python writes them, so that each stands in one line.
    """
    rows: list[tuple[object, ...]] = [("target", "rank", "verbatim", "verbatim so far", "string")]
    for target, strings in enumerate(answers):
        found = 0
        for rank, string in enumerate(strings, 1):
            verbatim = string in text
            found += verbatim
            rows.append((target, rank, int(verbatim), found, repr(string)))
    return _csv(rows)


def curve_csv(probabilities: npt.NDArray[np.float64]) -> bytes:
    """The (n, p) curve (Hayes et al. 2024, arXiv 2410.19482): 1 - (1 - p)^n for growing n, each secret and the mean."""
    rows: list[tuple[object, ...]] = [("queries", "mean", *(f"canary {k}" for k in range(len(probabilities))))]
    for n in QUERIES:
        with np.errstate(divide="ignore"):
            said = -np.expm1(n * np.log1p(-probabilities))  # exact where p is tiny
        rows.append((n, f"{said.mean():.6g}", *(f"{value:.6g}" for value in said)))
    return _csv(rows)


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue().encode()
