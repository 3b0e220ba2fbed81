"""A user's own pictures in a NumPy archive, read without unpickling anything."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invbench.data import BadData, Dataset, ImagePool
from invbench.data._checks import range_fault, shown_shape
from invbench.data._files import Stamp, expand, stamp
from invbench.data._pool import Constants, refuse_too_large, user_pool
from invbench.registry import dataset, parameter

_CHANNELS = (1, 3, 4)
"""Grey, RGB and RGBA: a last axis of these, behind a longer second one, holds channels and no pixels."""


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Npz(Dataset):
    """Pictures of an npz file: `images` (N x C x H x W, uint8, or float in [0, 1]) and `labels` (N whole numbers).

    They are attacked in the file's order; for a trained victim the first 70 % of each class train and the
    rest are the targets. There are as many classes as the largest label plus one.
    """

    path: Path = parameter(help="the npz file")
    mean: tuple[float, ...] | None = parameter(None, help="normalisation per channel; the file's own by default")
    std: tuple[float, ...] | None = parameter(
        None, above=0, help="normalisation per channel; the file's own by default"
    )

    def load(self) -> ImagePool:
        return _load(stamp(expand(self.path)), self.mean, self.std)


@lru_cache(maxsize=8)
def _load(source: Stamp, mean: Constants | None, std: Constants | None) -> ImagePool:
    file = source[0]
    arrays = _read(file)
    images = _checked_images(file, arrays["images"])
    labels = _checked_labels(file, arrays["labels"], len(images))
    return user_pool(file, images, labels, int(labels.max()) + 1, mean, std)


def _read(file: Path) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(file):
        raise BadData(f"{file}: is not an npz archive, or is cut short")
    try:
        with np.load(file, allow_pickle=False) as archive:
            held = list(archive.files)
            _refuse_too_large(file, archive.zip)
            arrays = {key: np.asarray(archive[key]) for key in ("images", "labels") if key in held}
    except BadData:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each have their own errors for damaged bytes
        raise BadData(f"{file}: cannot be read ({error})") from None
    for key in ("images", "labels"):
        if key not in arrays:
            raise BadData(f"{file}: has no {key!r}; it holds {', '.join(map(repr, held)) or 'nothing'}")
    return arrays


def _refuse_too_large(file: Path, archive: zipfile.ZipFile) -> None:
    """By the archive's own table, before anything is unpacked; more than that table says is never read."""
    for entry in archive.infolist():
        if (name := entry.filename.removesuffix(".npy")) in ("images", "labels"):
            refuse_too_large(file, entry.file_size, name, "keep the pictures that are attacked and trained on")


def _checked_images(file: Path, images: NDArray[Any]) -> NDArray[Any]:
    if images.ndim != 4:
        raise BadData(f"{file}: images must be N x C x H x W; they are {shown_shape(images)}")
    if images.size == 0:
        raise BadData(f"{file}: images are empty ({shown_shape(images)})")
    if images.shape[3] in _CHANNELS and images.shape[1] > max(_CHANNELS):
        turned = "images.transpose(0, 3, 1, 2)"
        raise BadData(f"{file}: images must be N x C x H x W; {shown_shape(images)} is N x H x W x C: save {turned}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise BadData(f"{file}: images must be uint8, or float in [0, 1]; they are {images.dtype}")
    if (wrong := range_fault(images)) is not None:
        raise BadData(f"{file}: {wrong}")
    return images.astype(np.float32)


def _checked_labels(file: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.ndim != 1 or len(labels) != count:
        raise BadData(f"{file}: {count} images need {count} labels in one row; labels are {shown_shape(labels)}")
    if labels.dtype.kind not in "iu":
        raise BadData(f"{file}: labels must be whole numbers; they are {labels.dtype}")
    if labels.min() < 0:
        raise BadData(f"{file}: labels[{labels.argmin()}] is {labels.min()}; labels start at 0")
    if labels.max() > np.iinfo(np.int32).max:
        raise BadData(f"{file}: labels[{labels.argmax()}] is {labels.max()}; that is no class number")
    return labels.astype(np.int64)
