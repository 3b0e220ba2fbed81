"""How far does exact recovery go? `auto` on LeNets of other activations and of average pooling.

python benchmarks/victims.py [--data cifar10.npz]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from _cells import DATA, decibels, stage
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.attacks.auto import Auto

VICTIMS = {
    "lenet": ("lenet", 10),
    "lenet(activation=tanh)": ("{name: lenet, activation: tanh}", 10),
    "lenet(activation=elu)": ("{name: lenet, activation: elu}", 10),
    "lenet(activation=softplus)": ("{name: lenet, activation: softplus}", 10),
    "lenet(activation=leaky-relu)": ("{name: lenet, activation: leaky-relu}", 10),
    "lenet(activation=relu)": ("{name: lenet, activation: relu}", 10),
    "lenet(pool=average)": ("{name: lenet, pool: average}", 3),
}
"""Victims as a matrix has them, and how many pictures each; where searches follow, a picture takes a minute or two."""


class Settings(Kept, frozen=True):
    """Pictures by victim."""

    pictures: dict[Name, int]


class Picture(Kept, frozen=True):
    """What came of one picture; `part`, whose answer won, is None where `auto` had none."""

    psnr: float
    certified: bool
    part: Name | None
    seconds: float


class Samples(Kept, frozen=True):
    victims: dict[Name, list[Picture]]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    given = asked.parse_args()
    torch.set_num_threads(1)
    settings = Settings({name: count for name, (_, count) in VICTIMS.items()})
    record("victims", settings, lambda: measure(given.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    return Samples({name: attacked(data, VICTIMS[name][0], count) for name, count in settings.pictures.items()})


def attacked(data: Path, victim: str, count: int) -> list[Picture]:
    """Every picture; one that `auto` does not return (a saturated victim's gradient is zero) is scored like any."""
    round_, auto, found = stage(data, victim, 1, count, labels="hidden"), Auto(), []
    for index, seen in enumerate(round_.observations):
        started = time.process_time()
        [guess] = auto.attack_all([seen])
        seconds, there = time.process_time() - started, len(guess.images) > 0
        if not there:
            print(f"{victim}, picture {index}: {', '.join(guess.notes)}", file=sys.stderr)
        certified = there and bool(guess.facts.get("certified"))
        psnr, part = decibels(round_, index, guess.images)[0], guess.facts["part"].replace(" ", "-") if there else None
        found.append(Picture(psnr, certified, part, seconds))
        print(victim, found[-1], flush=True)
    return found


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="How far does exact recovery go?",
        question="`auto` at batch 1 on the first CIFAR-10 test pictures, untrained victims of weight seed 0, labels "
        "hidden. Part: whose answer won. CPU seconds a picture, those of parts that lost included. A picture that is "
        "not returned is scored as the data set's mean picture and counts as failed.",
        command="python benchmarks/victims.py",
        columns=["victim", "pictures", "mean PSNR, dB", "least, dB", "certified", "failed", "part", "CPU, s"],
        rows=[row(name, found) for name, found in samples.victims.items()],
    )


def row(name: str, found: list[Picture]) -> list[str]:
    levels, count = [one.psnr for one in found], len(found)
    certified, failed = (sum(kind(one) for one in found) for kind in (_certified, _failed))
    parts = sorted({one.part for one in found if one.part is not None})
    mean, seconds = statistics.mean(levels), statistics.mean(one.seconds for one in found)
    counts = [f"{certified} of {count}", f"{failed} of {count}"]
    return [
        f"`{name}`", str(count), f"**{mean:.1f}**", f"{min(levels):.1f}", *counts, ", ".join(parts), f"{seconds:.0f}"
    ]  # fmt: skip


def _certified(one: Picture) -> bool:
    return one.certified


def _failed(one: Picture) -> bool:
    return one.part is None


if __name__ == "__main__":
    main()
