"""CIFAR-10 (Krizhevsky 2009), as torchvision stores it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invbench.data import Dataset, ImagePool
from invbench.data._cifar import Layout, load
from invbench.registry import dataset, parameter

LAYOUT = Layout(
    torchvision="CIFAR10",
    folder="cifar-10-batches-py",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    labels="labels",
    classes=10,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)


@dataset(data="images")
@dataclass(frozen=True, kw_only=True)
class Cifar10(Dataset):
    """60,000 RGB pictures of 32 x 32 in 10 classes: the training split trains, the test split is attacked.

    Normalised by the training split's own constants, .4914 .4822 .4465 and .2470 .2435 .2616.
    """

    root: Path = parameter(help="the folder that holds (or shall hold) cifar-10-batches-py")
    download: bool = parameter(False, help="fetch the data into `root` where they are missing")

    def load(self) -> ImagePool:
        return load(LAYOUT, self.root, self.download)
