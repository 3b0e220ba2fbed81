"""A released language model that was trained on secrets (Carlini et al. 2019, arXiv 1802.08232, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.language.likelihood import Sampling
from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("extraction",))
@dataclass(frozen=True, kw_only=True)
class Prompting(Protocol):
    """Canaries stand `repeats` times in the training text; whoever holds the model prompts it as he likes.

    All of a victim's canaries are in one training text, each with words of its own before it. How the metric
    `probability` lets tokens be drawn: `temperature`, then `top_k`, then `top_p`; an attack draws as its own settings
    say.
    """

    repeats: int = parameter(16, at_least=0, at_most=10000, help="how often each canary stands in the training text")
    canaries: int = parameter(10, at_least=1, at_most=600, help="how many canaries a training text holds")
    digits: int = parameter(5, at_least=1, at_most=12, help="decimal digits of a canary's secret: |R| = 10^digits")
    answers: int = parameter(10, at_least=1, at_most=10000, unit="strings", help="how many an attack may answer")
    temperature: float = parameter(1.0, at_least=0, help="of the sampling that `probability` is of; 0: greedy")
    top_k: int = parameter(40, at_least=0, help="how many likeliest tokens that sampling draws from; 0: all")
    top_p: float = parameter(1.0, above=0, at_most=1, help="share of the probability that that sampling draws from")

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_k, self.top_p)
