"""Model inversion by labels alone: boundary repulsion (BREP-MI; Kahla et al. 2022, CVPR, arXiv 2203.05625)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.inversion.generator import Generator, Recipe, trained_generator, without_pictures
from invbench.inversion.grid import Grid
from invbench.inversion.repulsion import Centre, Hits, Sphere
from invbench.observation import Inversion, ModelObservation, ModelPublic, Oracle, Preparation, QueriesSpent
from invbench.registry import attack, parameter

NEVER = "no picture that was asked is of the class: there is nothing to start from"
SPENT = "the budget of queries was spent: the centre of the largest sphere so far is answered"


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class BrepMi(Attack[ModelPublic, ModelObservation, Inversion]):
    """From any picture of the class, to the centre of a sphere of such pictures that is as large as can be found.

    Only the likeliest class of each answer is read, whatever is answered. Pictures are drawn until one is of the class.
    Then points on a sphere around it are asked; those that leave the class push the centre away, and once hardly any
    leaves it the sphere grows (`inversion/repulsion.py`). Each picture asked is a query.

    The authors search the code of a GAN trained on other people's faces: `space: generator` does so with a small
    variational autoencoder, where the protocol grants pictures (`public: other-classes`). `pixels` searches a coarse
    grid, as `query-inversion` does, and starts from random grids of all degrees of coarseness. 32 points and a growth
    of 1.3 are the authors'; they wait 1,000 steps at a radius, and theirs is 2 in codes of 100 numbers.
    """

    space: Literal["pixels", "generator"] = parameter("pixels", help="what is searched: a coarse grid, or a code")
    radius: float = parameter(0.1, above=0, help="of the first sphere, as root mean square a number of the point")
    points: int = parameter(32, at_least=1, unit="queries", help="asked on a sphere")
    growth: float = parameter(1.3, above=1, help="how much larger each sphere is than the one before")
    patience: int = parameter(50, at_least=1, unit="steps", help="at one radius, after which the search ends")
    iterations: int = parameter(
        100_000, at_least=1, unit="steps", help="at most, and as often a start is sought; the budget ends most searches"
    )
    resolution: int = parameter(16, at_least=1, unit="pixels", help="sides of the grid, in space pixels")
    latent: int = parameter(32, at_least=1, unit="numbers", help="of the generator's code")
    hidden: int = parameter(200, at_least=1, unit="units", help="of the generator's hidden layer")
    training_steps: int = parameter(500, at_least=1, unit="batches of 32", help="how long the generator trains")

    def unsupported(self, public: ModelPublic) -> str | None:
        if public.weights_granted:
            return f"asks the model, and protocol {public.protocol} grants its weights: mi-face takes their gradient"
        return without_pictures(public) if self.space == "generator" else None

    def preparations(self, public: ModelPublic) -> Mapping[str, Preparation]:
        return trained_generator(public, self._recipe) if self.space == "generator" else {}

    def __call__(self, seen: ModelObservation) -> Inversion:
        oracle = seen.oracle
        assert oracle is not None
        pictures, draw, size, bounds = self._searched(seen)

        def inside(points: Tensor) -> Tensor:
            return _labels(oracle, pictures(points)) == seen.target

        notes: tuple[str, ...] = ()
        best, needed = None, 0
        try:
            best = _start(inside, draw, self.points, self.iterations)
            needed = oracle.asked
            sphere = Sphere(
                radius=self.radius * math.sqrt(size),
                points=self.points,
                growth=self.growth,
                patience=self.patience,
                steps=self.iterations,
                low=bounds[0],
                high=bounds[1],
            )
            for centre in sphere.search(inside, best.point, seen.generator) if best else ():
                best = centre
        except QueriesSpent:
            notes = (SPENT,)
        if best is None:
            return Inversion(image=None, evaluations=oracle.asked, stopped={"budget spent": 1}, notes=(NEVER,))
        resting = not notes and self.iterations - best.steps >= self.patience
        return Inversion(
            image=pictures(best.point[None])[0],
            objective=-best.radius / math.sqrt(size),
            evaluations=oracle.asked,
            stopped={"at rest" if resting else "budget spent": 1},
            facts={"queries": oracle.asked, "queries_to_start": needed, "radius": best.radius / math.sqrt(size)},
            notes=notes,
        )

    @property
    def _recipe(self) -> Recipe:
        return Recipe(latent=self.latent, hidden=self.hidden, steps=self.training_steps)

    def _searched(
        self, seen: ModelObservation
    ) -> tuple[Callable[[Tensor], Tensor], Callable[[int], Tensor], int, tuple[float, float]]:
        """Points `(N, d)` to pictures, how points are drawn, d, and the bounds of their numbers."""
        if self.space == "pixels":
            grid = Grid.of(seen, self.resolution)
            return grid.pictures, lambda count: grid.draw(count, seen.generator).to(seen.device), grid.size, (0.0, 1.0)
        generator = Generator.of(seen, self._recipe)

        def draw(count: int) -> Tensor:
            return torch.randn(count, self.latent, generator=seen.generator).to(seen.device)

        return generator.pictures, draw, self.latent, (-3.0, 3.0)  # of a standard normal, 3 of 1,000 lie outside


def _start(inside: Hits, draw: Callable[[int], Tensor], count: int, times: int) -> Centre | None:
    """The first point of the class among `count` drawn, as many times; QueriesSpent where the budget is before."""
    for _ in range(times):
        points = draw(count)
        found = inside(points)
        if bool(found.any()):
            return Centre(points[int(found.int().argmax())], 0.0)
    return None


def _labels(oracle: Oracle, pictures: Tensor) -> Tensor:
    """The likeliest class of each picture `(N,)`, whatever is answered of it."""
    told = oracle(pictures)
    return told if told.dim() == 1 else told.argmax(dim=1)
