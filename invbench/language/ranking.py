"""What tells memorised text among generated text (Carlini et al. 2021, arXiv 2012.07805, section 5.2).

Every score is higher where a text is likelier to be memorised. Perplexity is of the model that is attacked, in nats a
token (its logarithm).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invbench.language.likelihood import token_log_probabilities


def surprises(model: nn.Module, prompt: Sequence[int], text: Sequence[int], context: int) -> Tensor:
    """-log p of each token of a text after the prompt, `(T,)` float64 nats; what exceeds the context is left out."""
    device = next(model.parameters()).device
    kept = list(text)[: context - len(prompt)]
    if not kept:
        raise ValueError(f"no token fits: the prompt has {len(prompt)} tokens, the model reads {context}")
    return -token_log_probabilities(model, prompt, torch.tensor([kept], device=device))[0].cpu()


def windowed(nats: Tensor, window: int) -> float:
    """The smallest mean surprise of any `window` tokens in a row, of all where there are fewer.

    The tokens are read as they are: nothing is lower-cased, and each is judged by all that precedes it.
    """
    if len(nats) <= window:
        return float(nats.mean())
    return float(nats.unfold(0, window, 1).mean(dim=1).min())


def entropy(text: str) -> int:
    """Bits of the text compressed by zlib."""
    return 8 * len(zlib.compress(text.encode()))


def trigrams(text: str) -> set[tuple[str, ...]]:
    """Triples of words in a row; a shorter text is one."""
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def without_near_duplicates(texts: Sequence[str]) -> list[int]:
    """Indexes of the texts that are kept, in order: none shares half of its trigrams with an earlier kept one.

    The paper's rule (its section 5.1.3 and appendix): x repeats y where at least half of x's trigrams are y's.
    """
    kept: list[int] = []
    known: list[set[tuple[str, ...]]] = []
    for index, text in enumerate(texts):
        own = trigrams(text)
        if not any(2 * len(own & other) >= len(own) for other in known):
            kept.append(index)
            known.append(own)
    return kept
