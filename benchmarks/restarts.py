"""What do 8 restarts cost, beside one computed step by step?

python benchmarks/restarts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _measure import interleaved, ratio, record
from _raw import Kept
from _table import Table
from torch import Tensor

from invbench.cell import Cell
from invbench.core import execution
from invbench.games import Game
from invbench.matching.adam import adam
from invbench.matching.objectives import OBJECTIVES, cosine
from invbench.matching.problem import Evaluation, Problem, build_problem
from invbench.matching.regularisers import total_variation
from invbench.matrix import load
from invbench.observation import UpdateObservation
from invbench.registry import load as part

RESTARTS, STEPS, REPEATS, TV = 8, 100, 5, 0.01
MATRIX = "dataset: natural\ntargets: 1\ngrid: {attack: [inverting-gradients], model: [lenet], batch_size: [1]}\n"


@dataclass(frozen=True, eq=False)
class Eager:
    """One lane as anybody would write it: autograd's double backward, nothing mapped, traced or compiled."""

    seen: UpdateObservation
    lower: Tensor
    upper: Tensor

    def evaluate(self, variables: Tensor) -> Evaluation:
        x = variables.detach().requires_grad_()
        images = x.reshape(1, *self.seen.public.image_shape)
        weights = list(self.seen.model.parameters())
        loss = torch.nn.functional.cross_entropy(self.seen.model(images), self.seen.labels)
        simulated = torch.autograd.grad(loss, weights, create_graph=True)
        distance = cosine(simulated, self.seen.update)
        total = distance + TV * total_variation(images)
        [slope] = torch.autograd.grad(total, x)
        return Evaluation(total.detach()[None], distance.detach()[None], slope)


class Settings(Kept, frozen=True):
    restarts: int = RESTARTS
    steps: int = STEPS
    repeats: int = REPEATS


class Samples(Kept, frozen=True):
    """CPU seconds of every repeat; `compiled` and the seconds of compiling are None where nothing compiles."""

    eager: list[float]
    one: list[float]
    many: list[float]
    compiled: list[float] | None = None
    compile_seconds: float | None = None


def main() -> None:
    torch.set_num_threads(1)
    settings = Settings()
    record("restarts", settings, lambda: measure(settings))


def measure(settings: Settings) -> Samples:
    seen = observation()
    one, many, fused = problem(seen, 1), problem(seen, settings.restarts), compiled(seen)
    sides: dict[str, Callable[[], object]] = {
        "eager": lambda: search(Eager(seen, one.lower, one.upper), 1),
        "one": lambda: search(one, 1),
        "many": lambda: search(many, settings.restarts),
    }
    if fused is not None:
        sides["compiled"] = lambda: search(fused[0], settings.restarts)
    return Samples(**interleaved(sides, settings.repeats), compile_seconds=fused[1] if fused else None)


def answer(settings: Settings, samples: Samples) -> Table:
    sides = [
        ("1 restart, eager", samples.eager, ""),
        ("1 restart, traced", samples.one, ""),
        (f"{settings.restarts} restarts, traced", samples.many, "3"),
        (f"{settings.restarts} restarts, compiled", samples.compiled, "2"),
    ]
    took = samples.compile_seconds
    note = "Nothing compiles on this machine." if took is None else f"Compiling took {took:.0f} s, which is in no row."
    return Table(
        title="What do restarts cost?",
        question=f"CPU milliseconds a step of signed Adam on `lenet`, batch 1, cosine and total variation, and times "
        f"one eager restart. Medians of {settings.repeats} interleaved samples of {settings.steps} steps.",
        command="python benchmarks/restarts.py",
        columns=["what", "ms a step", "times one eager restart", "goal, at most"],
        rows=[
            [
                name,
                f"{1e3 * statistics.median(values) / settings.steps:.2f}",
                f"**{ratio(values, samples.eager):.2f}**",
                goal,
            ]
            for name, values, goal in sides
            if values is not None
        ],
        text=[note + " `compile: on` compiles for a CPU only where the planned steps pay that back."],
    )


def observation() -> UpdateObservation:
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "restarts.yaml"
        matrix.write_text(MATRIX)
        cell: Cell = load(matrix).cells[0]
    [seen] = part("game", cell.game).build({}, Game).deal(cell, torch.device("cpu")).observations
    found: UpdateObservation = seen
    return found


def problem(seen: UpdateObservation, lanes: int) -> Problem:
    made = build_problem([seen] * lanes, [seen.labels] * lanes, OBJECTIVES["cosine"], TV, boxed=True, planned=10**9)
    made.evaluate(torch.zeros(lanes, made.size))  # traced here, not in the first sample
    return made


def compiled(seen: UpdateObservation) -> tuple[Problem, float] | None:
    """Lanes with compiled steps and the seconds that compiling took; None where nothing compiles."""
    with execution.using(execution.Settings("on")) as steps:
        made = problem(seen, RESTARTS)
    return (made, steps.compile_seconds) if made.programs.notes == ["steps compiled by Inductor"] else None


def search(problem: Problem | Eager, lanes: int) -> None:
    start = torch.randn(lanes, len(problem.lower), generator=torch.Generator().manual_seed(0))
    settings = {"iterations": STEPS, "lr": 0.1, "signed": True, "schedule": "step"}
    adam(problem, start, report=lambda *_: None, **settings)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
