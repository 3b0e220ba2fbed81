"""Drawing text from a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from invbench.language.likelihood import Sampling, _read, _step, at_once

Schedule = Callable[[int], Sampling]
"""How the token of this number, from 0, is drawn."""


@torch.no_grad()
def drawn(
    model: nn.Module, prompt: Sequence[int], count: int, length: int, schedule: Schedule, generator: torch.Generator
) -> Tensor:
    """`count` continuations of the prompt, `(count, length)` tokens on the CPU; draws from `generator` (CPU) alone."""
    device = next(model.parameters()).device
    first, before = _read(model, prompt, device)
    found, most = [], at_once(1, first.shape[-1])
    for start in range(0, count, most):
        size = min(most, count - start)
        logits, past = first.expand(size, 1, -1), before
        tokens: list[Tensor] = []
        for number in range(length):
            if number:
                logits, past = _step(model, tokens[-1].to(device), past)
            shares = schedule(number).log_probabilities(logits[:, -1]).exp().cpu()
            tokens.append(torch.multinomial(shares, 1, generator=generator))
        found.append(torch.cat(tokens, dim=1))
    return torch.cat(found)


def decaying(sampling: Sampling, start: float, tokens: int) -> Schedule:
    """The temperature falls from `start` to the sampling's own over the first tokens, in equal steps.

    Carlini et al. 2021, arXiv 2012.07805, section 5.1.1: from 10 to 1 over 20 tokens.
    """

    def at(number: int) -> Sampling:
        done = min(1.0, number / tokens) if tokens else 1.0
        return Sampling(start + (sampling.temperature - start) * done, sampling.top_k, sampling.top_p)

    return at
