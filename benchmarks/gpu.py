"""On a GPU: iterations a second beside breaching's on the same one, and an attack on a 224 x 224 picture.

python benchmarks/gpu.py [--device cuda]

Without a GPU the table says so; the same code runs on a CPU in the tests.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import _breaching
import torch
from _cells import DATA, known_labels, stage
from _measure import Table, save

from invbench.core import engine
from invbench.core.memory import peak_memory
from invbench.matching.recipe import Recipe
from invbench.observation import UpdateObservation

MODELS, BATCHES, REPEATS, SHORT, LONG = ("lenet", "convnet", "resnet18"), (1, 8), 3, 100, 600
RECIPE = Recipe(tv=0.1)  # breaching's weight of 0.2, averaged as here
COLUMNS = ["network", "batch", "iterations a second", "breaching", "times"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--device", default="cuda")
    asked = arguments.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        save("gpu", nothing("not measured: no GPU here"))
        return
    rows, raw, failed = [], {}, []
    for model in MODELS:
        for batch in BATCHES:
            [seen] = stage(asked.data, model, batch, 1, asked.device).observations
            found = speeds(seen, SHORT, LONG, REPEATS)
            failed += found["failed"]
            rows.append([model, str(batch), *_row(found)])
            raw[f"{model}, batch {batch}"] = found
    big = large(asked.device, side=224, iterations=SHORT)
    raw["resnet18, 224 x 224"] = big
    name = torch.cuda.get_device_name(asked.device) if asked.device.startswith("cuda") else "CPU"
    text = (
        f"A 224 x 224 picture on `resnet18`: {big['memory_mb']:.0f} MB, {1e3 * big['seconds'] / SHORT:.1f} ms a step."
    )
    save("gpu", replace(nothing(""), rows=rows, samples=raw, failed=failed, text=[text], device=name))


def nothing(why: str) -> Table:
    return Table(
        title="How fast on a GPU?",
        question=f"Iterations of inverting-gradients a second, from the wall time of {LONG} less that of {SHORT} "
        "(so compiling and start-up are in neither), beside breaching on the same GPU. `compile: on`.",
        command="python benchmarks/gpu.py",
        columns=COLUMNS,
        rows=[[model, str(batch), why, "", ""] for model in MODELS for batch in BATCHES],
        samples={},
    )


def speeds(seen: UpdateObservation, short: int, long: int, repeats: int) -> dict[str, Any]:
    """Iterations a second of both sides, `repeats` samples each, interleaved, and what failed."""
    sides: dict[str, Callable[[int], object]] = {"invbench": lambda steps: ours(seen, steps)}
    missing, failed = _breaching.missing(), []
    if missing is None:
        sides["breaching"] = lambda steps: theirs(seen, steps)
    samples: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            try:
                samples[side].append((long - short) / (wall(run, long, seen) - wall(run, short, seen)))
            except RuntimeError as error:
                failed.append(f"{side}: {error}")
    return {**samples, "failed": failed + ([missing] if missing else [])}


def ours(seen: UpdateObservation, steps: int) -> object:
    with engine.using("on"):
        return replace(RECIPE, iterations=steps).attack_all([seen])


def theirs(seen: UpdateObservation, steps: int) -> object:
    answer = _breaching.inverting_gradients(seen, known_labels(seen), steps)
    if answer.failed:
        raise RuntimeError(answer.failed)
    return answer


def large(device: str, side: int, iterations: int) -> dict[str, float]:
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
    seen = UpdateObservation(public, network, update, label, torch.Generator().manual_seed(0), where)
    with peak_memory(where) as peak:
        seconds = wall(lambda steps: ours(seen, steps), iterations, seen)
    return {"memory_mb": peak.mb or float("nan"), "seconds": seconds}


def wall(run: Callable[[int], object], steps: int, seen: UpdateObservation) -> float:
    started = time.perf_counter()
    run(steps)
    if seen.device.type == "cuda":
        torch.cuda.synchronize(seen.device)
    return time.perf_counter() - started


def _row(found: dict[str, Any]) -> list[str]:
    middle = {side: sorted(found[side])[len(found[side]) // 2] for side in ("invbench", "breaching") if found.get(side)}
    shown = [f"{middle[side]:.1f}" if side in middle else "failed" for side in ("invbench", "breaching")]
    return [*shown, f"**{middle['invbench'] / middle['breaching']:.1f}**" if len(middle) == 2 else ""]


if __name__ == "__main__":
    main()
