"""What the data sets that torchvision can fetch share: finding, fetching, and one pool from two splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invbench.data import BadData, ImagePool
from invbench.data._pool import Constants

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures (N, C, H, W) and labels (N,)."""


def present(
    root: Path, folder: Path, missing: Callable[[], list[str]], fetch: Callable[[], Any], download: bool
) -> None:
    """Make sure that nothing is `missing` from `folder`, fetching into `root` if `download`; else BadData."""
    if missing() and download:
        try:
            root.mkdir(parents=True, exist_ok=True)
            fetch()
        except (OSError, RuntimeError, EOFError) as error:
            raise BadData(f"{folder}: the download failed: {error}") from None
    lacking = missing()
    if lacking:
        raise BadData(f"{folder}: lacks {', '.join(lacking)}; set `download: true`, or `root` to where the data are")


def damaged(file: Path, problem: object) -> BadData:
    """The refusal of a file that is there but cannot be read."""
    return BadData(f"{file}: {problem}; remove {file.parent} and set `download: true` to fetch it again")


def joined(
    train: Split, test: Split, classes: int, mean: Constants, std: Constants, notes: tuple[str, ...]
) -> ImagePool:
    """The official training split trains; the official test split, in its order, is attacked."""
    images = np.concatenate([train[0], test[0]])
    order = np.arange(len(images))
    attacked = order[len(train[0]) :]
    return ImagePool(
        images=images,
        labels=np.concatenate([train[1], test[1]]),
        classes=classes,
        mean=mean,
        std=std,
        train=order[: len(train[0])],
        targets=attacked,
        trained_targets=attacked,
        notes=notes,
    )
