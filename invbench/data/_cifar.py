"""CIFAR's "python version": pickled batches, read by an unpickler that can build arrays and nothing else."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from invbench.data import ImagePool
from invbench.data._files import Stamp, expand, stamp
from invbench.data._pool import Constants
from invbench.data._torchvision import Split, damaged, joined, present

SHAPE = (3, 32, 32)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where one of the two CIFARs keeps what; the MD5 of each file is the published one."""

    torchvision: str  # the class that fetches it
    folder: str
    train: Mapping[str, str]  # file: MD5
    test: Mapping[str, str]
    labels: str
    classes: int
    mean: Constants
    std: Constants


def load(layout: Layout, root: Path, download: bool) -> ImagePool:
    """The whole data set, cached until a file changes; BadData where files are missing or damaged."""
    home = expand(root)
    folder = home / layout.folder
    files = [*layout.train, *layout.test]
    present(
        home,
        folder,
        lambda: [name for name in files if not (folder / name).is_file()],
        lambda: _fetch(layout, home),
        download,
    )
    return _load(layout, tuple(stamp(folder / name) for name in files))


def _fetch(layout: Layout, root: Path) -> None:
    """Download and unpack the published archive, whose MD5 torchvision checks."""
    from torchvision import datasets  # type: ignore[import-untyped]

    source = getattr(datasets, layout.torchvision)
    fetch = datasets.utils.download_and_extract_archive
    fetch(source.url, str(root), filename=source.filename, md5=source.tgz_md5)


@lru_cache(maxsize=4)
def _load(layout: Layout, sources: tuple[Stamp, ...]) -> ImagePool:
    published = {**layout.train, **layout.test}
    splits: dict[str, Split] = {}
    notes = []
    for file, *_ in sources:
        content = file.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != published[file.name]:
            notes.append(f"{file.name} is not the published file of {layout.torchvision}: its MD5 differs")
        splits[file.name] = _batch(file, content, layout)
    pictures, labels = zip(*(splits[name] for name in layout.train), strict=True)
    (test,) = (splits[name] for name in layout.test)
    train = (np.concatenate(pictures), np.concatenate(labels))
    return joined(train, test, layout.classes, layout.mean, layout.std, tuple(notes))


def _batch(file: Path, content: bytes, layout: Layout) -> Split:
    try:
        batch = ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        pictures, labels = np.asarray(batch["data"]), np.asarray(batch[layout.labels])
    except Exception as error:  # damaged pickles raise nearly anything
        raise damaged(file, f"cannot be read ({type(error).__name__}: {error})") from None
    size = int(np.prod(SHAPE))
    if pictures.dtype != np.uint8 or pictures.ndim != 2 or pictures.shape[1] != size or len(pictures) == 0:
        raise damaged(file, f"data must be N x {size} uint8, not {pictures.shape} {pictures.dtype}")
    if labels.shape != (len(pictures),) or labels.dtype.kind != "i":
        raise damaged(file, f"needs {len(pictures)} whole numbers as {layout.labels}, not {labels.shape}")
    if labels.min() < 0 or labels.max() >= layout.classes:
        raise damaged(file, f"{layout.labels} go from {labels.min()} to {labels.max()}")
    return pictures.reshape(-1, *SHAPE), labels.astype(np.int64)


class ArrayUnpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers, text and NumPy arrays; a pickle that names anything else is refused.

    A plain `pickle.load` runs whatever code the file names.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of the format")
