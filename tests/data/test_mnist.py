"""MNIST and Fashion-MNIST in the true format of their files, only smaller."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invbench.data import BadData
from invbench.data._idx import NAMES
from invbench.data.fashion_mnist import FashionMnist
from invbench.data.mnist import Mnist

RANDOM = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write(folder: Path, *, packed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Six training and three test pictures; gives all nine with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = RANDOM.integers(0, 256, (9, 28, 28)).astype(np.uint8), RANDOM.integers(0, 10, 9)
    arrays: list[np.ndarray] = [images[:6], labels[:6], images[6:], labels[6:]]
    for name, array in zip(NAMES, arrays, strict=True):
        put(folder, name, idx(array), packed=packed)
    return images, labels


def put(folder: Path, name: str, content: bytes, *, packed: bool = True) -> None:
    (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_the_training_split_trains_and_the_test_split_is_attacked_in_order(tmp_path: Path, packed: bool) -> None:
    images, labels = write(tmp_path / "MNIST" / "raw", packed=packed)
    pool = Mnist(root=tmp_path).load()
    assert np.array_equal(pool.images, images[:, None])
    assert pool.labels.tolist() == labels.tolist()
    assert pool.classes == 10
    assert pool.train.tolist() == list(range(6))
    assert pool.targets.tolist() == pool.trained_targets.tolist() == [6, 7, 8]
    assert (pool.mean, pool.std) == ((0.1307,), (0.3081,))


def test_fashion_mnist_has_its_own_folder_and_constants(tmp_path: Path) -> None:
    images, _ = write(tmp_path / "FashionMNIST" / "raw")
    pool = FashionMnist(root=tmp_path).load()
    assert np.array_equal(pool.images[:, 0], images)
    assert (pool.mean, pool.std) == ((0.2860,), (0.3530,))
    with pytest.raises(BadData, match=r"MNIST.raw: lacks train-images"):
        Mnist(root=tmp_path).load()


def test_compressed_files_that_are_not_the_published_ones_are_said_so(tmp_path: Path) -> None:
    write(tmp_path / "MNIST" / "raw")
    notes = Mnist(root=tmp_path).load().notes
    assert len(notes) == 4
    assert notes[0] == "train-images-idx3-ubyte.gz is not the published file of MNIST: its MD5 differs"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (NAMES[0], b"", "cannot be read"),
        (NAMES[0], b"garbage that is long enough", "is not an IDX file"),
        (NAMES[0], idx(np.zeros((6, 28, 28)))[:-1], "is cut short"),
        (NAMES[0], idx(np.zeros((6, 784))), "is not an IDX file"),
        (NAMES[1], idx(np.zeros(5)), "holds 5 labels for 6 pictures"),
        (NAMES[1], idx(np.full(6, 10)), "holds the label 10"),
        (NAMES[2], idx(np.zeros((3, 20, 20))), "holds pictures of"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_files_are_refused_with_the_remedy(
    tmp_path: Path, name: str, content: bytes, message: str, packed: bool
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write(folder, packed=packed)
    put(folder, name, content, packed=packed)
    with pytest.raises(BadData, match=rf"{name}.*: .*{message}.*set `download: true`"):
        Mnist(root=tmp_path).load()


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write(folder)
    file = folder / f"{NAMES[0]}.gz"
    whole = file.read_bytes()
    for content in (b"not gzip", whole[: len(whole) // 2], whole[:100] + b"\x00" * 50 + whole[150:]):
        file.write_bytes(content)
        with pytest.raises(BadData, match=rf"{NAMES[0]}\.gz: cannot be read"):
            Mnist(root=tmp_path).load()


def test_missing_files_are_refused_with_the_folder_and_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(BadData, match=rf"MNIST.raw: lacks {NAMES[3]}; set `download: true`"):
        Mnist(root=tmp_path).load()


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write(folder)
    first = Mnist(root=tmp_path).load()
    assert Mnist(root=tmp_path).load() is first
    put(folder, NAMES[3], idx(np.array([1, 2, 3])))
    os.utime(folder / f"{NAMES[3]}.gz", ns=(1, 1))  # whatever the clock's resolution
    assert Mnist(root=tmp_path).load().labels[-3:].tolist() == [1, 2, 3]


def test_download_fetches_and_reads_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Path], str]
) -> None:
    from torchvision import datasets  # type: ignore[import-untyped]

    images, _ = write(tmp_path / "server")
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [serve(tmp_path / "server")])
    with pytest.raises(BadData, match=r"FashionMNIST.raw: the download failed"):
        FashionMnist(root=tmp_path / "home", download=True).load()
    served = sorted((tmp_path / "server").iterdir())
    sums = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in served]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", sums)
    pool = FashionMnist(root=tmp_path / "home", download=True).load()
    assert np.array_equal(pool.images[:, 0], images)
