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
from _measure import Table, ratio, save

from invbench.attacks.auto import Auto

ITERATIONS = 4800
"""Of breaching's inverting-gradients, as published by its authors' library."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--pictures", type=int, default=100)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--timed", type=int, default=5, help="pictures that breaching attacks as well")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    samples, failed = timed(asked.data, asked.timed)
    rows, scores = [], {}
    for seed in asked.seeds:
        round_ = stage(asked.data, "lenet", 1, asked.pictures, seed=seed, labels="hidden")
        started = time.process_time()
        guesses = Auto().attack_all(round_.observations)
        seconds = (time.process_time() - started) / asked.pictures
        psnr = [decibels(g.images, t)[0] for g, t in zip(guesses, round_.truths, strict=True)]
        right = sum(int(g.labels[0]) == int(t.labels[0]) for g, t in zip(guesses, round_.truths, strict=True))
        certified = sum(bool(g.facts.get("certified")) for g in guesses)
        scores[f"PSNR, seed {seed}"] = psnr
        rows.append(row(str(seed), psnr, right, certified, seconds))
        print(rows[-1], flush=True)
    every = [value for values in scores.values() for value in values]
    share = f"{ratio(samples, 'auto', 'breaching'):.3f}" if samples["breaching"] else "not measured"
    save(
        "auto",
        Table(
            title="Exact recovery: how good, how fast?",
            question=f"`auto` on `lenet`, batch 1, {asked.pictures} CIFAR-10 test pictures in the published "
            "normalisation, untrained victims, labels hidden. CPU seconds a picture.",
            command="python benchmarks/auto.py",
            columns=["weight seed", "mean PSNR, dB", "least, dB", "above 60 dB", "labels", "certified", "CPU, s"],
            rows=[*rows, ["all", f"**{statistics.mean(every):.1f}**", f"{min(every):.1f}", "", "", "", ""]],
            samples={**scores, **{f"CPU s, {side}": values for side, values in samples.items()}},
            text=[
                f"CPU time beside breaching's {ITERATIONS} inverting-gradients iterations, {asked.timed} pictures in "
                f"turn: **{share}** (medians {median(samples['auto'])} and {median(samples['breaching'])} s; the mean "
                f"PSNR of these is {median_of(samples, 'auto PSNR')} and {median_of(samples, 'breaching PSNR')} dB)."
            ],
            failed=failed,
        ),
    )


def timed(data: Path, pictures: int) -> tuple[dict[str, list[float]], list[str]]:
    """CPU seconds and PSNR of both sides, one picture after the other."""
    hidden = stage(data, "lenet", 1, pictures, labels="hidden")
    known = stage(data, "lenet", 1, pictures)
    samples: dict[str, list[float]] = {k: [] for k in ("auto", "breaching", "auto PSNR", "breaching PSNR")}
    failed: list[str] = []
    for index, truth in enumerate(hidden.truths):
        started = time.process_time()
        (guess,) = Auto().attack_all([hidden.observations[index]])
        samples["auto"].append(time.process_time() - started)
        samples["auto PSNR"] += decibels(guess.images, truth)
        missing = _breaching.missing()
        if missing is not None:
            failed.append(missing)
            continue
        seen = known.observations[index]
        answer = _breaching.inverting_gradients(seen, known_labels(seen), ITERATIONS)
        if answer.failed or answer.images is None:
            failed.append(f"picture {index}: {answer.failed}")
            continue
        samples["breaching"].append(answer.seconds)
        samples["breaching PSNR"] += decibels(answer.images, truth)
    return samples, failed


def row(seed: str, psnr: list[float], right: int, certified: int, seconds: float) -> list[str]:
    above = sum(value > 60 for value in psnr)
    return [
        seed,
        f"**{statistics.mean(psnr):.1f}**",
        f"{min(psnr):.1f}",
        f"{above} of {len(psnr)}",
        f"{right} of {len(psnr)}",
        f"{certified} of {len(psnr)}",
        f"{seconds:.2f}",
    ]


def median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else "not measured"


def median_of(samples: dict[str, Any], name: str) -> str:
    return f"{statistics.mean(samples[name]):.1f}" if samples[name] else "not measured"


if __name__ == "__main__":
    main()
