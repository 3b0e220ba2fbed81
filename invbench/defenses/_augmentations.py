"""Augmentations of 8-bit pictures by name and strength: AutoAugment's (Cubuk et al. 2019, arXiv 1805.09501), in ATS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

Picture = Image.Image
STRONGEST = 9
"""Strengths are 0 to 9, evenly from none to the most."""


def augmented(pixels: npt.NDArray[np.uint8], name: str, strength: int, sign: int) -> npt.NDArray[np.uint8]:
    """A picture `(C, H, W)` after one operation; `sign` is 1 or -1: to which side. One channel, or three, as colours;
    other numbers of channels one by one."""
    act = OPERATIONS[name]
    if len(pixels) == 3:
        return np.asarray(act(Image.fromarray(pixels.transpose(1, 2, 0)), strength / STRONGEST, sign)).transpose(
            2, 0, 1
        )
    return np.stack([np.asarray(act(Image.fromarray(channel), strength / STRONGEST, sign)) for channel in pixels])


def _affine(picture: Picture, matrix: tuple[float, ...], resample: Image.Resampling) -> Picture:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample)  # black where nothing is


def _shear_x(picture: Picture, share: float, sign: int) -> Picture:
    return _affine(picture, (1, 0.3 * share * sign, 0, 0, 1, 0), Image.Resampling.BICUBIC)


def _shear_y(picture: Picture, share: float, sign: int) -> Picture:
    return _affine(picture, (1, 0, 0, 0.3 * share * sign, 1, 0), Image.Resampling.BICUBIC)


def _translate_x(picture: Picture, share: float, sign: int) -> Picture:
    return _affine(picture, (1, 0, 150 / 331 * share * picture.width * sign, 0, 1, 0), Image.Resampling.NEAREST)


def _translate_y(picture: Picture, share: float, sign: int) -> Picture:
    return _affine(picture, (1, 0, 0, 0, 1, 150 / 331 * share * picture.height * sign), Image.Resampling.NEAREST)


def _rotate(picture: Picture, share: float, sign: int) -> Picture:
    return picture.rotate(30 * share, fillcolor=(128,) * len(picture.getbands()))  # to one side always


def _enhanced(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Callable[[Picture, float, int], Picture]:
    return lambda picture, share, sign: kind(picture).enhance(1 + 0.5 * share * sign)


OPERATIONS: dict[str, Callable[[Picture, float, int], Picture]] = {
    "shear-x": _shear_x,
    "shear-y": _shear_y,
    "translate-x": _translate_x,
    "translate-y": _translate_y,
    "rotate": _rotate,
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "posterize": lambda picture, share, sign: ImageOps.posterize(picture, round(8 - 4 * share)),
    "solarize": lambda picture, share, sign: ImageOps.solarize(picture, round(256 * (1 - share))),
    "autocontrast": lambda picture, share, sign: ImageOps.autocontrast(picture),
    "equalize": lambda picture, share, sign: ImageOps.equalize(picture),
    "invert": lambda picture, share, sign: ImageOps.invert(picture),
}
