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
from _measure import Table, interleaved, save
from torch import Tensor

from invbench.cell import Cell
from invbench.core import engine
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


def main() -> None:
    torch.set_num_threads(1)
    seen = observation()
    one, many, fused = problem(seen, 1), problem(seen, RESTARTS), compiled(seen)
    eager = Eager(seen, one.lower, one.upper)
    sides: dict[str, Callable[[], object]] = {
        "1 restart, eager": lambda: search(eager, 1),
        "1 restart, traced": lambda: search(one, 1),
        f"{RESTARTS} restarts, traced": lambda: search(many, RESTARTS),
    }
    if fused is not None:
        sides[f"{RESTARTS} restarts, compiled"] = lambda: search(fused[0], RESTARTS)
    samples = interleaved(sides, REPEATS)
    base = statistics.median(samples["1 restart, eager"])
    goals = {f"{RESTARTS} restarts, traced": "3", f"{RESTARTS} restarts, compiled": "2"}
    rows = [
        [side, f"{1e3 * middle / STEPS:.2f}", f"**{middle / base:.2f}**", goals.get(side, "")]
        for side, middle in ((side, statistics.median(values)) for side, values in samples.items())
    ]
    note = f"Compiling took {fused[1]:.0f} s, which is in no row." if fused else "Nothing compiles on this machine."
    save(
        "restarts",
        Table(
            title="What do restarts cost?",
            question=f"CPU milliseconds a step of signed Adam on `lenet`, batch 1, cosine and total variation, and "
            f"times one eager restart. Medians of {REPEATS} interleaved samples of {STEPS} steps.",
            command="python benchmarks/restarts.py",
            columns=["what", "ms a step", "times one eager restart", "goal, at most"],
            rows=rows,
            samples=samples,
            text=[note + " `compile: on` compiles for a CPU only where the planned steps pay that back."],
        ),
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
    with engine.using("on") as steps:
        made = problem(seen, RESTARTS)
    return (made, steps.compile_seconds) if made.programs.notes == ["steps compiled by Inductor"] else None


def search(problem: Problem | Eager, lanes: int) -> None:
    start = torch.randn(lanes, len(problem.lower), generator=torch.Generator().manual_seed(0))
    settings = {"iterations": STEPS, "lr": 0.1, "signed": True, "schedule": "step"}
    adam(problem, start, report=lambda *_: None, **settings)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
