"""Gradient matching on ReLU networks: the short recipe beside breaching's inverting-gradients, PSNR and CPU time.

python benchmarks/matching.py [--only convnet-1-0 ...] [--anew] [--data cifar10.npz]

One batch of one network is a part, `NETWORK-BATCH-INDEX`; a part that is done lies in unfinished/ and is not computed
again at the same revision, so the hour and more that breaching takes can be had in pieces. Each side runs alone, one
after the other in one process, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _breaching
import _parts
import torch
from _cells import DATA, decibels, known_labels, stage
from _measure import record
from _raw import Kept, Name, Revision
from _revision import clean_revision
from _table import Table
from _trials import Trial, mean_psnr, median_seconds, share

from invbench.matching.fast import BATCH_STEPS, SINGLE, fast

MODELS, TARGETS = ("convnet", "resnet18"), 2
THEIRS = {1: 1200, 8: 300}
"""Iterations of breaching by batch size."""
OURS = {1: SINGLE.iterations, 8: BATCH_STEPS}
PARTS = _parts.UNFINISHED / "matching"


class Settings(Kept, frozen=True):
    """Batches a row, and iterations by batch size."""

    targets: int
    ours: dict[int, int]
    theirs: dict[int, int]


class Part(Kept, frozen=True):
    """Both sides on one batch; `breaching` is None where it is not installed."""

    model: Name
    batch_size: int
    index: int
    revisions: list[Revision]
    invbench: Trial
    breaching: Trial | None


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--only", nargs="+", choices=names(), help="these parts alone")
    arguments.add_argument("--anew", action="store_true", help="throw away what is done")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    revision = clean_revision()

    def make(name: str) -> Part:
        model, batch, index = name.rsplit("-", 2)
        sides = both(asked.data, model, int(batch), int(index), OURS[int(batch)], THEIRS[int(batch)])
        return Part(model, int(batch), int(index), [revision], *sides)

    _parts.finish(PARTS, asked.only or names(), make, revision, asked.anew)
    parts = _parts.read(PARTS, names(), Part)
    record("matching", Settings(TARGETS, OURS, THEIRS), lambda: Samples(parts))


def names() -> list[str]:
    return [f"{model}-{batch}-{index}" for model in MODELS for batch in THEIRS for index in range(TARGETS)]


def both(data: Path, model: str, batch: int, index: int, ours: int, theirs: int) -> tuple[Trial, Trial | None]:
    """Both sides on one batch."""
    round_ = stage(data, model, batch, index + 1)
    seen = round_.observations[index]
    started = time.process_time()
    [guess] = replace(fast(seen.public), iterations=ours).attack_all([seen])
    seconds = time.process_time() - started
    own = Trial(decibels(round_, index, guess.images), seconds, None if len(guess.images) else "Failed")
    if _breaching.missing() is not None:
        return own, None
    peer = _breaching.inverting_gradients(seen, known_labels(seen), theirs)
    return own, Trial(decibels(round_, index, peer.images), peer.seconds, peer.failed)


def answer(settings: Settings, samples: Samples) -> Table:
    groups = [(model, batch) for model in MODELS for batch in settings.theirs]
    return Table(
        title="Gradient matching: how good, how fast?",
        question="Mean PSNR and median CPU seconds a batch: `matching/fast.py` "
        f"({settings.ours[1]} iterations at batch 1, {settings.ours[8]} at batch 8, tracing included) beside "
        f"breaching's inverting-gradients, schedule scaled to {settings.theirs[1]} and {settings.theirs[8]}. CIFAR-10 "
        "test pictures, untrained victims, BatchNorm in evaluation mode, labels known to both, weight seed 0. A "
        "failed trial is scored as the data set's mean picture.",
        command="python benchmarks/matching.py",
        text=["The recipe was chosen by PSNR on some of these pictures, so this is no held-out test."],
        columns=["network", "batch", "batches", "PSNR, dB", "breaching, dB", "CPU, s", "breaching, s", "share of CPU"],
        rows=[row(samples.parts, *group) for group in groups],
        failed=[f"{_name(part)}, {side}: {trial.failed}" for part in samples.parts for side, trial in _failed(part)],
    )


def row(parts: Sequence[Part], model: str, batch: int) -> list[str]:
    found = [part for part in parts if (part.model, part.batch_size) == (model, batch)]
    ours, theirs = [p.invbench for p in found], [p.breaching for p in found if p.breaching is not None]
    start = [model, str(batch), str(len(found))]
    own = [f"**{mean_psnr(ours):.1f}**", f"{median_seconds(ours):.0f}"]
    if len(theirs) < len(ours):
        return [*start, own[0], "not installed", own[1], "", ""]
    return [*start, own[0], f"{mean_psnr(theirs):.1f}", own[1], f"{median_seconds(theirs):.0f}", share(ours, theirs)]


def _name(part: Part) -> str:
    return f"{part.model}-{part.batch_size}-{part.index}"


def _failed(part: Part) -> list[tuple[str, Trial]]:
    sides = (("invbench", part.invbench), ("breaching", part.breaching))
    return [(name, trial) for name, trial in sides if trial is not None and trial.failed]


if __name__ == "__main__":
    main()
