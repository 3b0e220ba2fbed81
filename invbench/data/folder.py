"""A user's own pictures in a folder: one sub-folder a class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from invbench.data import BadData, Dataset, ImagePool
from invbench.data._files import Stamp, expand, stamp
from invbench.data._pool import Constants, user_pool
from invbench.registry import dataset, parameter

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GREY = {"1", "L", "LA"}
COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Folder(Dataset):
    """Pictures in class-named sub-folders, by name: classes, then files. RGB, or grey where all of them are grey.

    They are attacked in that order; for a trained victim the first 70 % of each class train and the rest are
    the targets. All must have one size, unless `size` brings them to one: the shorter side is resized to it
    and the middle square kept. Transparency is dropped; a picture turned by its EXIF tag is turned upright.
    """

    path: Path = parameter(help="the folder that holds a sub-folder a class")
    size: int | None = parameter(None, at_least=1, help="side to which every picture is brought", unit="pixels")
    mean: tuple[float, ...] | None = parameter(None, help="normalisation per channel; the pictures' own by default")
    std: tuple[float, ...] | None = parameter(
        None, above=0, help="normalisation per channel; the pictures' own by default"
    )

    def load(self) -> ImagePool:
        folder = expand(self.path)
        return _load(folder, _sources(folder), self.size, self.mean, self.std)


def _sources(folder: Path) -> tuple[tuple[Stamp, ...], ...]:
    """Per class, in order, the pictures' files."""
    if not folder.is_dir():
        raise BadData(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}")
    try:
        classes = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
        files = [sorted(f for f in inner.iterdir() if _is_picture(f)) for inner in classes]
    except OSError as error:
        raise BadData(f"{error.filename or folder}: {error.strerror or error}") from None
    if not classes:
        raise BadData(f"{folder}: holds no sub-folders; put each class's pictures into a sub-folder of its name")
    for inner, held in zip(classes, files, strict=True):
        if not held:
            raise BadData(f"{inner}: holds no picture ({', '.join(sorted(SUFFIXES))})")
    return tuple(tuple(stamp(file) for file in held) for held in files)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


@lru_cache(maxsize=8)
def _load(
    folder: Path,
    sources: tuple[tuple[Stamp, ...], ...],
    size: int | None,
    mean: Constants | None,
    std: Constants | None,
) -> ImagePool:
    files = [file for held in sources for file, *_ in held]
    pictures = [_read(file, size) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise BadData(
                f"{file}: is {_size(picture)}, but {files[0]} is {_size(pictures[0])}; `size` brings all to one size"
            )
    labels = np.repeat(np.arange(len(sources)), [len(held) for held in sources])
    return user_pool(folder, _stack(pictures), labels, len(sources), mean, std)


def _read(file: Path, size: int | None) -> Image.Image:
    """The picture, upright, in mode L or RGB."""
    try:
        with Image.open(file) as opened:
            if opened.mode not in GREY | COLOUR:
                raise BadData(f"{file}: pictures of mode {opened.mode} are not read; save it with 8 bits per channel")
            upright = ImageOps.exif_transpose(opened)
            picture = upright.convert("L" if upright.mode in GREY else "RGB")
    except BadData:
        raise
    except Exception as error:  # each of Pillow's formats has its own errors for damaged bytes
        raise BadData(f"{file}: is not a readable picture ({error})") from None
    if size is None:
        return picture
    return ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)


def _stack(pictures: list[Image.Image]) -> NDArray[Any]:
    """(N, 1, H, W) where all are grey, else (N, 3, H, W), uint8."""
    if all(picture.mode == "L" for picture in pictures):
        return np.stack([np.asarray(picture)[None] for picture in pictures])
    return np.stack([np.asarray(picture.convert("RGB")).transpose(2, 0, 1) for picture in pictures])


def _size(picture: Image.Image) -> str:
    return f"{picture.width} x {picture.height}"
