"""Does `auto` read a picture exactly off a LeNet's gradient, and what does that cost beside gradient matching?

python benchmarks/auto.py [--data cifar10.npz] [--pictures 100] [--seeds 0 1 2] [--timed 5]

`auto` has no labels; breaching is given them. Both run in one process on one thread, picture by picture in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import _breaching
import torch
from _cells import DATA, decibels, known_labels, stage
from _measure import record
from _raw import Kept
from _table import Table
from _trials import Trial, failures, mean_psnr, median_seconds, share

from invbench.attacks.auto import Auto

ITERATIONS = 4800
"""Of breaching's inverting-gradients, as published by its authors' library."""


class Settings(Kept, frozen=True):
    """`timed`: pictures that breaching attacks as well, with `iterations`."""

    pictures: int
    seeds: list[int]
    timed: int
    iterations: int = ITERATIONS


class Seed(Kept, frozen=True):
    """All pictures on a victim of one weight seed; `seconds` of CPU a picture."""

    seed: int
    psnr: list[float]
    labels_right: int
    certified: int
    failed: int
    seconds: float


class Samples(Kept, frozen=True):
    """`breaching` is empty where it is not installed."""

    seeds: list[Seed]
    auto: list[Trial]
    breaching: list[Trial]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--pictures", type=int, default=100)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--timed", type=int, default=5, help="pictures that breaching attacks as well")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    settings = Settings(asked.pictures, asked.seeds, asked.timed)
    record("auto", settings, lambda: measure(asked.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    ours, theirs = timed(data, settings)
    return Samples([attacked(data, seed, settings.pictures) for seed in settings.seeds], ours, theirs)


def attacked(data: Path, seed: int, pictures: int) -> Seed:
    round_ = stage(data, "lenet", 1, pictures, seed=seed, labels="hidden")
    started = time.process_time()
    guesses = Auto().attack_all(round_.observations)
    seconds = (time.process_time() - started) / pictures
    pairs = list(zip(guesses, round_.truths, strict=True))
    found = Seed(
        seed=seed,
        psnr=[decibels(round_, index, guess.images)[0] for index, guess in enumerate(guesses)],
        labels_right=sum(_label(guess) == int(truth.labels[0]) for guess, truth in pairs),
        certified=sum(bool(guess.facts.get("certified")) for guess in guesses),
        failed=sum(not len(guess.images) for guess in guesses),
        seconds=seconds,
    )
    print(row(found), flush=True)
    return found


def timed(data: Path, settings: Settings) -> tuple[list[Trial], list[Trial]]:
    """Both sides on each picture in turn."""
    hidden = stage(data, "lenet", 1, settings.timed, labels="hidden")
    known = stage(data, "lenet", 1, settings.timed)
    ours, theirs = [], []
    for index in range(settings.timed):
        started = time.process_time()
        (guess,) = Auto().attack_all([hidden.observations[index]])
        seconds = time.process_time() - started
        ours.append(Trial(decibels(hidden, index, guess.images), seconds, None if len(guess.images) else "Failed"))
        if _breaching.missing() is None:
            seen = known.observations[index]
            answer = _breaching.inverting_gradients(seen, known_labels(seen), settings.iterations)
            theirs.append(Trial(decibels(known, index, answer.images), answer.seconds, answer.failed))
    return ours, theirs


def answer(settings: Settings, samples: Samples) -> Table:
    every = [value for seed in samples.seeds for value in seed.psnr]
    failed = sum(seed.failed for seed in samples.seeds)
    all_ = [
        "all",
        f"**{statistics.mean(every):.1f}**",
        f"{min(every):.1f}",
        "",
        "",
        "",
        f"{failed} of {len(every)}",
        "",
    ]
    return Table(
        title="Exact recovery: how good, how fast?",
        question=f"`auto` on `lenet`, batch 1, {settings.pictures} CIFAR-10 test pictures in the published "
        "normalisation, untrained victims, labels hidden. CPU seconds a picture. A picture that is not returned is "
        "scored as the data set's mean picture.",
        command=f"python benchmarks/auto.py --pictures {settings.pictures} --seeds "
        f"{' '.join(map(str, settings.seeds))} --timed {settings.timed}",
        columns=["weight seed", "mean PSNR, dB", "least, dB", "above 60 dB", "labels", "certified", "failed", "CPU, s"],
        rows=[*map(row, samples.seeds), all_],
        text=[beside(settings, samples)],
        failed=failures("auto, timed picture", samples.auto) + failures("breaching, picture", samples.breaching),
    )


def beside(settings: Settings, samples: Samples) -> str:
    """The comparison of times in a sentence."""
    if not samples.breaching:
        return "CPU time beside breaching: not measured, it is not installed."
    sides = (samples.auto, samples.breaching)
    seconds, psnr = [
        [f"{of(side):.{digits}f}" for side in sides] for of, digits in ((median_seconds, 2), (mean_psnr, 1))
    ]
    return (
        f"CPU time beside breaching's {settings.iterations} inverting-gradients iterations, {settings.timed} pictures "
        f"in turn, as a ratio of medians: {share(*sides)} ({' and '.join(seconds)} s; the mean PSNR of these pictures "
        f"is {' and '.join(psnr)} dB)."
    )


def row(found: Seed) -> list[str]:
    count = len(found.psnr)
    counts = [sum(value > 60 for value in found.psnr), found.labels_right, found.certified, found.failed]
    levels = [f"**{statistics.mean(found.psnr):.1f}**", f"{min(found.psnr):.1f}"]
    return [str(found.seed), *levels, *(f"{number} of {count}" for number in counts), f"{found.seconds:.2f}"]


def _label(guess: Any) -> int | None:
    return int(guess.labels[0]) if guess.labels is not None and len(guess.labels) else None


if __name__ == "__main__":
    main()
