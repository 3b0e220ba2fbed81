"""How near does `auto` come to what is possible under Gaussian noise on the update?

python benchmarks/limit.py [--data cifar10.npz] [--pictures 16] [--std 1e-5 1e-4 1e-3 1e-2]

The limit is the Cramer-Rao value of the PSNR: the Fisher information of the picture in the whole update plus a prior's
precision, inverted; its diagonal is the least mean squared error of each pixel. Two priors: independent standard
normal pixels, and the natural-picture prior that the attack itself uses. Computed at the truth, which no attack sees.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from _cells import DATA, decibels, stage
from _measure import record
from _raw import Kept
from _table import Table
from torch import Tensor

from invbench.attacks.auto import Auto
from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.observation import UpdateObservation
from invbench.peeling import prior
from invbench.peeling.chain import read_chain, with_weights
from invbench.peeling.sensitivity import information

ITERATIONS = 1200
"""Of inverting-gradients beside it."""


class Settings(Kept, frozen=True):
    pictures: int
    stds: list[float]
    iterations: int = ITERATIONS


class Level(Kept, frozen=True):
    """PSNR in dB of every picture at one noise level; the limits `unit` and `natural`; CPU `seconds` a picture.

    `predicted`: what `auto` says of its own answer without the truth, None where it has no answer.
    """

    std: float
    auto: list[float]
    unit: list[float]
    natural: list[float]
    inverting_gradients: list[float]
    predicted: list[float | None]
    failed: int
    seconds: float


class Samples(Kept, frozen=True):
    levels: list[Level]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--pictures", type=int, default=16)
    arguments.add_argument("--std", type=float, nargs="+", default=[1e-5, 1e-4, 1e-3, 1e-2])
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    settings = Settings(asked.pictures, asked.std)
    record("limit", settings, lambda: measure(asked.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    informations, levels = fishers(data, settings.pictures), []
    for std in settings.stds:
        levels.append(level(data, settings, std, informations))
        print(row(levels[-1]), flush=True)
    return Samples(levels)


def answer(settings: Settings, samples: Samples) -> Table:
    failed = sum(level.failed for level in samples.levels)
    return Table(
        title="Under noise: how near to what is possible?",
        question=f"Mean PSNR in dB over {settings.pictures} CIFAR-10 test pictures, `lenet`, batch 1, labels hidden, "
        "defence `gaussian`. The limits are Cramer-Rao values with a prior: unit Gaussian pixels, and the "
        f"natural-picture prior of `auto`. Beside them `inverting-gradients`, {settings.iterations} iterations.",
        command=f"python benchmarks/limit.py --pictures {settings.pictures} --std "
        f"{' '.join(f'{std:g}' for std in settings.stds)}",
        columns=["std", "auto", "limit, unit prior", "limit, natural prior", "inverting-gradients", "auto, CPU s"],
        rows=[row(level) for level in samples.levels],
        text=[
            "A limit with a prior bounds the mean squared error of estimators for pictures drawn from that prior "
            "on average: it is no bound for these pictures. An attack may pass it, and does, where real pictures are "
            "smoother than the prior says, which unit Gaussian noise is not at all.",
            f"`auto` had no answer to {failed} of {settings.pictures * len(settings.stds)} updates; such a picture is "
            "scored as the data set's mean picture.",
        ],
    )


def fishers(data: Path, pictures: int) -> list[Tensor]:
    """J'J `(n, n)` of every picture at the truth: its Fisher information under noise of variance 1."""
    round_ = stage(data, "lenet", 1, pictures, labels="hidden")
    found = []
    for seen, truth in zip(round_.observations, round_.truths, strict=True):
        chain = with_weights(read_chain(seen.public.network, seen.public.image_shape), seen.model)
        update = {name: torch.zeros_like(p.double()) for name, p in seen.model.named_parameters()}
        ones = {name: torch.ones_like(tensor) for name, tensor in update.items()}
        found.append(information(chain, normalised(seen, truth), int(truth.labels[0]), update, ones).matrix)
    return found


def normalised(seen: UpdateObservation, truth: Any) -> Tensor:
    mean, std = (constant.double() for constant in seen.channel_constants())
    picture: Tensor = (torch.from_numpy(truth.images[0]).double() - mean) / std
    return picture


def level(data: Path, settings: Settings, std: float, fisher: list[Tensor]) -> Level:
    """Both attacks on every picture under noise of that standard deviation, and the limits."""
    noisy = {"labels": "hidden", "defense": f"{{name: gaussian, std: {std!r}}}"}
    round_, matched = (stage(data, "lenet", 1, settings.pictures, **noisy) for _ in range(2))
    started = time.process_time()
    guesses = Auto().attack_all(round_.observations)
    seconds = (time.process_time() - started) / settings.pictures
    shape = round_.observations[0].public.image_shape
    unit, natural = torch.eye(math.prod(shape), dtype=torch.float64), prior.precision(shape)
    scale = round_.observations[0].channel_constants()[1].double()
    beside = InvertingGradients(iterations=settings.iterations).attack_all(matched.observations)
    return Level(
        std=std,
        auto=[decibels(round_, index, guess.images)[0] for index, guess in enumerate(guesses)],
        unit=[limit(matrix / std**2 + unit, shape, scale) for matrix in fisher],
        natural=[limit(matrix / std**2 + natural, shape, scale) for matrix in fisher],
        inverting_gradients=[decibels(matched, index, guess.images)[0] for index, guess in enumerate(beside)],
        predicted=[guess.facts.get("predicted_psnr") for guess in guesses],
        failed=sum(not len(guess.images) for guess in guesses),
        seconds=seconds,
    )


def limit(precision: Tensor, shape: tuple[int, ...], scale: Tensor) -> float:
    """The PSNR in dB of the mean of the inverse's diagonal, in unit range."""
    size = precision.diagonal().rsqrt()
    factor = torch.linalg.cholesky(precision * size[:, None] * size[None])
    variance = torch.cholesky_inverse(factor).diagonal() * size.square()
    return -10 * math.log10(float((variance.reshape(shape) * scale.square()).mean()))


def row(found: Level) -> list[str]:
    sides = (found.auto, found.unit, found.natural, found.inverting_gradients)
    means = [f"{statistics.mean(values):.1f}" for values in sides]
    return [f"{found.std:g}", f"**{means[0]}**", *means[1:], f"{found.seconds:.1f}"]


if __name__ == "__main__":
    main()
