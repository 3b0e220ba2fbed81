"""CIFAR-10 and CIFAR-100 in the true format of their files, only smaller."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invbench.data import BadData
from invbench.data.cifar10 import Cifar10
from invbench.data.cifar100 import Cifar100

BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
COUNT = 4
RANDOM = np.random.default_rng(0)


def python2_batch(pixels: np.ndarray, labels: list[int], key: str = "labels") -> bytes:
    """A batch as Python 2 pickled the published ones: protocol 2, byte strings, `numpy.core.multiarray`."""
    rows, columns = pixels.shape

    def text(word: bytes) -> bytes:
        return b"U" + bytes([len(word)]) + word

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01"
        + (b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86")
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T"
        + struct.pack("<i", pixels.size)
        + pixels.tobytes()
        + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(key.encode()) + numbers + b"u."


def write_cifar10(root: Path) -> tuple[np.ndarray, list[int]]:
    """Six batches of four pictures; gives all pixels (24, 3072) and labels in order."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = RANDOM.integers(0, 256, (6 * COUNT, 3072)).astype(np.uint8)
    labels = [int(label) for label in RANDOM.integers(0, 10, 6 * COUNT)]
    for i, name in enumerate(BATCHES):
        part = slice(i * COUNT, (i + 1) * COUNT)
        (folder / name).write_bytes(python2_batch(pixels[part], labels[part]))
    return pixels, labels


def test_the_training_split_trains_and_the_test_split_is_attacked_in_order(tmp_path: Path) -> None:
    pixels, labels = write_cifar10(tmp_path)
    pool = Cifar10(root=tmp_path).load()
    assert np.array_equal(pool.images, pixels.reshape(-1, 3, 32, 32))
    assert pool.labels.tolist() == labels
    assert pool.classes == 10
    assert pool.train.tolist() == list(range(20))
    assert pool.targets.tolist() == pool.trained_targets.tolist() == [20, 21, 22, 23]
    assert (pool.mean, pool.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def test_files_that_are_not_the_published_ones_are_said_so(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    notes = Cifar10(root=tmp_path).load().notes
    assert len(notes) == 6
    assert notes[0] == "data_batch_1 is not the published file of CIFAR10: its MD5 differs"


def test_cifar100_has_its_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, label in (("train", 99), ("test", 42)):
        content = python2_batch(np.full((2, 3072), label, np.uint8), [label, 0], key="fine_labels")
        (folder / name).write_bytes(content)
    pool = Cifar100(root=tmp_path).load()
    assert pool.labels.tolist() == [99, 0, 42, 0]
    assert pool.classes == 100
    assert pool.unit(pool.targets).max() == pytest.approx(42 / 255)
    assert pool.mean == (0.5071, 0.4865, 0.4409)


def test_pickles_of_todays_python_are_read_too(tmp_path: Path) -> None:
    pixels, labels = write_cifar10(tmp_path)
    batch = {"data": pixels[:COUNT], "labels": labels[:COUNT]}
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=4))
    assert np.array_equal(Cifar10(root=tmp_path).load().images, pixels.reshape(-1, 3, 32, 32))


class Touch:
    """Creates a file when unpickled, as an attacker's pickle would."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    trap = tmp_path / "executed"
    content = pickle.dumps({"data": Touch(trap), "labels": []})
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(BadData, match=r"data_batch_3: .*mkdir, which is not part of the format"):
        Cifar10(root=tmp_path).load()
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"garbage", "cannot be read"),
        (python2_batch(np.zeros((4, 3072), np.uint8), [0] * 4)[:-500], "cannot be read"),
        (python2_batch(np.zeros((4, 3071), np.uint8), [0] * 4), "data must be N x 3072 uint8"),
        (python2_batch(np.zeros((4, 3072), np.uint8), [0] * 3), "needs 4 whole numbers"),
        (python2_batch(np.zeros((4, 3072), np.uint8), [0, 1, 2, 10]), "labels go from 0 to 10"),
        (python2_batch(np.zeros((4, 3072), np.uint8), [0] * 4, key="fine_labels"), ".*KeyError: 'labels'"),
        (pickle.dumps([1, 2], protocol=2), "cannot be read"),
    ],
)
def test_damaged_batches_are_refused_with_the_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(BadData, match=rf"cifar-10-batches-py.test_batch: {message}.*set `download: true`"):
        Cifar10(root=tmp_path).load()


def test_missing_batches_are_refused_with_the_folder_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"cifar-10-batches-py: lacks data_batch_1, .*test_batch; set `download: true`"):
        Cifar10(root=tmp_path).load()
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(BadData, match=r"cifar-10-batches-py: lacks data_batch_4; set `download: true`"):
        Cifar10(root=tmp_path).load()
    with pytest.raises(BadData, match="cifar-100-python: lacks train, test; set `download: true`"):
        Cifar100(root=tmp_path).load()


def test_equal_settings_share_a_pool_and_an_edited_batch_is_read_again(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    first = Cifar10(root=tmp_path).load()
    assert Cifar10(root=tmp_path).load() is first
    file = tmp_path / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(python2_batch(np.full((4, 3072), 7, np.uint8), [1, 2, 3, 4]))
    os.utime(file, ns=(1, 1))  # whatever the clock's resolution
    assert Cifar10(root=tmp_path).load().labels[-4:].tolist() == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")  # torchvision's own, on 3.12 and 3.13
def test_download_fetches_the_archive_unpacks_and_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[Path], str]
) -> None:
    from torchvision import datasets  # type: ignore[import-untyped]

    pixels, _ = write_cifar10(tmp_path / "server")
    archive = tmp_path / "server" / datasets.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "server" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", serve(archive.parent) + archive.name)
    with pytest.raises(BadData, match=r"cifar-10-batches-py: the download failed: .*corrupted"):
        Cifar10(root=tmp_path / "home", download=True).load()
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    pool = Cifar10(root=tmp_path / "home", download=True).load()
    assert np.array_equal(pool.images, pixels.reshape(-1, 3, 32, 32))
    archive.unlink()
    assert Cifar10(root=tmp_path / "home", download=True).load() is pool
    with pytest.raises(BadData, match="the download failed"):
        Cifar10(root=tmp_path / "elsewhere", download=True).load()
