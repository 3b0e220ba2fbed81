"""Model inversion without gradients: a picture of a class, found by asking the model (Fredrikson et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.inversion.grid import Grid
from invbench.inversion.queries import Ask, Iterate, Plan, cma_es, nes, spsa
from invbench.observation import Inversion, ModelObservation, ModelPublic, Oracle, QueriesSpent
from invbench.registry import attack, parameter

OPTIMIZERS = {"nes": nes, "spsa": spsa, "cma-es": cma_es}
STEPS = {"nes": 0.02, "spsa": 0.2, "cma-es": 0.0}  # CMA-ES chooses its own
SPENT = "the budget of queries was spent: the best picture so far is answered"


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class QueryInversion(Attack[ModelPublic, ModelObservation, Inversion]):
    """Minimise -log confidence of the class over a coarse picture, from mid-grey, by queries alone.

    Probes in all of 10,304 pixels tell little each; a grid of `resolution` x `resolution`, enlarged bilinearly, has 256
    numbers (fewer dimensions, as Li et al. 2020, 2005.14137, search in low frequencies). Pictures that are smaller are
    searched pixel by pixel. Each picture asked is a query. It stops at `confidence`, after `iterations`, or where the
    budget is spent, and answers the best iterate.
    """

    optimizer: Literal["nes", "spsa", "cma-es"] = parameter("nes", help="how costs alone are minimised")
    iterations: int = parameter(100_000, at_least=1, unit="iterations", help="at most; the budget ends most searches")
    population: int = parameter(
        50, at_least=2, unit="queries", help="probes of a step (of spsa: steps between two looks at the iterate)"
    )
    sigma: float = parameter(0.1, above=0, help="standard deviation of a probe, of pixels in [0, 1]")
    step: float | None = parameter(
        None, above=0, help="nes: learning rate, by default 0.02; spsa: what its first step changes a pixel by, 0.2"
    )
    resolution: int = parameter(16, at_least=1, unit="pixels", help="sides of the grid that is searched")
    confidence: float = parameter(0.99, above=0, at_most=1, help="stop where the model is so certain of the class")

    def unsupported(self, public: ModelPublic) -> str | None:
        if public.weights_granted:
            return f"asks the model, and protocol {public.protocol} grants its weights: mi-face takes their gradient"
        if public.answers != "confidences":
            return "needs confidences; the model answers labels alone, by which brep-mi searches"
        if self.optimizer == "cma-es" and find_spec("cma") is None:
            return "optimizer cma-es needs the package cma: pip install cma"
        return None

    def __call__(self, seen: ModelObservation) -> Inversion:
        assert seen.oracle is not None
        grid = Grid.of(seen, self.resolution)
        start = torch.full((grid.size,), 0.5, device=seen.device)
        step = STEPS[self.optimizer] if self.step is None else self.step
        plan = Plan(sigma=self.sigma, population=self.population, step=step)
        search = OPTIMIZERS[self.optimizer](_cost(seen.oracle, grid, seen.target), start, seen.generator, plan)
        best, stopped, steps = Iterate(start, float("inf")), "budget spent", -1
        try:
            for steps, found in enumerate(search):
                best = min(best, found, key=lambda one: one.cost)
                if best.cost <= -torch.tensor(self.confidence).log().item():
                    stopped = "converged"
                if stopped == "converged" or steps == self.iterations:
                    break
            notes: tuple[str, ...] = ()
        except QueriesSpent:
            notes = (SPENT,)
        return Inversion(
            image=grid.pictures(best.point[None])[0],
            objective=best.cost,
            evaluations=seen.oracle.asked,
            stopped={stopped: 1},
            facts={"queries": seen.oracle.asked, "iterations": max(steps, 0)},
            notes=notes,
        )


def _cost(oracle: Oracle, grid: Grid, target: int) -> Ask:
    """Minus the logarithm of the class's confidence; an answer of 0 counts as the least float32 above it."""
    least = torch.finfo(torch.float32).tiny

    def cost(points: Tensor) -> Tensor:
        return -oracle(grid.pictures(points))[:, target].double().clamp(min=least).log()

    return cost
