"""What is wrong with pictures, labels and constants, in words; None where nothing is. Callers name the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from invbench.data import Constants, ImagePool


def pool_fault(pool: ImagePool) -> str | None:
    """What of a pool does not fit together, None where all does; floats outside [0, 1] are told by `range_fault`."""
    images, labels = pool.images, pool.labels
    if images.ndim != 4 or images.size == 0 or images.dtype not in (np.uint8, np.float32):
        return f"images must be N x C x H x W, uint8 or float32, not {shown_shape(images)} {images.dtype}"
    if images.dtype == np.float32 and (wrong := range_fault(images)) is not None:
        return wrong
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        return f"{len(images)} images need {len(images)} whole labels, not {shown_shape(labels)} {labels.dtype}"
    if labels.min() < 0 or labels.max() >= pool.classes:
        return f"labels go from {labels.min()} to {labels.max()}; there are {pool.classes} classes, from 0"
    for name in ("train", "targets", "trained_targets"):
        chosen = getattr(pool, name)
        if chosen.ndim != 1 or (chosen.size and not 0 <= chosen.min() <= chosen.max() < len(images)):
            return f"{name} must be indexes of the {len(images)} images"
    if np.intersect1d(pool.train, pool.trained_targets).size:
        return "a picture that trains a victim is among the targets of trained victims"
    return _constants_fault("mean", pool.mean, images.shape[1]) or _constants_fault("std", pool.std, images.shape[1])


def range_fault(images: NDArray[Any]) -> str | None:
    """Why float pictures are none: a value that is not finite or not in [0, 1], told with all of its digits."""
    low, high = images.min(), images.max()  # either is NaN where anything is
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = next(index for index, picture in enumerate(images) if not np.isfinite(picture).all())
        return f"images[{wrong}] holds NaN or infinity"
    if low < 0 or high > 1:
        return f"float images must lie in [0, 1]; they go from {_exact(low)} to {_exact(high)}"
    return None


def _constants_fault(name: str, values: Constants, channels: int) -> str | None:
    """What is wrong with public constants of pictures in [0, 1]: no standard deviation there is above 1 / 2.

    A std of 1 is taken: it stands for no scaling.
    """
    if len(values) != channels:
        return f"{name} has {len(values)} values; the images have {channels} channels"
    outside = next((value for value in values if not (0 <= value <= 1) or (name == "std" and value == 0)), None)
    if outside is None:
        return None
    hint = f"; divide by 255: {outside / 255:.6g}" if 1 < outside <= 255 else ""
    return f"{name} holds {outside:g}, but it is of pictures in [0, 1]{hint}"


def _exact(value: np.floating[Any]) -> str:
    """All the digits that tell a float from its neighbours of the same type: `1.0000001`, `255`."""
    return str(value).removesuffix(".0")


def shown_shape(array: NDArray[Any]) -> str:
    """`10 x 3 x 32 x 32`."""
    return " x ".join(map(str, array.shape)) or "a single value"
