"""A vision transformer whose layers stand open (Dosovitskiy et al. 2021, arXiv 2010.11929, equations 1 to 4).

Attention is written out: PyTorch's fused kernels have no second derivative. Everything is fit for `torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-6
"""What the authors' layer norms add to the variance."""


class Attention(nn.Module):
    """Self-attention of several heads, softmax(Q K' / sqrt(d)) V with d numbers a head; tokens `(N, T, width)`.

    `qkv` gives queries, keys and values, one third of its outputs each; `out` mixes the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = (self._by_head(part) for part in self.qkv(tokens).chunk(3, dim=-1))
        weights = (queries @ keys.mT / queries.shape[-1] ** 0.5).softmax(dim=-1)
        mixed: Tensor = self.out((weights @ values).transpose(-3, -2).flatten(-2))
        return mixed

    def _by_head(self, part: Tensor) -> Tensor:
        """`(N, T, width)` as `(N, heads, T, d)`."""
        return part.reshape(*part.shape[:-1], self.heads, -1).transpose(-3, -2)


class Block(nn.Module):
    """Attention, then two fully connected layers with a GELU between them; tokens `(N, T, width)`.

    `pre_norm`: layer norm before the attention, and a skip around each half. Else attention sees the tokens as they
    are and nothing goes around it: attention, norm and layers follow each other (Lu et al. 2022, figure 1 (A)).
    """

    def __init__(self, width: int, heads: int, hidden: int, *, pre_norm: bool) -> None:
        super().__init__()
        self.skips = pre_norm
        self.norm1 = nn.LayerNorm(width, eps=EPSILON) if pre_norm else nn.Identity()
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        attended: Tensor = self.attention(self.norm1(tokens))
        if self.skips:
            attended = attended + tokens
        out: Tensor = self.mlp(self.norm2(attended))
        return out + attended if self.skips else out


class VisionTransformer(nn.Module):
    """Patches to tokens by a convolution, learned positions added, blocks, a last layer norm, a linear layer.

    `token` `(width,)`: a token of its own before those of the patches, which the classifier reads; None: it reads the
    mean of all tokens. `positions` `(T, width)`: of that token, then of the patches row by row.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], classes: int, patch: int, blocks: Sequence[Block], *, class_token: bool
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        inner = blocks[0].attention.out.out_features
        patches = (height // patch) * (width // patch)
        self.token = nn.Parameter(torch.zeros(inner)) if class_token else None
        self.positions = nn.Parameter(torch.zeros(patches + class_token, inner))
        self.patches = nn.Conv2d(channels, inner, patch, stride=patch)
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(inner, eps=EPSILON)
        self.head = nn.Linear(inner, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).mT
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(tokens), 1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens + self.positions))
        scores: Tensor = self.head(tokens.mean(dim=1) if self.token is None else tokens[:, 0])
        return scores
