"""How far does exact recovery go? `auto` on LeNets of other activations and of average pooling.

python benchmarks/victims.py [--data cifar10.npz]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from _cells import DATA, decibels, stage
from _measure import Table, save

from invbench.registry import load

COUNTS = {
    "lenet": 10,
    "{name: lenet, activation: tanh}": 10,
    "{name: lenet, activation: elu}": 10,
    "{name: lenet, activation: softplus}": 10,
    "{name: lenet, activation: leaky-relu}": 10,
    "{name: lenet, activation: relu}": 10,
    "{name: lenet, pool: average}": 3,
}
"""Victims and how many pictures each; where searches follow, a picture takes a minute or two."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    given = asked.parse_args()
    torch.set_num_threads(1)
    samples = {victim: recovered(given.data, victim, count) for victim, count in COUNTS.items()}
    save("victims", answer(samples))


def recovered(data: Path, victim: str, count: int) -> list[dict[str, Any]]:
    """PSNR, certificate, winning part and CPU seconds of every picture."""
    round_, auto, found = stage(data, victim, 1, count, labels="hidden"), load("attack", "auto").build({}), []
    for seen, truth in zip(round_.observations, round_.truths, strict=True):
        started = time.process_time()
        [guess] = auto.attack_all([seen])
        facts, seconds = guess.facts, time.process_time() - started
        if not len(guess.images):  # a saturated victim's gradient is zero
            found.append({"psnr": None, "why": list(guess.notes), "seconds": seconds})
            continue
        part, certified = facts["part"], bool(facts.get("certified"))
        quality = decibels(guess.images, truth)[0]
        found.append({"psnr": quality, "certified": certified, "part": part, "seconds": seconds})
        print(victim, found[-1], flush=True)
    return found


def answer(samples: dict[str, list[dict[str, Any]]]) -> Table:
    rows = []
    for victim, found in samples.items():
        there = [one for one in found if one["psnr"] is not None]
        levels = [one["psnr"] for one in there]
        parts = sorted({one["part"] for one in there})
        rows.append([
            victim.strip("{}").removeprefix("name: "), str(len(found)), f"**{statistics.mean(levels):.1f}**",
            f"{min(levels):.1f}", f"{sum(one['certified'] for one in there)} of {len(there)}", ", ".join(parts),
            f"{statistics.mean(one['seconds'] for one in there):.0f}",
        ])  # fmt: skip
    return Table(
        title="How far does exact recovery go?",
        question="`auto` at batch 1 on the first CIFAR-10 test pictures, untrained victims of weight seed 0, labels "
        "hidden. Part: whose answer won. CPU seconds a picture, those of parts that lost included.",
        command="python benchmarks/victims.py",
        columns=["victim", "pictures", "mean PSNR, dB", "least, dB", "certified", "part", "CPU, s"],
        rows=rows,
        samples=samples,
        failed=[f"{v}: {', '.join(one['why'])}" for v, found in samples.items() for one in found if "why" in one],
    )


if __name__ == "__main__":
    main()
