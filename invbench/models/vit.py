"""Vision transformers of any size (Dosovitskiy et al. 2021, arXiv 2010.11929)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from invbench.models import ImageModel, training_steps
from invbench.models._vision_transformer import Block, VisionTransformer
from invbench.registry import model, parameter


@model(data="images")
@dataclass(frozen=True, kw_only=True)
class ViT(ImageModel):
    """A vision transformer with learned positions; as it comes, small enough for pictures of 32 x 32.

    Start: positions from N(0, 0.02^2), the class token zero, the blocks' linear layers by Glorot and Bengio's uniform
    rule (queries, keys and values each as a layer of its own) with zero biases, the others as PyTorch starts them.
    Without `pre_norm` the positions are added to just what the first attention sees, and their gradient is that of
    its input: then attack `april` reads the picture in closed form. It needs at least as many numbers a token as there
    are tokens, and as there are numbers in a patch (32 x 32 in colour, patches of 4: 65 tokens, 48 numbers). Of one
    block under a class token too little of the first attention's gradient is left for that.
    """

    training_steps: int = training_steps(2000)
    patch: int = parameter(4, at_least=1, unit="pixels", help="side of a patch")
    width: int = parameter(96, at_least=1, unit="numbers", help="size of a token; a multiple of `heads`")
    depth: int = parameter(2, at_least=1, at_most=1000, unit="blocks", help="number of blocks")
    heads: int = parameter(4, at_least=1, help="heads of each attention")
    hidden: int = parameter(2, at_least=1, unit="widths", help="size of the layer inside each block, in widths")
    pre_norm: bool = parameter(
        True,
        help="a layer norm before the first attention and skips around it, as published; false: the first block has"
        " neither (Lu et al. 2022, figure 1 (A)), the others have both",
    )
    pooling: Literal["class", "mean"] = parameter(
        "class", help="what the classifier reads: a token of its own, or the mean of the patches' tokens"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"vit: width must be a multiple of heads, and {self.width} is none of {self.heads}")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        if (reason := self.unsupported(image_shape, classes)) is not None:
            raise ValueError(f"vit: {reason}")
        hidden = self.hidden * self.width
        blocks = [
            Block(self.width, self.heads, hidden, pre_norm=self.pre_norm or index > 0) for index in range(self.depth)
        ]
        network = VisionTransformer(image_shape, classes, self.patch, blocks, class_token=self.pooling == "class")
        _start(network)
        return network

    def unsupported(self, image_shape: tuple[int, int, int], classes: int) -> str | None:
        _, height, width = image_shape
        if height % self.patch == 0 and width % self.patch == 0:
            return None
        side = self.patch
        return f"cuts pictures into patches of {side} x {side}: needs sides that {side} divides, not {height} x {width}"


def _start(network: VisionTransformer) -> None:
    """Positions and the blocks' linear layers, in their order."""
    nn.init.normal_(network.positions, std=0.02)
    for name, layer in network.blocks.named_modules():
        if isinstance(layer, nn.Linear):
            for weight in layer.weight.detach().chunk(3 if name.endswith("qkv") else 1):
                nn.init.xavier_uniform_(weight)
            nn.init.zeros_(layer.bias)
