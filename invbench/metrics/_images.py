"""What every picture metric takes: float images `(N, C, H, W)` in [0, 1], as an array or a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    Images: TypeAlias = npt.NDArray[np.floating[Any]] | Tensor

Floats: TypeAlias = npt.NDArray[np.float64]


def unit_images(images: Images, name: str) -> Floats:
    """The same images as a float64 array; ValueError, naming the argument and what is wrong with it."""
    array = images if isinstance(images, np.ndarray) else _from_tensor(images, name)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must hold floats in [0, 1], not {array.dtype}")
    if array.ndim != 4 or 0 in array.shape[1:]:
        raise ValueError(f"{name} must have shape (N, C, H, W), not {array.shape}")
    exact = array.astype(np.float64)
    if np.isnan(exact).any():
        raise ValueError(f"{name} holds NaN")
    if exact.size and (exact.min() < 0 or exact.max() > 1):
        raise ValueError(f"{name} must lie in [0, 1]; its values go from {exact.min():g} to {exact.max():g}")
    return exact


def image_pairs(a: Images, b: Images) -> tuple[Floats, Floats]:
    """Both arguments as float64 arrays of one shape; ValueError as above."""
    first, second = unit_images(a, "a"), unit_images(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"a and b must have one shape, not {first.shape} and {second.shape}")
    return first, second


def _from_tensor(images: Any, name: str) -> npt.NDArray[Any]:
    import torch  # only here: arrays are scored without it

    if not isinstance(images, torch.Tensor):
        raise ValueError(f"{name} must be a NumPy array or a torch tensor, not {type(images).__name__}")
    if images.dtype.is_floating_point:  # NumPy has no bfloat16
        images = images.to(torch.float64)
    return np.asarray(images.detach().cpu().numpy())
