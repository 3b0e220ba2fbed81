"""Residual networks of two-convolution blocks (He et al. 2016, arXiv 1512.03385), and the same without their skips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from invbench.models._layers import ACTIVATIONS, Activation, Norm, normalisation, start_like_he


@dataclass(frozen=True)
class Kind:
    """What the blocks of a network have in common."""

    norm: Norm = "batch"
    activation: Activation = "relu"
    skip: bool = True

    def act(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


class Block(nn.Module):
    """act(F(x) + x), F two normalised 3 x 3 convolutions; a 1 x 1 convolution where the shape changes.

    Without `skip`: act(F(x)), with no 1 x 1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, kind: Kind) -> None:
        super().__init__()
        self.skip = kind.skip
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            *normalisation(kind.norm, outputs),
            kind.act(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            *normalisation(kind.norm, outputs),
        )
        self.shortcut = nn.Sequential()
        if kind.skip and (stride != 1 or inputs != outputs):
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, *normalisation(kind.norm, outputs))
        self.relu = kind.act()

    def forward(self, images: Tensor) -> Tensor:
        changed = self.residual(images)
        out: Tensor = self.relu(changed + self.shortcut(images) if self.skip else changed)
        return out


def small_stem(channels: int, width: int, kind: Kind) -> nn.Sequential:
    """One 3 x 3 convolution at full resolution, as for CIFAR-10 (section 4.2)."""
    convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(convolution, *normalisation(kind.norm, width), kind.act())


def residual_network(stem: nn.Module, widths: list[int], blocks: int, classes: int, kind: Kind) -> nn.Module:
    """A stem of `widths[0]` channels, `blocks` blocks a width (each new width halves the picture), a linear layer."""
    body: list[nn.Module] = []
    inputs = widths[0]
    for width in widths:
        for index in range(blocks):
            body.append(Block(inputs, width, 2 if index == 0 and width != widths[0] else 1, kind))
            inputs = width
    network = nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
    start_like_he(network)
    return network
