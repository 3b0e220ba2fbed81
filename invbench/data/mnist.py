"""MNIST (LeCun et al. 1998), as torchvision stores it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invbench.data import Dataset, ImagePool
from invbench.data._idx import Layout, load
from invbench.registry import dataset, parameter

LAYOUT = Layout(
    torchvision="MNIST",
    published={
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    mean=(0.1307,),
    std=(0.3081,),
)


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Mnist(Dataset):
    """70,000 grey handwritten digits, 28 x 28: the training split trains, the test split is attacked.

    Normalised by the training split's own constants, .1307 and .3081 (those of PyTorch's MNIST example).
    """

    root: Path = parameter(help="the folder that holds (or shall hold) MNIST/raw")
    download: bool = parameter(False, help="fetch the data into `root` where they are missing")

    def load(self) -> ImagePool:
        return load(LAYOUT, self.root, self.download)
