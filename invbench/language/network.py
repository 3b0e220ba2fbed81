"""A decoder-only transformer (Radford et al. 2019, GPT-2): layer norm first, learned positions, GELU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Past = Sequence[tuple[Tensor, Tensor]]
"""Keys and values `(B or 1, heads, P, width / heads)` of the P tokens before, one pair a layer."""

STD = 0.02  # of the weights at the start, as in GPT-2


class Block(nn.Module):
    """Causal self-attention, then a layer four times as wide, each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_wide = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """`x` `(B, T, width)` to the same shape, and the keys and values of all tokens so far."""
        batch, length, width = x.shape
        parts = self.attention(self.before_attention(x)).reshape(batch, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, width / heads) each
        if past is not None:
            key, value = (
                torch.cat([before.expand(batch, -1, -1, -1), new], dim=2)
                for before, new in zip(past, (key, value), strict=True)
            )
        seen = torch.ones(length, key.shape[2], dtype=torch.bool, device=x.device).tril(key.shape[2] - length)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = x + self.back(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(functional.gelu(self.wide(self.before_wide(x)))), (key, value)


class GPT(nn.Module):
    """Tokens `(B, T)` int64 to logits `(B, T, vocabulary)`, T at most `context`.

    `tied`: the last layer's weights are those of the embedding (Press and Wolf 2017, arXiv 1608.05859): one tensor.
    """

    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, context: int, tied: bool) -> None:
        super().__init__()
        self.context = context
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last_norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("back.weight", "narrow.weight"))  # what is added up over the layers
                nn.init.normal_(weight, std=STD / (2 * layers) ** 0.5 if deep else STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.step(tokens, None)[0]

    def step(self, tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """Logits of tokens that follow the `past`, and the past for what follows them. ValueError beyond `context`."""
        before = 0 if past is None else past[0][0].shape[2]
        if before + tokens.shape[1] > self.context:
            raise ValueError(f"{before + tokens.shape[1]} tokens, the model reads at most {self.context}")
        x = self.embedding(tokens) + self.positions.weight[before : before + tokens.shape[1]]
        seen: list[tuple[Tensor, Tensor]] = []
        for number, block in enumerate(self.blocks):
            x, both = block(x, None if past is None else past[number])
            seen.append(both)
        logits: Tensor = self.head(self.last_norm(x))
        return logits, seen
