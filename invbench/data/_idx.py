"""MNIST's IDX files (LeCun et al. 1998): a magic number, big-endian sizes, then one byte a pixel or label."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from invbench.data import ImagePool
from invbench.data._files import Stamp, expand, stamp
from invbench.data._pool import Constants
from invbench.data._torchvision import Split, damaged, joined, present

CLASSES = 10
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, eq=False)
class Layout:
    """One data set in MNIST's format; the MD5 of each compressed file is the published one."""

    torchvision: str  # the class that fetches it, and its folder under the root
    published: Mapping[str, str]  # file: MD5 of its .gz
    mean: Constants
    std: Constants


def load(layout: Layout, root: Path, download: bool) -> ImagePool:
    """The whole data set, cached until a file changes; BadData where files are missing or damaged.

    Files may be compressed or not; of both, the compressed one is read.
    """
    home = expand(root)
    folder = home / layout.torchvision / "raw"
    present(
        home,
        folder,
        lambda: [name for name in NAMES if _find(folder, name) is None],
        lambda: _fetch(layout, home),
        download,
    )
    files = [file for name in NAMES if (file := _find(folder, name))]
    return _load(layout, tuple(stamp(file) for file in files))


def _find(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def _fetch(layout: Layout, root: Path) -> None:
    """Download and unpack the published files, whose MD5 torchvision checks."""
    from torchvision import datasets  # type: ignore[import-untyped]

    getattr(datasets, layout.torchvision)(str(root), download=True)


@lru_cache(maxsize=4)
def _load(layout: Layout, sources: tuple[Stamp, ...]) -> ImagePool:
    files = [file for file, *_ in sources]
    notes = []
    for file in files:
        if file.suffix == ".gz" and _md5(file) != layout.published[file.stem]:
            notes.append(f"{file.name} is not the published file of {layout.torchvision}: its MD5 differs")
    train, test = _split(*files[:2]), _split(*files[2:])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise damaged(files[2], f"holds pictures of {test[0].shape[1:]}, {files[0].name} of {train[0].shape[1:]}")
    return joined(train, test, CLASSES, layout.mean, layout.std, tuple(notes))


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _split(image_file: Path, label_file: Path) -> Split:
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if len(labels) != len(images) or len(images) == 0:
        raise damaged(label_file, f"holds {len(labels)} labels for {len(images)} pictures")
    if labels.max() >= CLASSES:
        raise damaged(label_file, f"holds the label {labels.max()}")
    return images[:, None], labels.astype(np.int64)


def read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes, compressed or not; BadData where it is damaged."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        _, kind, found, *shape = struct.unpack_from(f">HBB{dimensions}I", content)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise damaged(file, f"cannot be read ({error})") from None
    start = 4 + 4 * dimensions
    if (kind, found) != (8, dimensions) or len(content) - start != math.prod(shape):
        raise damaged(file, "is not an IDX file of bytes, or is cut short")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
