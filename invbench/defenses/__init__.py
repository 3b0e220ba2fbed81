"""Defences: one file each, by the stage at which it acts; they know no attack.

A defence is a frozen dataclass marked `@defense`. It acts at each stage whose name is one of its methods:

- `per_example(gradients: list[Update], generator) -> list[Update]`: each example's own gradient, before
  they are averaged;
- `update(shared: Update, generator) -> Update`: what the client is about to share.

The other stages of `STAGES` belong to games that do not exist yet. A stack runs stage by stage and, within
a stage, in the order of its list: `[gaussian, per-example-clip]` clips each example first, then adds noise.

What a defence does to an update is public, its draws are not. A defence that acts on `update` may say what an
attacker can then expect: `seen_as(expected, variance, seen) -> (Update, Update)`, mean and variance of every
coordinate after it from those before it, where `seen` is what was shared in the end; infinite variance: not shared.
`hides_scale = True`: it multiplies an update by a factor that only the client knows.

A defence keeps every tensor's shape, type and device, changes none of its input, and draws all randomness
from `generator`, the client's own CPU stream, so that the draw is the same on every device. Its settings
are public, its draws never are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from invbench.observation import Update

STAGES = ("model", "training", "inputs", "per_example", "update", "aggregate", "answer")
"""Where a defence can act, in the order in which a round passes through."""


@runtime_checkable
class PerExampleDefense(Protocol):
    """Acts on each example's gradient."""

    def per_example(self, gradients: list[Update], generator: torch.Generator) -> list[Update]: ...


@runtime_checkable
class UpdateDefense(Protocol):
    """Acts on the whole update."""

    def update(self, shared: Update, generator: torch.Generator) -> Update: ...


@runtime_checkable
class Expectable(Protocol):
    """Says what of an update is still to be expected after it."""

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]: ...


def stages(defense: object) -> tuple[str, ...]:
    """The stages at which a defence acts, in the order of `STAGES`."""
    return tuple(stage for stage in STAGES if callable(getattr(type(defense), stage, None)))


def public_parameters(defense: Any) -> dict[str, Any]:
    """What the attacker is told of a defence: every setting."""
    return {field.name: getattr(defense, field.name) for field in dataclasses.fields(defense)}


def defended(
    per_example: Callable[[], list[Update]],
    gradient: Callable[[], Update],
    stack: Sequence[object],
    generator: torch.Generator,
) -> Update:
    """What one client shares: its mean gradient behind a stack of defences, without an autograd graph.

    `per_example` gives one gradient an example and is called only where a defence acts on them; their
    mean is then the update. Otherwise `gradient` gives the batch's.
    """
    with torch.no_grad():  # a graph would lead an attacker from the update back to the pictures
        if any(isinstance(defense, PerExampleDefense) for defense in stack):
            shared = mean(apply_per_example(stack, per_example(), generator))
        else:
            shared = gradient()
        return apply_update(stack, shared, generator)


def apply_per_example(stack: Sequence[object], gradients: list[Update], generator: torch.Generator) -> list[Update]:
    """The stack's `per_example` stage, in list order."""
    for defense in stack:
        if isinstance(defense, PerExampleDefense):
            gradients = defense.per_example(gradients, generator)
    return gradients


def apply_update(stack: Sequence[object], shared: Update, generator: torch.Generator) -> Update:
    """The stack's `update` stage, in list order."""
    for defense in stack:
        if isinstance(defense, UpdateDefense):
            shared = defense.update(shared, generator)
    return shared


def expected(stack: Sequence[object], mean: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
    """Mean and variance of what is shared, from those of the update before the stack's `update` stage.

    A defence that does not say what to expect is run with a fixed stream and adds no variance.
    """
    for defense in stack:
        if isinstance(defense, Expectable):
            mean, variance = defense.seen_as(mean, variance, seen)
        elif isinstance(defense, UpdateDefense):
            mean = defense.update(mean, torch.Generator().manual_seed(0))
    return mean, variance


def hides_scale(stack: Sequence[object]) -> bool:
    """Whether what is shared may be a multiple, by an unknown factor, of what the client computed."""
    return any(getattr(defense, "hides_scale", False) for defense in stack)


def mean(gradients: Sequence[Update]) -> Update:
    """The average of several updates."""
    return tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*gradients, strict=True))


def flatten(update: Update) -> tuple[Tensor, Callable[[Tensor], Update]]:
    """The whole update as one vector `(n,)`, and the way back to its shapes and types.

    Tensors of several types are joined in the widest. The way back returns tensors with memory of their own.
    """
    shapes = [(tensor.shape, tensor.dtype) for tensor in update]
    sizes = [tensor.numel() for tensor in update]

    def restore(vector: Tensor) -> Update:
        pieces = zip(torch.split(vector, sizes), shapes, strict=True)
        return tuple(piece.reshape(shape).to(dtype, copy=True) for piece, (shape, dtype) in pieces)

    return torch.cat([tensor.reshape(-1) for tensor in update]), restore
