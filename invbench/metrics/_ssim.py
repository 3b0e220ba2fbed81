"""How many pixels SSIM needs, for who only tells of it."""

from __future__ import annotations

WINDOW = 11  # taps of the Gaussian of sigma 1.5, cut at 3.5 sigma


def ssim_note(image_shape: tuple[int, ...]) -> str | None:
    """Why SSIM is empty for images of this shape `(C, H, W)`, or None where it is not."""
    height, width = image_shape[-2:]
    if min(height, width) >= WINDOW:
        return None
    return f"ssim is empty: {height} x {width} pixels are fewer than its {WINDOW} x {WINDOW} window"
