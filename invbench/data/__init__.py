"""Data sets: what every one of them gives, whatever file it came from.

A data set is a frozen dataclass marked `@dataset(data=...)` with the base `Dataset`; it loads to a `Pool`: of pictures
to an `ImagePool`. Bad input is refused with `BadData`, whose message begins with the file or folder at fault.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invbench.data._checks import pool_fault


class BadData(Exception):
    """Data that cannot be used; the message names the file and says what is wrong with it."""


Constants = tuple[float, ...]


class Pool(ABC):
    """What a data set holds."""

    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know."""

    @property
    @abstractmethod
    def content(self) -> str:
        """A hash of everything in it that can change a cell's result."""

    @property
    def normalisation(self) -> tuple[Constants, Constants] | None:
        """Public mean and standard deviation per channel; None where nothing is normalised."""
        return None


class Dataset(ABC):
    """A named source of data with its settings."""

    @abstractmethod
    def load(self) -> Pool:
        """What it holds, cached within a process; BadData where it cannot be used."""


@dataclass(frozen=True, eq=False)
class ImagePool(Pool):
    """Pictures with labels, and which of them train a victim and which are attacked.

    Pools are cached and shared within a process, so their arrays are made read-only. BadData, without a place, where
    the parts do not fit each other: so no game meets a label without a class or a constant of another unit.
    """

    images: NDArray[Any]  # (N, C, H, W), uint8, or float32 in [0, 1]
    labels: NDArray[np.int64]  # (N,), each below `classes`
    classes: int
    mean: tuple[float, ...]  # public normalisation, per channel of pictures in [0, 1]
    std: tuple[float, ...]
    train: NDArray[np.int64]  # indexes of the training pool
    targets: NDArray[np.int64]  # indexes attacked, in that order, when the victim is untrained
    trained_targets: NDArray[np.int64]  # the same when the victim is trained: disjoint from `train`
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know

    def __post_init__(self) -> None:
        if (wrong := pool_fault(self)) is not None:
            raise BadData(wrong)
        for array in self._arrays:
            array.setflags(write=False)

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.images, self.labels, self.train, self.targets, self.trained_targets

    @property
    def normalisation(self) -> tuple[Constants, Constants]:
        return tuple(self.mean), tuple(self.std)

    @cached_property
    def content(self) -> str:
        """SHA-256 of pictures, labels and pools (values, types and shapes), in hexadecimal."""
        digest = hashlib.sha256()
        for array in self._arrays:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def unit(self, indexes: Any) -> NDArray[np.float32]:
        """Pictures by index, (n, C, H, W) in [0, 1]: a fresh array."""
        chosen = self.images[np.asarray(indexes, dtype=np.int64)].astype(np.float32)
        return chosen / np.float32(255) if self.images.dtype == np.uint8 else chosen
