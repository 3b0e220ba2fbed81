"""Residual networks of two-convolution blocks (He et al. 2016, arXiv 1512.03385)."""

from __future__ import annotations

from torch import Tensor, nn

from invbench.models._layers import start_like_he


class Block(nn.Module):
    """relu(F(x) + x), F two normalised 3 x 3 convolutions; a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.relu(self.residual(images) + self.shortcut(images))
        return out


def small_stem(channels: int, width: int) -> nn.Sequential:
    """One 3 x 3 convolution at full resolution, as for CIFAR-10 (section 4.2)."""
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def residual_network(stem: nn.Module, widths: list[int], blocks: int, classes: int) -> nn.Module:
    """A stem of `widths[0]` channels, `blocks` blocks a width (each new width halves the picture), a linear layer."""
    body: list[nn.Module] = []
    inputs = widths[0]
    for width in widths:
        for index in range(blocks):
            body.append(Block(inputs, width, stride=2 if index == 0 and width != widths[0] else 1))
            inputs = width
    network = nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
    start_like_he(network)
    return network
