"""Why are large batches not read: does the search stop short, or do other pictures explain the update as well?

python benchmarks/solver.py [--data cifar10-test-first100.npz] [--only lenet-8-fedleak ...] [--anew]

Fan et al. 2025 (arXiv 2506.08435) say that the solver fails, and not that the answer is ambiguous. Each search runs
from its usual start and from the true pictures with a little noise, by the same code. Where the one that started at the
truth ends much lower, the solver is what fails; where the other ends as low with wrong pictures, these explain the
update as well. A start at the truth needs the truth: this is a measurement, and no attack.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import fields
from itertools import product
from pathlib import Path

import _parts
import torch
from _cells import DATA, decibels, stage
from _measure import clock_of, steps_on
from _raw import Kept, Name
from _table import Table
from torch import Tensor

from invbench.attacks.fedleak import FedLeak
from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.core import execution
from invbench.matching.recipe import Recipe
from invbench.play.answering import answer as answered

NEAR = 0.1
"""Standard deviation, in normalised pixels, of the noise on the truth."""
STEPS, TARGETS, BATCHES = 600, 3, (1, 8, 32)
READ = 25.0
"""PSNR in dB above which pictures count as read."""
MODELS = {"lenet": "lenet"}


class Settings(Kept, frozen=True):
    targets: int = TARGETS
    steps: int = STEPS


class Row(Kept, frozen=True):
    """Of each target the least objective and the mean PSNR, from the usual start and from near the truth.

    An objective is None where a search has none: it diverged.
    """

    model: Name
    way: Name
    batch: int
    usual: list[float | None]
    near: list[float | None]
    usual_psnr: list[float]
    near_psnr: list[float]
    seconds: float


class Samples(Kept, frozen=True):
    rows: list[Row]


WAYS: dict[str, Recipe] = {
    "cosine,signed-adam": InvertingGradients(iterations=STEPS, tv=0.0),
    "squares,l-bfgs": InvertingGradients(
        iterations=STEPS, tv=0.0, objective="l2", optimizer="lbfgs-wolfe", boxed=False
    ),
    "fedleak": FedLeak(iterations=STEPS // 2, tv=0.0),
}
"""Searches of about as many evaluations each, without a prior."""


def main() -> None:
    asked = _parts.options(__doc__, DATA, names()).parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    settings = Settings()

    def make(name: str) -> Row:
        model, batch, way = name.split("-", 2)
        return measure(settings, model, int(batch), way, asked.data, asked.device)

    _parts.measure("solver", asked, names(), make, Row, settings, Samples)


def names() -> list[str]:
    return [f"{model}-{batch}-{way}" for model, batch, way in product(MODELS, BATCHES, WAYS)]


def measure(settings: Settings, model: str, batch: int, way: str, data: Path, device: str = "cpu") -> Row:
    clock, dealt = clock_of(device), stage(data, MODELS[model], batch, settings.targets, device)
    started = clock()
    usual, near = list[tuple[float | None, float]](), list[tuple[float | None, float]]()
    for k, seen in enumerate(dealt.observations):
        true = torch.from_numpy(dealt.truths[k].images)
        mean, std = seen.channel_constants()
        spread = NEAR * torch.randn(true.shape, generator=torch.Generator().manual_seed(k))
        start = ((true.to(mean.device) - mean) / std + spread.to(mean.device)).flatten().float()
        for found, attack in ((usual, WAYS[way]), (near, starting_at(WAYS[way], start))):
            (guess,) = answered(attack, [seen], steps_on(device)).answers
            found.append((guess.objective, statistics.mean(decibels(dealt, k, guess.images))))
    row = Row(
        model=model,
        way=way,
        batch=batch,
        usual=[objective for objective, _ in usual],
        near=[objective for objective, _ in near],
        usual_psnr=[value for _, value in usual],
        near_psnr=[value for _, value in near],
        seconds=clock() - started,
    )
    print(model, batch, way, _line(row), flush=True)
    return row


def starting_at(attack: Recipe, start: Tensor) -> Recipe:
    """The same search from this start."""
    told = type("Told", (type(attack),), {"_start": lambda *_: start})
    made: Recipe = told(**{field.name: getattr(attack, field.name) for field in fields(attack)})
    return made


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Why are large batches not read: does the solver fail, or do other pictures explain the update as well?",
        question=f"Searches of {settings.steps} evaluations on {settings.targets} batches of CIFAR-10 test pictures, "
        "untrained networks, no prior: from noise, and from the true pictures with noise of a tenth of a standard "
        "deviation. Medians of the least objective, and mean PSNR. Where the usual start ends above ten times the "
        "other's objective the solver fails; where it ends as low with other pictures the answer is ambiguous.",
        command="python benchmarks/solver.py",
        columns=[
            "network",
            "batch",
            "search",
            "objective",
            "from the truth",
            "PSNR",
            "from the truth",
            "it is",
            "time, s",
        ],
        rows=[_line(row) for row in samples.rows],
    )


def _line(row: Row) -> list[str]:
    usual, near = (statistics.median(map(_or_infinite, one)) for one in (row.usual, row.near))
    psnr = [statistics.mean(values) for values in (row.usual_psnr, row.near_psnr)]
    return [
        *(f"`{row.model}`", str(row.batch), f"`{row.way}`", f"{usual:.2g}", f"{near:.2g}"),
        *(f"{psnr[0]:.1f}", f"{psnr[1]:.1f}", verdict(usual, near, psnr[0]), f"{row.seconds:.0f}"),
    ]


def _or_infinite(objective: float | None) -> float:
    return math.inf if objective is None else objective


def verdict(usual: float, near: float, psnr: float) -> str:
    if psnr > READ:
        return "read"
    if not math.isfinite(near):
        return "not told"
    if usual > 10 * near:
        return "the solver"
    return "ambiguous" if usual <= near else "neither"


if __name__ == "__main__":
    main()
