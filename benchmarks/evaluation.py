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
from _measure import interleaved, ratio, record
from _raw import Kept, Name
from _table import Table

from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import build_problem
from invbench.observation import UpdateObservation

MODELS, BATCHES, REPEATS = {"convnet": 8, "resnet18": 10}, (1, 8), 5
"""Networks, and the most forwards that an evaluation may cost."""


class Settings(Kept, frozen=True):
    repeats: int = REPEATS


class Case(Kept, frozen=True):
    """CPU seconds of every repeat; `breaching` is None where it is not installed."""

    model: Name
    batch_size: int
    forward: list[float]
    evaluation: list[float]
    breaching: list[float] | None


class Samples(Kept, frozen=True):
    cases: list[Case]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    data = arguments.parse_args().data
    torch.set_num_threads(1)
    settings = Settings()
    record("evaluation", settings, lambda: measure(data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    cases = []
    for model in MODELS:
        for batch in BATCHES:
            [seen] = stage(data, model, batch, 1).observations
            found = interleaved(sides(seen, _breaching.missing() is None), settings.repeats)
            cases.append(Case(model, batch, found["forward"], found["evaluation"], found.get("breaching")))
    return Samples(cases)


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What does one evaluation cost?",
        question="Objective and pictures' gradient (cosine and total variation), in forward passes of the same "
        f"batch. CPU time, medians of {settings.repeats} interleaved samples; tracing, done once, is not in it.",
        command="python benchmarks/evaluation.py",
        columns=["network", "batch", "forward, ms", "evaluation, ms", "forwards", "breaching", "minimum", "goal"],
        rows=[row(case) for case in samples.cases],
        text=[
            "The minimum counts convolutions of equal cost: 1 forward, 2 backward (input, weights), 3 for what "
            "those two pass back to the input and to the output's gradient, 1 down to the picture. breaching's "
            "evaluation is its own closure: the same objective by plain double backward."
        ],
    )


def row(case: Case) -> list[str]:
    milliseconds = [1e3 * statistics.median(values) for values in (case.forward, case.evaluation)]
    theirs = f"{ratio(case.breaching, case.forward):.1f}" if case.breaching is not None else "not installed"
    return [
        *(case.model, str(case.batch_size), f"{milliseconds[0]:.1f}", f"{milliseconds[1]:.0f}"),
        *(f"**{ratio(case.evaluation, case.forward):.1f}**", theirs, "7", str(MODELS[case.model])),
    ]


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
