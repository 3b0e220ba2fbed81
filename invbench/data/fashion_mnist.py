"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747), as torchvision stores it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invbench.data import Dataset, ImagePool
from invbench.data._idx import Layout, load
from invbench.registry import dataset, parameter

LAYOUT = Layout(
    torchvision="FashionMNIST",
    published={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    mean=(0.2860,),
    std=(0.3530,),
)


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class FashionMnist(Dataset):
    """70,000 grey pictures of clothes, 28 x 28, 10 classes: the training split trains, the test split is attacked.

    Normalised by the training split's own constants, .2860 and .3530.
    """

    root: Path = parameter(help="the folder that holds (or shall hold) FashionMNIST/raw")
    download: bool = parameter(False, help="fetch the data into `root` where they are missing")

    def load(self) -> ImagePool:
        return load(LAYOUT, self.root, self.download)
