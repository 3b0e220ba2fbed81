"""Does an audit refute a training that breaks its guarantee, and only such a one?

python benchmarks/audit.py [--audits 20] [--canaries 15000]

`dp-sgd` on `lenet`, one step over all examples (q = 1) with noise multiplier 4, as it is and with a mistake put in. The
mistakes are doubles of `core/private.py`, put in the place of the class that the defence makes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _measure import record
from _raw import Kept, Name
from _table import Table
from torch import Tensor

from invbench.core import private
from invbench.core.private import Private
from invbench.core.randomness import numpy_stream, seed_of
from invbench.defenses import dp_sgd
from invbench.games.audit import Audit
from invbench.matrix import load
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.privacy.audit import bounds
from invbench.privacy.audit_family import GAUSSIAN

CPU = torch.device("cpu")
MULTIPLIER, DELTA = 4.0, 1e-5
CLAIM = GAUSSIAN.epsilon(1 / MULTIPLIER, DELTA)
HUGE = 1e6
"""A norm that no gradient here has."""
CHUNK = 1 << 22
"""Numbers of per-example gradients held at a time: 16 MB, which the allocator hands out again without new pages."""
TRIALS, LENET = 200, 15826
"""Runs of the noise alone in one audit of the divisor, and how many numbers each has."""
MATRIX = """\
dataset: natural
targets: {audits}
grid:
  attack: [canary-score]
  model: [{{name: lenet, training_steps: 1}}]
  defense: [{{name: dp-sgd, noise: 4, batch: {canaries}}}]
  protocol: [{{name: audit, canaries: {canaries}, norm: {norm}, by_layer: {layers}, surest: {surest}}}]
"""
SUREST = 0.02
"""The share that the bound of whatever mechanism guesses on: chosen by simulated scores, before any training here."""


class QuarterNoise(Private):
    """Noise of a quarter of the standard deviation that is accounted for."""

    def noised(self, sums: Mapping[str, Tensor], stream: torch.Generator) -> dict[str, Tensor]:
        return Private(self.clip, self.noise / 4, self.batch, self.seed).noised(sums, stream)


class NoClipping(Private):
    """The noise that is accounted for, on gradients of whatever norm."""

    def backward(self, network, loss):  # type: ignore[no-untyped-def]
        return Private(HUGE, self.noise * self.clip / HUGE, self.batch, self.seed).backward(network, loss)


class BareLayer(Private):
    """No noise on the last layer, weight and bias."""

    def noised(self, sums: Mapping[str, Tensor], stream: torch.Generator) -> dict[str, Tensor]:
        given, last = super().noised(sums, stream), [*sums][-2:]
        return {name: sums[name] / self.batch if name in last else given[name] for name in given}


@dataclass(frozen=True)
class Mechanism:
    """What is audited, in words, and how. `broken`: whether its guarantee does not hold."""

    said: str
    double: type[Private] = Private
    norm: int = 1
    layers: bool = False
    broken: bool = True


MECHANISMS = {
    "claimed": Mechanism("as claimed", broken=False),
    "claimed-layers": Mechanism("as claimed, by layers", layers=True, broken=False),
    "quarter": Mechanism("a quarter of the noise", QuarterNoise),
    "unclipped": Mechanism("no clipping, canaries of 4 clips", NoClipping, norm=4),
    "layer": Mechanism("one layer without noise, by layers", BareLayer, layers=True),
}
DIVISORS = {
    "public": Mechanism("noise alone, N = 8 or 7, divided by 4", broken=False),
    "stock": Mechanism("noise alone, N = 8 or 7, divided by `int(N * sample_rate)`"),
}


class Settings(Kept, frozen=True):
    audits: int
    canaries: int


class Row(Kept, frozen=True):
    """One mechanism: the three bounds of every audit."""

    mechanism: Name
    any: list[float]
    tradeoff: list[float]
    exact: list[float]


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--audits", type=int, default=20)
    arguments.add_argument("--canaries", type=int, default=15_000)
    asked = arguments.parse_args()
    settings = Settings(asked.audits, asked.canaries)
    record("audit", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    torch.set_num_threads(1)
    private.HELD = CHUNK
    found = []
    with TemporaryDirectory() as folder:
        for name in (*DIVISORS, *MECHANISMS):
            row = of_divisor(name, settings) if name in DIVISORS else of_training(name, settings, Path(folder))
            print(name, *(round(mean(side), 3) for side in (row.any, row.tradeoff, row.exact)), flush=True)
            found.append(row)
    return Samples(found)


def answer(settings: Settings, samples: Samples) -> Table:
    said, rows = MECHANISMS | DIVISORS, []
    for row in samples.rows:
        sides = [row.any, row.tradeoff, row.exact]
        above = [sum(bound > CLAIM for bound in side) for side in sides]
        counted = [f"{mean(side):.3f} ({n})" for side, n in zip(sides, above, strict=True)]
        rows.append([said[row.mechanism].said, *counted])
    return Table(
        title="Does an audit refute a training that breaks its guarantee, and only such a one?",
        question=f"Mean lower bound on epsilon over {settings.audits} audits, and in brackets how many of them are "
        f"above the {CLAIM:.4f} that is claimed at delta {DELTA:g}: `dp-sgd` on `lenet`, one step over all examples, "
        f"noise multiplier {MULTIPLIER:g}, {settings.canaries:,} Dirac canaries; each bound is wrong in at most 5 of "
        "100 audits.",
        command="python benchmarks/audit.py",
        columns=["what is audited", "whatever the mechanism", "Gaussian trade-off curve", "exact, Gaussian family"],
        rows=rows,
        text=[
            f"The divisor is audited by {TRIALS} runs of the noise alone, of a coin that chose 8 or 7 examples each; "
            "Opacus 1.6 divides by a batch size that it computes from the private number of examples (its issue 819). "
            "There the first column takes the best of all thresholds; for the trainings it guesses on the surest "
            f"{SUREST:.0%} of the canaries, a share that simulated scores chose before anything was trained."
        ],
    )


def of_training(name: str, settings: Settings, folder: Path) -> Row:
    """Audits of a training, through the game and the attack as users run them. What is trained is kept in `folder`."""
    asked = MECHANISMS[name]
    with _in_place(asked.double), _cache(folder / asked.double.__name__):
        file = folder / "m.yaml"
        layers = str(asked.layers).lower()
        file.write_text(MATRIX.format(**vars_of(settings), norm=asked.norm, layers=layers, surest=SUREST))
        (cell,) = load(file, []).cells
        deal = Audit().deal(cell, CPU)
        found = deal.score(answered(attack_of(cell), deal.observations).answers)
    bound = {column: [value for [value] in found[column] if value is not None] for column in COLUMNS}
    return Row(name, *bound.values())


COLUMNS = ("audited_epsilon", "audited_epsilon_fdp", "audited_epsilon_gaussian")


def vars_of(settings: Settings) -> dict[str, int]:
    return {"audits": settings.audits, "canaries": settings.canaries}


def of_divisor(name: str, settings: Settings) -> Row:
    """Audits of what the noise is divided by, of runs in which a coin chose 8 or 7 examples; batches are of 4."""
    found = []
    for number in range(settings.audits):
        member = numpy_stream("divisor", number).random(TRIALS) < 0.5
        scores = np.array([_llr(name, 8 if eight else 7, seed_of(number, k)) for k, eight in enumerate(member)])
        found.append(bounds(scores, member, 0.0, delta=DELTA))
    return Row(name, [one.any for one in found], [one.tradeoff for one in found], [one.exact for one in found])


def _llr(name: str, examples: int, seed: int) -> float:
    """Log-likelihood ratio of a divisor of 4 against 3, of one run."""
    rate = 1 / ceil(examples / 4)
    divisor = int(examples * rate) if name == "stock" else 4
    made = Private(1.0, MULTIPLIER, divisor, seed)
    noise = made.noised({"every": torch.zeros(LENET)}, made.stream())["every"].double()
    four, three = (MULTIPLIER / of for of in (4, 3))
    squares = float(noise.square().sum())
    return LENET * float(np.log(three / four)) - squares / 2 * (four**-2 - three**-2)


@contextmanager
def _in_place(double: type[Private]) -> Iterator[None]:
    """`dp-sgd` makes this kind of training."""
    own = dp_sgd.Private  # type: ignore[attr-defined]
    dp_sgd.Private = double  # type: ignore[attr-defined]
    try:
        yield
    finally:
        dp_sgd.Private = own  # type: ignore[attr-defined]


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Artefacts of this mechanism alone."""
    before = os.environ.get("INVBENCH_CACHE")
    os.environ["INVBENCH_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["INVBENCH_CACHE"]
        else:
            os.environ["INVBENCH_CACHE"] = before


if __name__ == "__main__":
    main()
