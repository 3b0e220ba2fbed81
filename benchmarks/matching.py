"""Gradient matching on ReLU networks: the short recipe beside breaching's inverting-gradients, PSNR and CPU time.

python benchmarks/matching.py [--only convnet-1-0 ...] [--data cifar10.npz]

One batch of one network is a part, `NETWORK-BATCH-INDEX`; each part that is done lies in raw/matching/ and is not
computed again, so the hour and more that breaching takes can be had in pieces. Each side runs alone, one after the
other in one process, on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import _breaching
import torch
from _cells import DATA, decibels, known_labels, stage
from _measure import HERE, Table, revision, save

from invbench.matching.fast import BATCH_STEPS, SINGLE, fast

MODELS, TARGETS = ("convnet", "resnet18"), 2
THEIRS = {1: 1200, 8: 300}
"""Iterations of breaching by batch size."""
OURS = {1: SINGLE.iterations, 8: BATCH_STEPS}
PARTS = HERE / "raw" / "matching"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--only", nargs="+", choices=names(), help="these parts alone")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    PARTS.mkdir(parents=True, exist_ok=True)
    for name in asked.only or names():
        path = PARTS / f"{name}.json"
        if not path.exists():
            model, batch, index = name.rsplit("-", 2)
            done = part(asked.data, model, int(batch), int(index), OURS[int(batch)], THEIRS[int(batch)])
            path.write_text(json.dumps(done, indent=1) + "\n")
            print(name, done, flush=True)
    save("matching", table({path.stem: json.loads(path.read_text()) for path in sorted(PARTS.glob("*.json"))}))


def names() -> list[str]:
    return [f"{model}-{batch}-{index}" for model in MODELS for batch in THEIRS for index in range(TARGETS)]


def part(data: Path, model: str, batch: int, index: int, ours: int, theirs: int) -> dict[str, Any]:
    """Both sides on one batch: `psnr` of every picture, CPU `seconds`, `iterations`, and why a side `failed`."""
    round_ = stage(data, model, batch, index + 1)
    seen, truth = round_.observations[index], round_.truths[index]
    started = time.process_time()
    [guess] = replace(fast(seen.public), iterations=ours).attack_all([seen])
    seconds = time.process_time() - started
    peer = _breaching.missing()
    if peer is not None:
        their: dict[str, Any] = {"failed": peer}
    else:
        answer = _breaching.inverting_gradients(seen, known_labels(seen), theirs)
        score = decibels(answer.images, truth) if answer.images is not None else []
        their = {"psnr": score, "seconds": answer.seconds, "iterations": theirs, "failed": answer.failed}
    our = {"psnr": decibels(guess.images, truth), "seconds": seconds, "iterations": ours, "notes": list(guess.notes)}
    our["revision"] = their["revision"] = revision()
    return {"invbench": our, "breaching": their}


def table(parts: dict[str, dict[str, Any]]) -> Table:
    rows, failed = [], []
    for model in MODELS:
        for batch in THEIRS:
            found = {name: done for name, done in parts.items() if name.startswith(f"{model}-{batch}-")}
            failed += [f"{name}: {d['breaching']['failed']}" for name, d in found.items() if d["breaching"]["failed"]]
            good = [done for done in found.values() if not done["breaching"]["failed"]]
            rows.append([model, str(batch), str(len(good)), *(_row(good) if good else ["not measured"] + [""] * 4)])
    return Table(
        title="Gradient matching: how good, how fast?",
        question="Mean PSNR and CPU seconds a batch: `matching/fast.py` "
        f"({OURS[1]} iterations at batch 1, {OURS[8]} at batch 8, tracing included) beside breaching's "
        f"inverting-gradients, schedule scaled to {THEIRS[1]} and {THEIRS[8]}. CIFAR-10 test pictures, untrained "
        "victims, BatchNorm in evaluation mode, labels known to both, weight seed 0.",
        command="python benchmarks/matching.py",
        text=[
            "The recipe was chosen by PSNR on some of these pictures, so this is no held-out test. Each part's raw "
            "file holds both sides, each with its revision; one may be recomputed alone when its code changes.",
        ],
        columns=["network", "batch", "batches", "PSNR, dB", "breaching, dB", "CPU, s", "breaching, s", "share of CPU"],
        rows=rows,
        samples=parts,
        failed=failed,
    )


def _row(parts: list[dict[str, Any]]) -> list[str]:
    ours, theirs = ([done[side] for done in parts] for side in ("invbench", "breaching"))
    quality = [statistics.mean(v for done in side for v in done["psnr"]) for side in (ours, theirs)]
    seconds = [statistics.mean(done["seconds"] for done in side) for side in (ours, theirs)]
    share = f"**{seconds[0] / seconds[1]:.2f}**"
    return [f"**{quality[0]:.1f}**", f"{quality[1]:.1f}", *(f"{value:.0f}" for value in seconds), share]


if __name__ == "__main__":
    main()
