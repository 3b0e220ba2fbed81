"""A small GPT: a decoder-only transformer on bytes or byte pairs (Radford et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from invbench.language import network
from invbench.language.tokens import Tokens, learned
from invbench.models import TextModel
from invbench.registry import model, parameter


@model(data="text", version=2)
@dataclass(frozen=True, kw_only=True)
class GPT(TextModel):
    """GPT of a few layers, small enough to be trained on a CPU in minutes.

    Layer norm comes first, positions are learned, there is no dropout. `pairs: 0` reads bytes.
    """

    layers: int = parameter(2, at_least=1, at_most=48, help="transformer blocks")
    width: int = parameter(64, at_least=8, at_most=4096, help="width of a layer, a multiple of heads")
    heads: int = parameter(4, at_least=1, at_most=64, help="attention heads of a layer")
    context: int = parameter(64, at_least=8, at_most=4096, unit="tokens", help="how far back it reads")
    pairs: int = parameter(512, at_least=0, at_most=50000, help="byte pairs learned from the training text; 0: bytes")
    tied: bool = parameter(True, help="the last layer's weights are those of the embedding")

    def build(self, vocabulary: int) -> nn.Module:
        return network.GPT(vocabulary, self.layers, self.width, self.heads, self.context, self.tied)

    def tokens(self, text: str) -> Tokens:
        return learned(text, self.pairs)

    def unsupported(self) -> str | None:
        if self.width % self.heads:
            return f"gpt: width {self.width} is no multiple of its {self.heads} heads"
        return None
