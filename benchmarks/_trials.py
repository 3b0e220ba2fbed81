"""A trial: one attack on one batch. A trial that failed counts in every mean, and leaves no ratio of times."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from _measure import ratio
from _raw import Kept, Name


class Trial(Kept, frozen=True):
    """PSNR of every picture (of a failed trial: of the picture that stands in for it), CPU seconds, what was raised."""

    psnr: list[float]
    seconds: float
    failed: Name | None = None


def mean_psnr(trials: Sequence[Trial]) -> float:
    """Over every picture of every trial, failed or not."""
    return statistics.mean(value for trial in trials for value in trial.psnr)


def median_seconds(trials: Sequence[Trial]) -> float:
    return statistics.median(trial.seconds for trial in trials)


def share(ours: Sequence[Trial], theirs: Sequence[Trial]) -> str:
    """Median time over median time, or how many trials failed: what ends early is not fast."""
    failed = sum(trial.failed is not None for trial in (*ours, *theirs))
    if failed:
        return f"none: {failed} of {len(ours) + len(theirs)} trials failed"
    return f"**{ratio([t.seconds for t in ours], [t.seconds for t in theirs]):.3f}**"


def failures(name: str, trials: Sequence[Trial]) -> list[str]:
    """In words, one line a failed trial."""
    return [f"{name} {index}: {trial.failed}" for index, trial in enumerate(trials) if trial.failed]
