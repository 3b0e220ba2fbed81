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
MOST_OPEN_BYTES = 480 << 20
"""Of one picture while it is read: 62 million pixels of colour that are brought to a `size`."""


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
    count = len(found.files)
    if size is not None:
        refuse_too_large(folder, count * 3 * size**2, f"{count} pictures of {size} x {size}", SMALLER)
    pictures: list[NDArray[Any]] = []
    for file, _, length in found.files:
        if length > MOST_OPEN_BYTES:  # some formats are read whole before they say their size
            raise BadData(f"{file}: has {length >> 20:,} MiB; at most {MOST_OPEN_BYTES >> 20} MiB: save it smaller")
        picture = _read(file, size)
        if not pictures:
            refuse_too_large(folder, count * picture.size, f"{count} pictures of {_size(picture)}", SMALLER)
        elif picture.shape[:2] != pictures[0].shape[:2]:
            first = f"{found.files[0][0]} is {_size(pictures[0])}"
            raise BadData(f"{file}: is {_size(picture)}, but {first}; `size` brings all to one size")
        pictures.append(picture)
    labels = np.array(found.labels, dtype=np.int64)
    return user_pool(folder, _stack(pictures), labels, found.classes, mean, std, found.notes)


def _read(file: Path, size: int | None) -> NDArray[Any]:
    """The picture, upright, grey (H, W) or RGB (H, W, 3), uint8, brought to `size`."""
    try:
        # Told the formats, Pillow tries no other: an EPS named x.png would start Ghostscript. What it warns of as
        # too many pixels for an honest picture is refused; other warnings are of tags that nothing here reads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=sorted(set(FORMATS.values()))) as opened:
                _refuse_pixels(file, opened, whole=size is None)
                return np.asarray(_fitted(_upright(file, opened), size))
    except BadData:
        raise
    except Exception as error:  # each of Pillow's formats has its own errors for damaged bytes
        raise BadData(f"{file}: is not a readable picture ({error})") from None


def _refuse_pixels(file: Path, opened: Image.Image, whole: bool) -> None:
    """BadData where reading the picture, of which the head alone is read, would take more than MOST_OPEN_BYTES.

    Pillow keeps four bytes a pixel of any colours but a palette's, and a second picture while it turns or converts one.
    One that is kept `whole` is copied twice more, as an array and into that of all pictures.
    """
    grey, own = opened.mode in GREY, 1 if opened.mode in ("1", "L", "P") else 4  # bytes a pixel
    each = own + max(own, 1 if grey else 4) + (2 * (1 if grey else 3) if whole else 0)
    bytes_ = opened.width * opened.height * each
    if bytes_ > MOST_OPEN_BYTES:
        raise BadData(
            f"{file}: {opened.width} x {opened.height} pixels of mode {opened.mode} take {bytes_ >> 20:,} MiB to read;"
            f" at most {MOST_OPEN_BYTES >> 20} MiB: save it smaller"
        )


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


def _stack(pictures: list[NDArray[Any]]) -> NDArray[Any]:
    """(N, 1, H, W) where all are grey, else (N, 3, H, W), uint8. Each picture is let go once it has its place.

    Colours stay beside each other in memory, as in the pictures: the order of it may change the last bits of a result.
    """
    grey, (height, width) = all(picture.ndim == 2 for picture in pictures), pictures[0].shape[:2]
    count = len(pictures)
    images = np.empty((count, 1, height, width) if grey else (count, height, width, 3), np.uint8)
    while pictures:
        last = pictures.pop()
        images[len(pictures)] = last if grey or last.ndim == 3 else last[..., None]
    return images if grey else images.transpose(0, 3, 1, 2)


def _size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
