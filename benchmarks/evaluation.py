"""What does one evaluation cost, in forward passes of the same batch?

python benchmarks/evaluation.py [--data cifar10.npz]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import _breaching
import torch
from _cells import DATA, known_labels, stage
from _measure import Table, interleaved, ratio, save

from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import build_problem
from invbench.observation import UpdateObservation

MODELS, BATCHES, REPEATS = {"convnet": 8, "resnet18": 10}, (1, 8), 5
"""Networks, and the most forwards that an evaluation may cost."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=DATA)
    data = arguments.parse_args().data
    torch.set_num_threads(1)
    peer = _breaching.missing()
    rows, raw = [], {}
    for model, most in MODELS.items():
        for batch in BATCHES:
            [seen] = stage(data, model, batch, 1).observations
            samples = interleaved(sides(seen, peer is None), REPEATS)
            middle = {side: statistics.median(values) for side, values in samples.items()}
            theirs = f"{ratio(samples, 'breaching', 'forward'):.1f}" if peer is None else "missing"
            rows.append(
                [
                    *(model, str(batch), f"{1e3 * middle['forward']:.1f}", f"{1e3 * middle['evaluation']:.0f}"),
                    *(f"**{ratio(samples, 'evaluation', 'forward'):.1f}**", theirs, "7", str(most)),
                ]
            )
            raw |= {f"{model}, batch {batch}: {side}": values for side, values in samples.items()}
    save(
        "evaluation",
        Table(
            title="What does one evaluation cost?",
            question="Objective and pictures' gradient (cosine and total variation), in forward passes of the same "
            f"batch. CPU time, medians of {REPEATS} interleaved samples; tracing, done once, is not in it.",
            command="python benchmarks/evaluation.py",
            columns=["network", "batch", "forward, ms", "evaluation, ms", "forwards", "breaching", "minimum", "goal"],
            rows=rows,
            samples=raw,
            text=[
                "The minimum counts convolutions of equal cost: 1 forward, 2 backward (input, weights), 3 for what "
                "those two pass back to the input and to the output's gradient, 1 down to the picture. breaching's "
                "evaluation is its own closure: the same objective by plain double backward."
            ],
            failed=[peer] if peer else [],
        ),
    )


def sides(seen: UpdateObservation, with_peer: bool) -> dict[str, Callable[[], object]]:
    labels, public = known_labels(seen), seen.public
    problem = build_problem([seen], [labels], OBJECTIVES["cosine"], 0.01, boxed=True, planned=10**6)
    variables = torch.randn(1, problem.size, generator=torch.Generator().manual_seed(0))
    images = variables.reshape(public.batch_size, *public.image_shape)
    found: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(seen, images),
        "evaluation": lambda: problem.evaluate(variables),
    }
    return found | ({"breaching": _breaching.closure(seen, labels)} if with_peer else {})


def forward(seen: UpdateObservation, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        scores: torch.Tensor = seen.model(images)
    return scores


if __name__ == "__main__":
    main()
