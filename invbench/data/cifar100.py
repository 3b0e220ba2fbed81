"""CIFAR-100 (Krizhevsky 2009), fine labels, as torchvision stores it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invbench.data import Dataset, ImagePool
from invbench.data._cifar import Layout, load
from invbench.registry import dataset, parameter

LAYOUT = Layout(
    torchvision="CIFAR100",
    folder="cifar-100-python",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    labels="fine_labels",
    classes=100,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Cifar100(Dataset):
    """60,000 RGB pictures of 32 x 32 in 100 classes: the training split trains, the test split is attacked.

    Normalised by the training split's own constants, .5071 .4865 .4409 and .2673 .2564 .2762 (as published
    in the configuration of weiaicunzai/pytorch-cifar100).
    """

    root: Path = parameter(help="the folder that holds (or shall hold) cifar-100-python")
    download: bool = parameter(False, help="fetch the data into `root` where they are missing")

    def load(self) -> ImagePool:
        return load(LAYOUT, self.root, self.download)
