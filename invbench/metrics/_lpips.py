"""What metric `lpips` computes with: the network's weights, and pictures as vectors whose distances it is.

The linear heads are the `lpips` package's, which is not imported: its file is read. AlexNet's trunk, which that
package would download, comes from `invbench/assets` (see `NOTICE`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import Tensor

from invbench.metrics._images import Floats, image_pairs, unit_images
from invbench.metrics._lpips_network import Network

if TYPE_CHECKING:
    from invbench.metrics._images import Images

_SIDE = 32  # below it AlexNet's deeper layers have almost no pixels left
_BLOCK = 2048  # coordinates at a time: 100 differences stay in the processor's cache, float32 sums stay short


def distances_of_pairs(a: Images, b: Images) -> Floats:
    """What the metric `lpips` is: LPIPS of each pair, `(N,)`."""
    first, second = image_pairs(a, b)
    network = _network()
    with torch.no_grad():
        values = [network.distance(x, y).item() for x, y in zip(_inputs(first, "a"), _inputs(second, "b"), strict=True)]
    return np.array(values, dtype=np.float64)


def lpips_features(images: Images) -> npt.NDArray[np.float32]:
    """One vector a picture, `(N, D)`, such that LPIPS is the squared Euclidean distance of two of them.

    LPIPS is a sum over layers of the mean over pixels of a weighted sum of squares; the weights (never
    negative) and the means go into the vectors as square roots. D is 5,760 at 32 x 32 and 484,992 at
    224 x 224 (1.9 MB a picture). Images as for the metric `lpips`.
    """
    inputs = _inputs(unit_images(images, "images"), "images")
    with torch.no_grad():
        vectors = [_vector(x) for x in inputs]
    return np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def lpips_distances(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Floats:
    """LPIPS of every picture of `a` to every one of `b`, `(Na, Nb)`, from their `lpips_features`.

    From differences, not inner products, so that equal pictures are at exactly 0.
    """
    distances = np.zeros((len(a), len(b)), dtype=np.float64)
    for start in range(0, a.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        for row, vector in zip(distances, a[:, block], strict=True):
            difference = b[:, block] - vector
            row += np.einsum("nd,nd->n", difference, difference)
    return distances


def lpips_note(image_shape: tuple[int, ...]) -> str | None:
    """What is done to images of this shape `(C, H, W)` before LPIPS, or None where nothing is."""
    height, width = image_shape[-2:]
    if min(height, width) >= _SIDE:
        return None
    rows, columns = _upsampled(height, width)
    return f"lpips: {height} x {width} pixels upsampled to {rows} x {columns} first"


@cache
def _network() -> Network:
    """The network, once per process."""
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("no module named 'lpips', whose weights the metric lpips needs", name="lpips")
    heads = Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
    weights = torch.load(heads, map_location="cpu", weights_only=True)
    trunk = files("invbench") / "assets" / "alexnet_trunk.safetensors"
    return Network(weights | safetensors.torch.load(trunk.read_bytes()))


def _inputs(images: Floats, name: str) -> list[Tensor]:
    """The network's inputs, one `(1, 3, H, W)` float32 tensor in [-1, 1] an image."""
    channels, *size = images.shape[1:]
    if channels not in (1, 3):
        raise ValueError(f"{name} must have 1 or 3 channels for lpips, not {channels}")
    tensor = torch.from_numpy(images.astype(np.float32)).expand(-1, 3, -1, -1)
    if min(size) < _SIDE:
        tensor = torch.nn.functional.interpolate(tensor, size=_upsampled(*size), mode="bilinear", align_corners=False)
    return [image[None] for image in 2 * tensor - 1]


def _upsampled(height: int, width: int) -> tuple[int, int]:
    scale = _SIDE / min(height, width)
    return round(height * scale), round(width * scale)


def _vector(image: Tensor) -> npt.NDArray[np.float32]:
    network = _network()
    parts = []
    for k, layer in enumerate(network.layers(image)):
        pixels = layer.shape[2] * layer.shape[3]
        parts.append((layer * (network.head(k) / pixels).sqrt()).flatten())
    return np.asarray(torch.cat(parts).numpy())
