"""Training a language model on one long text: next-token cross-entropy over windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from invbench.core import progress
from invbench.core.training import Loss, Training

BATCH = 8  # windows: of as many tokens read, small batches learn more
PEAK_LR = 3e-3
WARM_UP = 0.05  # share of the steps
CLIP = 1.0  # largest L2 norm of a batch's gradient, as in GPT-2's successors


def train_language(
    network: nn.Module, tokens: Tensor, context: int, generator: torch.Generator, training: Training
) -> float:
    """Train in place by `training.steps` batches of 8 windows of `context` tokens; the last batch's loss, in nats.

    `tokens` `(N,)` int64. Each pass over the text cuts it into windows from another start, in another order, so
    that every token is predicted once a pass. AdamW (weight decay 0.01, betas 0.9 and 0.99); the rate climbs to 3e-3
    over the first twentieth and falls to zero along a cosine. Depends on `generator` (CPU) alone: with one thread,
    the same bits each time. Ends in eval mode, without gradients. ValueError where the text is no longer than a
    window, ArithmeticError where the loss is not finite.

    A `private` training's examples are the windows from the text's start on, cut once; each batch has its own draw.
    """
    if len(tokens) <= context + 1:
        raise ValueError(f"the training text has {len(tokens)} tokens; a window alone takes {context + 1}")
    device, steps = next(network.parameters()).device, training.steps
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LR, betas=(0.9, 0.99), weight_decay=0.01)
    backward, last = replace(training, loss=_over_tokens(training.loss)).backward_of(network), math.inf
    network.train()
    for step, windows in zip(range(steps), _batches(tokens, context, generator, training), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * _schedule(step, steps)
        optimizer.zero_grad()
        batch = windows.to(device)
        last = backward(batch[:, :-1], batch[:, 1:]).item()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        progress.report("training", step + 1, steps, last)
    optimizer.zero_grad()
    network.eval()
    if not math.isfinite(last):
        raise ArithmeticError(f"training diverged: the loss is {last} after {steps} steps")
    return last


def _over_tokens(loss: Loss) -> Loss:
    """The loss of sequences, logits `(B, T, V)` and tokens `(B, T)`, as the mean over their tokens."""
    return lambda scores, labels: loss(scores.flatten(0, -2), labels.flatten())


def windows_of(tokens: Tensor, context: int) -> Tensor:
    """The windows of a text `(N, context + 1)` from its start on; neighbours share the token between them."""
    return tokens.unfold(0, context + 1, context)


def _batches(tokens: Tensor, context: int, generator: torch.Generator, training: Training) -> Iterator[Tensor]:
    """Batches of windows `(8, context + 1)` without end, or those of a `private` training."""
    if training.private is not None:
        windows = windows_of(tokens, context)
        for chosen in training.private.batches(len(windows), training.steps, generator):
            yield windows[chosen]
        return
    while True:
        start = int(torch.randint(min(context, len(tokens) - context - 1), (), generator=generator))
        windows = windows_of(tokens[start:], context)
        order = torch.randperm(len(windows), generator=generator)
        size = min(BATCH, len(windows))
        for batch in torch.split(order[: len(order) // size * size], size):
            yield windows[batch]


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: a straight climb, then a half cosine to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step + 1 - warm_up) / (steps + 1 - warm_up)))
