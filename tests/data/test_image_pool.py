"""The pool that every data set of pictures loads to."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from invbench import registry
from invbench.data import ImagePool
from invbench.data._pool import channel_statistics, first_of_each_class

IMAGE_SETS = ["cifar10", "cifar100", "digits", "fashion-mnist", "folder", "lfw", "mnist", "natural", "npz"]


def pool(**changes: Any) -> ImagePool:
    facts: dict[str, Any] = {
        "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2),
        "labels": np.array([0, 1]),
        "classes": 2,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "train": np.array([0]),
        "targets": np.array([0, 1]),
        "trained_targets": np.array([1]),
    }
    return ImagePool(**(facts | changes))


def test_content_is_the_same_for_equal_pools() -> None:
    assert pool().content == pool().content
    assert len(pool().content) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 2, 2)},
        {"images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)},
        {"labels": np.array([1, 1])},
        {"train": np.array([1])},
        {"targets": np.array([1, 0])},
        {"trained_targets": np.array([0])},
    ],
)
def test_content_changes_with_pictures_labels_and_pools(changes: dict[str, Any]) -> None:
    assert pool(**changes).content != pool().content


def test_content_tells_equal_bytes_of_different_types_apart() -> None:
    zeros = {"images": np.zeros((2, 3, 2, 8), np.uint8)}
    same_bytes = {"images": np.zeros((2, 3, 2, 2), np.float32)}
    assert pool(**zeros).content != pool(**same_bytes).content


def test_unit_gives_chosen_pictures_between_0_and_1() -> None:
    images = np.array([0, 51, 255, 102], np.uint8).reshape(2, 1, 1, 2)
    chosen = pool(images=images).unit([1, 0])
    assert chosen.dtype == np.float32
    assert chosen.reshape(-1) == pytest.approx([1.0, 0.4, 0.0, 0.2])


def test_shared_arrays_cannot_be_changed_but_unit_is_a_fresh_copy() -> None:
    shared = pool(images=np.zeros((2, 1, 1, 1), np.float32))
    with pytest.raises(ValueError, match="read-only"):
        shared.images[0] = 1
    shared.unit([0])[0] = 1
    assert shared.unit([0]).max() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_statistics_are_per_channel_and_agree_with_numpy(dtype: type) -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 2, 5, 3)).astype(np.uint8)
    images[:, 1] //= 4
    unit = images / 255
    mean, std = channel_statistics(images if dtype is np.uint8 else unit.astype(dtype))
    assert mean == pytest.approx(unit.mean(axis=(0, 2, 3)), abs=1e-6)
    assert std == pytest.approx(unit.std(axis=(0, 2, 3)), abs=1e-6)


def test_a_channel_that_never_varies_has_std_1() -> None:
    mean, std = channel_statistics(np.full((3, 1, 4, 4), 0.1, np.float32))
    assert (mean, std) == ((0.1,), (1.0,))


def test_seventy_per_cent_of_each_class_train_in_file_order() -> None:
    labels = np.array([0, 1] * 10 + [2])
    trains = first_of_each_class(labels)
    assert np.flatnonzero(trains).tolist() == list(range(14))


def test_data_sets_of_pictures_are_registered_and_import_no_torch() -> None:
    for name in IMAGE_SETS:
        assert registry.load("dataset", name).facts["data"] == "images"
    code = (
        "import sys; from invbench import registry; "
        f"[registry.load('dataset', name) for name in {IMAGE_SETS}]; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
