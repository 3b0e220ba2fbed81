"""Minimisers that only ask for costs: NES, SPSA and CMA-ES. Each yields iterates with their costs, until it is stopped.

A cost is one query. `ask` takes points `(N, d)` and gives their costs `(N,)`, float64; where the budget is spent it
raises, and whoever drives the minimiser keeps the best iterate that it has seen.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

Ask = Callable[[Tensor], Tensor]


class Iterate(NamedTuple):
    """A point `(d,)` and its cost."""

    point: Tensor
    cost: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`sigma`: standard deviation of a probe. `population`: probes a step, an even number of them used in pairs by NES.

    `step`: length of a step: NES's learning rate, and about what SPSA's first step changes a coordinate by.
    """

    sigma: float
    population: int
    step: float


def nes(ask: Ask, start: Tensor, generator: torch.Generator, plan: Plan) -> Iterator[Iterate]:
    """Natural evolution strategies (Wierstra et al. 2014, 1106.4487) with antithetic Gaussian probes, as Ilyas et al.
    2018 (1804.08598, algorithm 1) estimate a gradient: mean over e of (c(x + sigma e) - c(x - sigma e)) e / (2 sigma).

    Adam (Kingma and Ba 2014, 1412.6980) descends by it, in [0, 1].
    """
    point, cost = start, float(ask(start[None])[0])
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    step = 0
    while True:
        yield Iterate(point, cost)
        step += 1
        probes = torch.randn(max(1, plan.population // 2), len(start), generator=generator).to(start.device)
        slope = _slope(ask, point, plan.sigma * probes, probes / plan.sigma)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square()
        moved = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-12)
        point = (point - plan.step * moved).clamp(0, 1)
        cost = float(ask(point[None])[0])


def spsa(ask: Ask, start: Tensor, generator: torch.Generator, plan: Plan) -> Iterator[Iterate]:
    """Simultaneous perturbation (Spall 1992, 10.1109/9.119632): one pair of probes with signs +-1 a step, in [0, 1].

    Gains a / (k + 1 + A)^0.602 and sigma / (k + 1)^0.101 with A = 100, as Spall 1998 advises, and a such that the first
    step changes a coordinate by about `step`, by the mean size of 10 estimates at the start. Every `population` steps
    the iterate itself is asked.
    """
    point, stability = start, 100
    yield Iterate(point, float(ask(point[None])[0]))
    sizes = [_signed(ask, point, plan.sigma, generator).abs().mean() for _ in range(10)]
    gain = plan.step * (1 + stability) ** 0.602 / max(float(torch.stack(sizes).mean()), 1e-12)
    step = 0
    while True:
        for _ in range(plan.population):
            slope = _signed(ask, point, plan.sigma / (step + 1) ** 0.101, generator)
            point = (point - gain / (step + 1 + stability) ** 0.602 * slope).clamp(0, 1)
            step += 1
        yield Iterate(point, float(ask(point[None])[0]))


def cma_es(ask: Ask, start: Tensor, generator: torch.Generator, plan: Plan) -> Iterator[Iterate]:
    """CMA-ES (Hansen 2016, 1604.00772) of the package `cma`, with a diagonal covariance, in [0, 1].

    Its normal draws come from `generator`; each iteration yields the best point that it asked.
    """

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).numpy()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it cannot plot without matplotlib
        package = importlib.import_module("cma")
    options = {"bounds": [0, 1], "CMA_diagonal": True, "popsize": max(2, plan.population), "verbose": -9}
    strategy = package.CMAEvolutionStrategy(
        start.double().cpu().numpy(), plan.sigma, options | {"randn": normal, "seed": float("nan")}
    )
    yield Iterate(start, float(ask(start[None])[0]))
    while True:
        points = strategy.ask()
        asked = torch.stack([torch.as_tensor(point) for point in points]).to(start)
        costs = ask(asked)
        strategy.tell(points, costs.tolist())
        best = int(costs.argmin())
        yield Iterate(asked[best], float(costs[best]))


def _signed(ask: Ask, point: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """SPSA's estimate of the slope, `(d,)`: a sign is its own inverse."""
    signs = torch.randint(0, 2, (1, len(point)), generator=generator).to(point) * 2 - 1
    return _slope(ask, point, sigma * signs, signs / sigma)


def _slope(ask: Ask, point: Tensor, probes: Tensor, weights: Tensor) -> Tensor:
    """Mean over probes `(n, d)` of half the difference of the costs on both sides, times `weights` `(n, d)`."""
    costs = ask(torch.cat([point + probes, point - probes]))
    difference = (costs[: len(probes)] - costs[len(probes) :]) / 2
    return (difference[:, None].to(weights) * weights).mean(dim=0)
