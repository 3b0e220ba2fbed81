"""What is counted of guesses about canaries: how many were guessed on, and how many of those rightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """Of `canaries`, each in with probability 1/2 by itself, `guessed` were guessed on, `right` of those rightly."""

    canaries: int
    guessed: int
    right: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.guessed <= self.canaries:
            raise ValueError(
                f"need 0 <= right <= guessed <= canaries, not {self.right}, {self.guessed}, {self.canaries}"
            )


def frontier(scores: Floats, member: Flags) -> tuple[Counts, ...]:
    """Guesses of "in" from a threshold on, for every threshold on the convex frontier of the ROC curve, its ends too.

    `scores` `(n,)`, higher for likelier in; `member` `(n,)`. Whoever takes the best of them divides the error that he
    allows by how many there are.
    """
    thresholds = np.append(np.unique(scores), np.inf)
    absent = np.searchsorted(np.sort(scores[member]), thresholds)  # members below each threshold
    others = np.searchsorted(np.sort(scores[~member]), thresholds)
    points = np.stack([absent, others], axis=1)
    points = points[_upper_hull(points)]
    true, false = points[-1, 0] - points[:, 0], points[-1, 1] - points[:, 1]
    return tuple(Counts(len(scores), int(t + f), int(t)) for t, f in zip(true, false, strict=True))


def most_sure(scores: Floats, member: Flags, middle: float, guessed: int) -> Counts:
    """Guesses on the `guessed` canaries whose scores lie farthest from `middle`: above it "in", below it "out".

    `guessed` and `middle` are chosen before anybody knows who is in. Of equal distances the earlier canary is taken.
    """
    chosen = np.argsort(-np.abs(scores - middle), kind="stable")[:guessed]
    right = (scores[chosen] > middle) == member[chosen]
    return Counts(len(scores), guessed, int(right.sum()))


def _upper_hull(points: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indexes of the points that no segment between two others covers; `points` `(N, 2)` rise in both columns."""
    kept: list[int] = []
    for index, (x, y) in enumerate(points):
        while len(kept) > 1:
            (x0, y0), (x1, y1) = points[kept[-2]], points[kept[-1]]
            if (y1 - y0) * (x - x1) > (y - y1) * (x1 - x0):
                break
            kept.pop()
        kept.append(index)
    return np.array(kept, dtype=np.int64)
