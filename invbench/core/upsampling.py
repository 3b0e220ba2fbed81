"""How convolutional generators grow pictures: from small maps, whose sides are doubled until they are large enough."""

from __future__ import annotations

from torch import Tensor

LARGEST_BASE = 7
"""A side is halved until it is at most so long: 4 of 8, 16, 32 and 64 pixels, 7 of 28 and 224."""


def doublings(height: int, width: int) -> int:
    """How often the first maps are doubled."""
    side = max(height, width)
    return next(n for n in range(32) if -(-side // 2**n) <= LARGEST_BASE)


def base(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the first maps; doubled they are at least the picture's."""
    times = 2 ** doublings(height, width)
    return -(-height // times), -(-width // times)


def doubled(maps: Tensor) -> Tensor:
    """Twice the height and width of `(B, C, H, W)`, every pixel four times."""
    count, channels, height, width = maps.shape
    wide = maps[:, :, :, None, :, None].expand(count, channels, height, 2, width, 2)
    return wide.reshape(count, channels, 2 * height, 2 * width)
