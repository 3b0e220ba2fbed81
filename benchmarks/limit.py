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
from _measure import Table, save
from torch import Tensor

from invbench.attacks.auto import Auto
from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.observation import UpdateObservation
from invbench.peeling import prior
from invbench.peeling.chain import read_chain, with_weights
from invbench.peeling.sensitivity import information

ITERATIONS = 1200
"""Of inverting-gradients beside it."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--pictures", type=int, default=16)
    arguments.add_argument("--std", type=float, nargs="+", default=[1e-5, 1e-4, 1e-3, 1e-2])
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {}
    informations = fishers(asked.data, asked.pictures)
    for std in asked.std:
        found[f"{std:g}"] = measure(asked.data, asked.pictures, std, informations)
        print(std, {name: round(statistics.mean(values), 2) for name, values in found[f"{std:g}"].items()}, flush=True)
    save(
        "limit",
        Table(
            title="Under noise: how near to what is possible?",
            question=f"Mean PSNR in dB over {asked.pictures} CIFAR-10 test pictures, `lenet`, batch 1, labels hidden, "
            "defence `gaussian`. The limits are Cramer-Rao values with a prior: unit Gaussian pixels, and the "
            f"natural-picture prior of `auto`. Beside them `inverting-gradients`, {ITERATIONS} iterations.",
            command="python benchmarks/limit.py",
            columns=["std", "auto", "limit, unit prior", "limit, natural prior", "inverting-gradients", "auto, CPU s"],
            rows=[[std, *row(values)] for std, values in found.items()],
            samples=found,
            text=[
                "A limit with a prior bounds the mean squared error of estimators for pictures drawn from that prior. "
                "Real pictures are smoother than unit Gaussian noise, so an attack that knows this may pass the first."
            ],
        ),
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


def measure(data: Path, pictures: int, std: float, fisher: list[Tensor]) -> dict[str, list[float]]:
    round_ = stage(data, "lenet", 1, pictures, labels="hidden", defense=f"{{name: gaussian, std: {std!r}}}")
    started = time.process_time()
    guesses = Auto().attack_all(round_.observations)
    seconds = (time.process_time() - started) / pictures
    shape = round_.observations[0].public.image_shape
    unit, natural = torch.eye(math.prod(shape), dtype=torch.float64), prior.precision(shape)
    scale = round_.observations[0].channel_constants()[1].double()
    matched = stage(data, "lenet", 1, pictures, labels="hidden", defense=f"{{name: gaussian, std: {std!r}}}")
    beside = InvertingGradients(iterations=ITERATIONS).attack_all(matched.observations)
    return {
        "auto": [decibels(g.images, t)[0] for g, t in zip(guesses, round_.truths, strict=True)],
        "unit": [limit(matrix / std**2 + unit, shape, scale) for matrix in fisher],
        "natural": [limit(matrix / std**2 + natural, shape, scale) for matrix in fisher],
        "inverting-gradients": [decibels(g.images, t)[0] for g, t in zip(beside, round_.truths, strict=True)],
        "CPU s": [seconds],
        "predicted": [float(g.facts["predicted_psnr"]) for g in guesses],
    }


def limit(precision: Tensor, shape: tuple[int, ...], scale: Tensor) -> float:
    """The PSNR in dB of the mean of the inverse's diagonal, in unit range."""
    size = precision.diagonal().rsqrt()
    factor = torch.linalg.cholesky(precision * size[:, None] * size[None])
    variance = torch.cholesky_inverse(factor).diagonal() * size.square()
    return -10 * math.log10(float((variance.reshape(shape) * scale.square()).mean()))


def row(values: dict[str, list[float]]) -> list[str]:
    names = ("auto", "unit", "natural", "inverting-gradients")
    means = [f"{statistics.mean(values[name]):.1f}" for name in names]
    return [f"**{means[0]}**", *means[1:], f"{values['CPU s'][0]:.1f}"]


if __name__ == "__main__":
    main()
