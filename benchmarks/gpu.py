"""On a GPU: iterations a second beside breaching's on the same one, and an attack on a 224 x 224 picture.

python benchmarks/gpu.py [--device cuda]

Without a GPU the table says so; the same code runs on a CPU in the tests.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import _breaching
import torch
from _cells import DATA, known_labels, stage
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.core import execution
from invbench.core.memory import peak_memory
from invbench.matching.recipe import Recipe
from invbench.observation import UpdateObservation

MODELS, BATCHES, REPEATS, SHORT, LONG = ("lenet", "convnet", "resnet18"), (1, 8), 3, 100, 600
RECIPE = Recipe(tv=0.1)  # breaching's weight of 0.2, averaged as here
NOT_MEASURED = "not measured: no GPU here"


class Settings(Kept, frozen=True):
    short: int = SHORT
    long: int = LONG
    repeats: int = REPEATS


class Case(Kept, frozen=True):
    """Iterations a second of every repeat, None for a repeat that failed; `breaching` None: not installed."""

    model: Name
    batch_size: int
    invbench: list[float | None]
    breaching: list[float | None] | None


class Large(Kept, frozen=True):
    """A 224 x 224 picture: peak memory, and the wall seconds of an attack of `short` iterations."""

    memory_mb: float | None
    seconds: float


class Samples(Kept, frozen=True):
    """Nothing where there is no GPU."""

    cases: list[Case]
    large: Large | None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--device", default="cuda")
    asked = arguments.parse_args()
    settings, cuda = Settings(), asked.device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        record("gpu", settings, lambda: Samples([], None))
        return
    name = torch.cuda.get_device_name(asked.device) if cuda else None
    record("gpu", settings, lambda: measure(asked.data, asked.device, settings), gpu=name)


def measure(data: Path, device: str, settings: Settings) -> Samples:
    cases = []
    for model in MODELS:
        for batch in BATCHES:
            [seen] = stage(data, model, batch, 1, device).observations
            cases.append(Case(model, batch, *speeds(seen, settings.short, settings.long, settings.repeats)))
    return Samples(cases, large(device, side=224, iterations=settings.short))


def answer(settings: Settings, samples: Samples) -> Table:
    missing = [[model, str(batch), NOT_MEASURED, "", ""] for model in MODELS for batch in BATCHES]
    return Table(
        title="How fast on a GPU?",
        question=f"Iterations of inverting-gradients a second, from the wall time of {settings.long} less that of "
        f"{settings.short} (so compiling and start-up are in neither), beside breaching on the same GPU. Medians of "
        f"{settings.repeats}; a side of which a repeat failed has no speed. `compile: on`.",
        command="python benchmarks/gpu.py",
        columns=["network", "batch", "iterations a second", "breaching", "times"],
        rows=[row(case) for case in samples.cases] or missing,
        text=[] if samples.large is None else [_large_text(samples.large, settings.short)],
    )


def row(case: Case) -> list[str]:
    sides = (case.invbench, case.breaching)
    ours, theirs = (_middle(side) for side in sides)
    times = f"**{ours / theirs:.1f}**" if ours is not None and theirs is not None else ""
    return [case.model, str(case.batch_size), *map(_shown, sides), times]


def speeds(
    seen: UpdateObservation, short: int, long: int, repeats: int
) -> tuple[list[float | None], list[float | None] | None]:
    """Iterations a second of both sides, `repeats` samples each, interleaved."""
    sides: dict[str, Callable[[int], object]] = {"invbench": lambda steps: ours(seen, steps)}
    if _breaching.missing() is None:
        sides["breaching"] = lambda steps: theirs(seen, steps)
    samples: dict[str, list[float | None]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            samples[side].append(_speed(side, run, seen, short, long))
    return samples["invbench"], samples.get("breaching")


def _speed(side: str, run: Callable[[int], object], seen: UpdateObservation, short: int, long: int) -> float | None:
    try:
        seconds = wall(run, long, seen) - wall(run, short, seen)
    except RuntimeError as error:
        print(f"{side} failed: {error}", file=sys.stderr)
        return None
    return (long - short) / seconds if seconds > 0 else None


def ours(seen: UpdateObservation, steps: int) -> object:
    with execution.using(execution.Settings("on")):
        return replace(RECIPE, iterations=steps).attack_all([seen])


def theirs(seen: UpdateObservation, steps: int) -> object:
    answer = _breaching.inverting_gradients(seen, known_labels(seen), steps)
    if answer.failed:
        raise RuntimeError(answer.failed)
    return answer


def large(device: str, side: int, iterations: int) -> Large:
    """Peak memory and wall seconds of an attack on ResNet-18 at `side` x `side`, of a picture of noise."""
    from invbench.models.resnet18 import ResNet18
    from invbench.observation import Public
    from invbench.protocol._gradient import gradient
    from invbench.victims.building import build_victim

    shape, where = (3, side, side), torch.device(device)
    network = build_victim(ResNet18(), shape, 1000, 0).to(where)
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).to(where)
    label = torch.zeros(1, dtype=torch.int64, device=where)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    public = Public("resnet18", network, shape, 1000, 1, "known", (0.5,) * 3, (0.25,) * 3)
    with torch.no_grad():
        update = gradient(network, weights, dict(network.named_buffers()), image, label)
    seen = UpdateObservation(
        public=public,
        model=network,
        update=update,
        labels=label,
        generator=torch.Generator().manual_seed(0),
        device=where,
    )
    with peak_memory(where) as peak:
        seconds = wall(lambda steps: ours(seen, steps), iterations, seen)
    return Large(peak.mb, seconds)


def wall(run: Callable[[int], object], steps: int, seen: UpdateObservation) -> float:
    started = time.perf_counter()
    run(steps)
    if seen.device.type == "cuda":
        torch.cuda.synchronize(seen.device)
    return time.perf_counter() - started


def _middle(side: list[float | None] | None) -> float | None:
    """The median, None where a repeat failed."""
    ended = [value for value in side or () if value is not None]
    return statistics.median(ended) if side and len(ended) == len(side) else None


def _shown(side: list[float | None] | None) -> str:
    if side is None:
        return "not installed"
    middle = _middle(side)
    return f"failed {side.count(None)} of {len(side)}" if middle is None else f"{middle:.1f}"


def _large_text(found: Large, steps: int) -> str:
    memory = "memory not told" if found.memory_mb is None else f"{found.memory_mb:.0f} MB"
    return f"A 224 x 224 picture on `resnet18`: {memory}, {1e3 * found.seconds / steps:.1f} ms a step."


if __name__ == "__main__":
    main()
