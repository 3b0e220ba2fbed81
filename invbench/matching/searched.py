"""What a lane varies in the place of pixels: numbers that a function turns into pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.matching.terms import Beside


@dataclass(frozen=True, eq=False)
class Parametrisation:
    """`size` numbers of a lane, and the normalised pictures `(B, C, H, W)` that they stand for.

    `pictures(numbers, beside)`: of one lane's numbers `(size,)`, differentiable and fit for `torch.func.vmap`; `beside`
    are its target's constants. `start(generator)`: a lane's first numbers `(size,)`, from its attacker's own stream;
    None where lanes start from what another search found. `beside`: the constants of all targets, each
    `(targets, ...)`. `cost(numbers)`: what is added to what is minimised, as a prior on the numbers.
    """

    size: int
    pictures: Callable[[Tensor, Beside], Tensor]
    start: Callable[[torch.Generator], Tensor] | None
    beside: Beside = ()
    cost: Callable[[Tensor], Tensor] | None = None
