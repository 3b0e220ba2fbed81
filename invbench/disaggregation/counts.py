"""In how many rounds of each window a client took part, and the columns of zeros and ones that agree with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Whole = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Counts:
    """`values` `(W, n)`: rounds of each window in which each client took part. `rounds` T, in windows of `window`.

    The last window may be shorter.
    """

    values: Whole
    rounds: int
    window: int

    def __post_init__(self) -> None:
        if len(self.values) != -(-self.rounds // self.window):
            raise ValueError(f"{self.rounds} rounds in windows of {self.window} need as many counts a client")

    def of(self, clients: Whole) -> Counts:
        """Those of some clients."""
        return Counts(self.values[:, clients], self.rounds, self.window)

    def lengths(self) -> Whole:
        """Rounds of each window, `(W,)`."""
        return np.bincount(np.arange(self.rounds) // self.window)

    def sums(self) -> Floats:
        """The matrix `(W, T)` that takes a column to its sums over windows."""
        windows = np.arange(self.rounds) // self.window
        return np.asarray(windows == np.arange(len(self.values))[:, None], dtype=np.float64)

    def nearest(self, columns: Floats) -> Floats:
        """The nearest columns of zeros and ones with these counts, `(T, n)`: ones where a window's values are largest.

        Of equal values the earlier round counts.
        """
        blocks = self.blocks(columns, -np.inf)
        order = np.argsort(-blocks, axis=1, kind="stable")
        ones = np.arange(self.window)[None, :, None] < self.values[:, None, :]
        found = np.empty_like(blocks)
        np.put_along_axis(found, order, ones.astype(blocks.dtype), axis=1)
        return found.reshape(-1, columns.shape[1])[: self.rounds]

    def blocks(self, columns: Floats, filled: float) -> Floats:
        """Columns `(T, n)` by window, `(W, window, n)`; what the last window lacks is `filled`."""
        missing = len(self.values) * self.window - self.rounds
        padded = np.pad(columns, ((0, missing), (0, 0)), constant_values=filled)
        return padded.reshape(len(self.values), self.window, -1)


def counted(participation: Whole, window: int) -> Counts:
    """The counts of a participation matrix `(T, n)`."""
    rounds = len(participation)
    starts = np.arange(0, rounds, window)
    return Counts(np.add.reduceat(participation.astype(np.int64), starts, axis=0), rounds, window)
