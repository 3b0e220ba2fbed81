"""What a language model makes likely: strings after a prompt, and every string of a space after it at once.

A model is called by its `step(tokens, past)` (`network.py`), so that what strings share is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from invbench.language.network import Past

STRINGS = 1000
"""Most continuations computed at once: with 128 tokens of context, two layers of width 128 some 250 MB."""
VALUES = 1 << 25
"""Most log-probabilities held at once, 270 MB: 133 strings of five tokens where there are 50,257, GPT-2's."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: logits over `temperature`, the `top_k` largest (0: all), of these the `top_p`.

    Top-p (Holtzman et al. 2020, arXiv 1904.09751, section 3.1) keeps the fewest likeliest tokens whose probabilities
    reach `top_p`. Equal logits: the lower token comes first. Temperature 0 keeps the likeliest token alone.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Log-probability with which each token `(..., V)` is drawn, -inf for one that is not."""
        values = logits.double()
        if self == PLAIN:
            return values.log_softmax(dim=-1)
        order = values.argsort(dim=-1, descending=True, stable=True)
        ranked = values.gather(-1, order)
        if self.temperature == 0:
            kept = torch.zeros_like(ranked, dtype=torch.bool)
            kept[..., 0] = True
        else:
            ranked = ranked / self.temperature
            kept = torch.ones_like(ranked, dtype=torch.bool)
            if self.top_k:
                kept[..., self.top_k :] = False
            shares = ranked.masked_fill(~kept, -torch.inf).softmax(dim=-1)
            kept &= shares.cumsum(dim=-1) - shares < self.top_p  # the likelier ones do not reach it yet
        renewed = ranked.masked_fill(~kept, -torch.inf).log_softmax(dim=-1)
        return torch.empty_like(renewed).scatter_(-1, order, renewed)


PLAIN = Sampling()
"""Tokens drawn as the model says."""


@torch.no_grad()
def token_log_probabilities(
    model: nn.Module, prompt: Sequence[int], strings: Tensor, sampling: Sampling = PLAIN
) -> Tensor:
    """Log-probability of each token of `strings` `(N, L)` after the prompt and those before it, `(N, L)` float64."""
    device = strings.device
    first, past = _read(model, prompt, device)
    found = []
    for some in torch.split(strings, at_once(strings.shape[1], first.shape[-1])):
        logits = first.expand(len(some), 1, -1)
        if some.shape[1] > 1:
            logits = torch.cat([logits, _step(model, some[:, :-1], past)[0]], dim=1)
        found.append(sampling.log_probabilities(logits).gather(-1, some[..., None])[..., 0])
    return torch.cat(found)


@torch.no_grad()
def surprise(model: nn.Module, tokens: Sequence[int], context: int) -> float:
    """-log p of a text's tokens but the first, summed, in nats: each after those before it in its window.

    Windows are those of training: of `context` tokens from the text's start on.
    """
    whole, nats = torch.tensor(list(tokens), device=next(model.parameters()).device), 0.0
    for start in range(0, len(whole) - 1, context):
        own = whole[start : start + context + 1]
        log_p = PLAIN.log_probabilities(_step(model, own[None, :-1], None)[0])[0]
        nats -= float(log_p.gather(-1, own[1:, None]).sum())
    return nats


@torch.no_grad()
def space_log_probabilities(model: nn.Module, prompt: Sequence[int], alphabet: Sequence[int], length: int) -> Tensor:
    """Log-probability of every string of `length` tokens of the alphabet after the prompt, `(A^length,)` float64.

    In counting order: the last token varies fastest. Only the A^(length - 1) beginnings go through the model.
    """
    device = next(model.parameters()).device
    letters = torch.tensor(list(alphabet), device=device)
    first, past = _read(model, prompt, device)
    opening = PLAIN.log_probabilities(first[:, 0])  # (1, V)
    if length == 1:
        return opening[0, letters]
    beginnings = torch.tensor(list(product(alphabet, repeat=length - 1)), device=device)
    found = []
    for some in torch.split(beginnings, at_once(length, first.shape[-1])):
        after = PLAIN.log_probabilities(_step(model, some, past)[0])  # (n, length - 1, V)
        before = torch.cat([opening.expand(len(some), 1, -1), after[:, :-1]], dim=1)
        own = before.gather(-1, some[..., None])[..., 0].sum(dim=1)  # (n,)
        found.append((own[:, None] + after[:, -1, letters]).reshape(-1))
    return torch.cat(found)


def at_once(length: int, vocabulary: int) -> int:
    """How many strings of so many tokens are computed at once."""
    return max(1, min(STRINGS, VALUES // (length * vocabulary)))


def _read(model: nn.Module, prompt: Sequence[int], device: torch.device) -> tuple[Tensor, Past]:
    """Logits `(1, 1, V)` of what follows the prompt, and the past after it."""
    if not prompt:
        raise ValueError("a prompt has at least one token")
    logits, past = _step(model, torch.tensor([list(prompt)], device=device), None)
    return logits[:, -1:], past


def _step(model: nn.Module, tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
    step: Any = model.step
    logits, after = step(tokens, past)
    return logits, after
