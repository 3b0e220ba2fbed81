"""A user's own pictures in a folder: one sub-folder a class, or labels from a table, or drawn ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from invbench.data import BadData, Dataset, ImagePool
from invbench.data._files import expand
from invbench.data._labelled import FORMATS, Labelled, by_sub_folder, by_table, drawn
from invbench.data._pool import Constants, refuse_too_large, user_pool
from invbench.registry import dataset, parameter

GREY = {"1", "L", "LA"}
COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
SMALLER = "give a smaller `size`, or fewer pictures"


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Folder(Dataset):
    """Pictures in class-named sub-folders, by name: classes, then files. RGB, or grey where all of them are grey.

    Without sub-folders a CSV gives `labels`, or they are drawn for `drawn_classes`. Pictures are attacked in that
    order; for a trained victim the first 70 % of each class train and the rest are the targets. All must have one
    size, unless `size` brings them to one: the shorter side is resized to it and the middle square kept. Transparency
    is dropped; a picture turned by its EXIF tag is turned upright.
    """

    path: Path = parameter(help="the folder that holds a sub-folder a class, or the pictures themselves")
    size: int | None = parameter(None, at_least=1, help="side to which every picture is brought", unit="pixels")
    mean: tuple[float, ...] | None = parameter(None, help="normalisation per channel; the pictures' own by default")
    std: tuple[float, ...] | None = parameter(
        None, above=0, help="normalisation per channel; the pictures' own by default"
    )
    labels: Path | None = parameter(
        None, later=True, help="a CSV of lines FILE,LABEL, which names the pictures instead of sub-folders"
    )
    drawn_classes: int | None = parameter(
        None, later=True, at_least=2, unit="classes", help="draw labels for the pictures that lie in the folder itself"
    )

    def __post_init__(self) -> None:
        if self.labels is not None and self.drawn_classes is not None:
            raise ValueError("folder: labels are given by `labels` or drawn for `drawn_classes`, not both")

    def load(self) -> ImagePool:
        folder = expand(self.path)
        return _load(folder, self._found(folder), self.size, self.mean, self.std)

    def _found(self, folder: Path) -> Labelled:
        if self.labels is not None:
            return by_table(folder, expand(self.labels))
        return by_sub_folder(folder) if self.drawn_classes is None else drawn(folder, self.drawn_classes)


@lru_cache(maxsize=8)
def _load(folder: Path, found: Labelled, size: int | None, mean: Constants | None, std: Constants | None) -> ImagePool:
    files = [file for file, *_ in found.files]
    if size is not None:
        refuse_too_large(folder, len(files) * 3 * size**2, f"{len(files)} pictures of {size} x {size}", SMALLER)
    pictures: list[Image.Image] = []
    for file in files:
        picture = _read(file, size)
        if not pictures:
            bytes_ = len(files) * len(picture.getbands()) * picture.width * picture.height
            refuse_too_large(folder, bytes_, f"{len(files)} pictures of {_size(picture)}", SMALLER)
        elif picture.size != pictures[0].size:
            raise BadData(
                f"{file}: is {_size(picture)}, but {files[0]} is {_size(pictures[0])}; `size` brings all to one size"
            )
        pictures.append(picture)
    labels = np.array(found.labels, dtype=np.int64)
    return user_pool(folder, _stack(pictures), labels, found.classes, mean, std, found.notes)


def _read(file: Path, size: int | None) -> Image.Image:
    """The picture, upright, in mode L or RGB, brought to `size`."""
    try:
        # Told the formats, Pillow tries no other: an EPS named x.png would start Ghostscript. What it warns of as
        # too many pixels for an honest picture is refused; other warnings are of tags that nothing here reads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=sorted(set(FORMATS.values()))) as opened:
                return _fitted(_upright(file, opened), size)
    except BadData:
        raise
    except Exception as error:  # each of Pillow's formats has its own errors for damaged bytes
        raise BadData(f"{file}: is not a readable picture ({error})") from None


def _upright(file: Path, opened: Image.Image) -> Image.Image:
    """The picture's pixels as its EXIF tag turns them, in mode L or RGB."""
    if opened.mode not in GREY | COLOUR:
        raise BadData(f"{file}: pictures of mode {opened.mode} are not read; save it with 8 bits per channel")
    ImageOps.exif_transpose(opened, in_place=True)
    mode = "L" if opened.mode in GREY else "RGB"
    opened.load()
    return opened if opened.mode == mode else opened.convert(mode)


def _fitted(picture: Image.Image, size: int | None) -> Image.Image:
    return picture if size is None else ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)


def _stack(pictures: list[Image.Image]) -> NDArray[Any]:
    """(N, 1, H, W) where all are grey, else (N, 3, H, W), uint8."""
    if all(picture.mode == "L" for picture in pictures):
        return np.stack([np.asarray(picture)[None] for picture in pictures])
    return np.stack([np.asarray(picture.convert("RGB")).transpose(2, 0, 1) for picture in pictures])


def _size(picture: Image.Image) -> str:
    return f"{picture.width} x {picture.height}"
