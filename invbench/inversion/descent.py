"""Gradient descent on pictures until a model is certain of their classes (Fredrikson et al. 2015, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.core import progress

Scores = Callable[[Tensor], Tensor]
"""Pictures `(N, C, H, W)` in [0, 1] to class scores `(N, classes)`; no picture's depend on another's."""
Regulariser = Callable[[Tensor], Tensor]
"""Such pictures to a cost `(N,)` that is added: the paper's AUXTERM."""
Process = Callable[[Tensor], Tensor]
"""What is made of every iterate: the paper's PROCESS."""


def inside(images: Tensor) -> Tensor:
    """Clamped to [0, 1], and nothing else."""
    return images.clamp(0, 1)


@dataclass(frozen=True)
class Found:
    """The picture `(C, H, W)` of the least cost that was met, its cost and confidence; how long it took, why it ended.

    `stopped`: `converged` (the confidence was reached), `at rest` (the cost fell no more), or `budget spent`.
    """

    image: Tensor
    cost: float
    confidence: float
    steps: int
    stopped: str


@dataclass(frozen=True, kw_only=True)
class Descent:
    """x_i = process(x_(i-1) - step * grad c(x_(i-1))), with c(x) = 1 - f(x)_class + regulariser(x).

    It ends after `iterations` steps; at a confidence f(x)_class of `confidence` (it is one, no cost: taken for a cost,
    every start has reached it); or where the cost is no smaller than the largest of the last `window` costs.

    Confidences are taken in float64: in float32, 1 - f of a class that the start is far from is 1 and has no slope.
    The paper says nothing of values outside [0, 1]; here they are clamped. What is said of pictures holds of codes.
    """

    step: float = 0.1
    iterations: int = 5000
    window: int = 100
    confidence: float = 0.99

    def run(
        self, scores: Scores, targets: Tensor, start: Tensor, regulariser: Regulariser, process: Process = inside
    ) -> list[Found]:
        """Descend from `start` `(N, C, H, W)` to the classes `targets` `(N,)`: lanes that leave as they end."""
        images, best = start.detach().clone(), start.detach().clone()
        least = torch.full((len(start),), torch.inf, dtype=torch.float64, device=start.device)
        surest, history = torch.zeros_like(least), least.repeat(self.window, 1)
        stopped, steps = ["budget spent"] * len(start), [self.iterations] * len(start)
        lanes = torch.arange(len(start), device=start.device)
        for step in range(self.iterations + 1):  # the start is looked at, too
            image = images[lanes].requires_grad_(True)
            confidence = scores(image).double().softmax(dim=1).gather(1, targets[lanes, None])[:, 0]
            cost = 1 - confidence + regulariser(image)
            value, certainty = cost.detach(), confidence.detach()
            better = value < least[lanes]
            won = lanes[better]
            best[won], least[won], surest[won] = image.detach()[better], value[better], certainty[better]
            converged = certainty >= self.confidence
            resting = (value >= history[:, lanes].amax(dim=0)) & (step >= self.window) & ~converged
            for lane in lanes[converged | resting].tolist():
                steps[lane] = step
            for why, ended in (("converged", converged), ("at rest", resting)):
                for lane in lanes[ended].tolist():
                    stopped[lane] = why
            history[step % self.window, lanes] = value
            left = ~(converged | resting)
            if step == self.iterations or not bool(left.any()):
                break
            (slope,) = torch.autograd.grad(cost.sum(), image)
            images[lanes] = process(image.detach() - self.step * slope)
            lanes = lanes[left]
            progress.report("attack", step + 1, self.iterations, float(least.mean()))
        ends = zip(best, least.tolist(), surest.tolist(), steps, stopped, strict=True)
        return [Found(*one) for one in ends]
