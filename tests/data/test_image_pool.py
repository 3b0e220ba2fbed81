"""The pool that every data set of pictures loads to."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from invbench import registry
from invbench.data import BadData, ImagePool, _pool
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
    facts |= changes
    channels = facts["images"].shape[1]
    return ImagePool(**(facts | {"mean": facts["mean"][:channels], "std": facts["std"][:channels]}))


def test_content_is_the_same_for_equal_pools() -> None:
    assert pool().content == pool().content
    assert len(pool().content) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 2, 2)},
        {"images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)},
        {"labels": np.array([1, 1])},
        {"train": np.array([], np.int64)},
        {"targets": np.array([1, 0])},
        {"trained_targets": np.array([1, 1])},
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


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(700, 1, 9, 7), (5, 3, 60, 50), (1, 1, 301, 77), (2, 4, 1, 999), (3, 2, 999, 1)])
def test_statistics_have_the_same_bits_in_parts_of_any_size(
    monkeypatch: pytest.MonkeyPatch, dtype: type, shape: tuple[int, ...]
) -> None:
    drawn = np.random.default_rng(1).random(shape)
    images = (drawn * 255).astype(np.uint8) if dtype is np.uint8 else drawn.astype(dtype)
    parts = [images[start : start + 512] for start in range(0, len(images), 512)]
    whole = [_pool._sums(part) for part in parts]
    for values in (128, 1000, 4096):
        monkeypatch.setattr(_pool, "BLOCK", values)
        assert all(np.array_equal(_pool._sums(part), sums) for part, sums in zip(parts, whole, strict=True))


def test_statistics_of_large_pictures_copy_little_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pool, "BLOCK", 1 << 16)
    images: np.ndarray = np.full((2, 1, 2000, 2000), 51, np.uint8)
    tracemalloc.start()
    assert channel_statistics(images) == ((0.2,), (1.0,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 4  # in one piece float64 alone takes eight times as much


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((2, 2), np.uint8)}, "images must be N x C x H x W, uint8 or float32, not 2 x 2 uint8"),
        ({"images": np.zeros((2, 3, 2, 2))}, "not 2 x 3 x 2 x 2 float64"),
        ({"images": np.full((2, 3, 2, 2), 1.5, np.float32)}, r"must lie in \[0, 1\]; they go from 1.5 to 1.5"),
        ({"images": np.full((2, 3, 2, 2), np.nan, np.float32)}, r"images\[0\] holds NaN"),
        ({"labels": np.array([0, 2])}, "labels go from 0 to 2; there are 2 classes"),
        ({"labels": np.array([0, -1])}, "labels go from -1 to 0"),
        ({"labels": np.array([0.0, 1.0])}, "2 images need 2 whole labels, not 2 float64"),
        ({"targets": np.array([2])}, "targets must be indexes of the 2 images"),
        ({"train": np.array([1])}, "trains a victim is among the targets of trained victims"),
        ({"mean": (127.5,) * 3}, r"mean holds 127.5, but it is of pictures in \[0, 1\]; divide by 255: 0.5$"),
        ({"std": (0.5, 0.5, 58.395)}, r"std holds 58.395, .*divide by 255: 0.229$"),
        ({"mean": (-0.1, 0.5, 0.5)}, r"mean holds -0.1, but it is of pictures in \[0, 1\]$"),
        ({"std": (0.5, 0.0, 0.5)}, "std holds 0,"),
    ],
)
def test_a_pool_whose_parts_do_not_fit_is_never_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        pool(**changes)


def test_constants_that_leave_pictures_as_they_are_are_taken() -> None:
    assert pool(mean=(0.0,) * 3, std=(1.0,) * 3).normalisation == ((0.0,) * 3, (1.0,) * 3)


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
