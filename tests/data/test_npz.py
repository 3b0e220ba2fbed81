"""A user's own NumPy archive."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.data import BadData, _pool
from invbench.data.npz import Npz

COLOURS = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5)).astype(np.uint8)
LABELS = np.array([0, 0, 0, 0, 2, 2, 2, 2, 2, 2])


def write(folder: Path, **arrays: Any) -> Path:
    file = folder / "own.npz"
    np.savez(file, **({"images": COLOURS, "labels": LABELS} | arrays))
    return file


def test_pictures_are_attacked_in_the_files_own_order(tmp_path: Path) -> None:
    pool = Npz(path=write(tmp_path)).load()
    assert np.array_equal(pool.images, COLOURS)
    assert pool.labels.tolist() == LABELS.tolist()
    assert pool.classes == 3
    assert pool.targets.tolist() == list(range(10))


def test_for_a_trained_victim_the_first_seventy_per_cent_of_each_class_train(tmp_path: Path) -> None:
    pool = Npz(path=write(tmp_path)).load()
    assert pool.train.tolist() == [0, 1, 4, 5, 6, 7]
    assert pool.trained_targets.tolist() == [2, 3, 8, 9]


@settings(deadline=None, max_examples=20)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_training_and_targets_split_any_file(tmp_path_factory: pytest.TempPathFactory, labels: list[int]) -> None:
    images: np.ndarray = np.zeros((len(labels), 1, 2, 2), np.uint8)
    pool = Npz(path=write(tmp_path_factory.mktemp("split"), images=images, labels=np.array(labels))).load()
    assert sorted([*pool.train, *pool.trained_targets]) == list(range(len(labels)))
    assert pool.classes == max(labels) + 1
    for label in set(labels):
        assert (pool.labels[pool.train] == label).sum() == labels.count(label) * 7 // 10


def test_constants_are_the_files_own_unless_given(tmp_path: Path) -> None:
    file = write(tmp_path)
    own = Npz(path=file).load()
    assert own.mean == pytest.approx((COLOURS / 255).mean(axis=(0, 2, 3)), abs=1e-6)
    assert own.std == pytest.approx((COLOURS / 255).std(axis=(0, 2, 3)), abs=1e-6)
    given_mean = Npz(path=file, mean=(0.1, 0.2, 0.3)).load()
    assert (given_mean.mean, given_mean.std) == ((0.1, 0.2, 0.3), own.std)
    assert given_mean.content == own.content


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_between_0_and_1_are_taken_as_they_are(tmp_path: Path, dtype: type) -> None:
    images: np.ndarray = (COLOURS / 255).astype(dtype)
    pool = Npz(path=write(tmp_path, images=images)).load()
    assert pool.images.dtype == np.float32
    assert np.array_equal(pool.images, images.astype(np.float32))


def test_real_pictures_load(shared_data: Path) -> None:
    pool = Npz(path=shared_data / "cifar10-test-first100.npz").load()
    assert pool.images.shape == (100, 3, 32, 32)
    assert pool.classes == 10
    assert pool.labels[:5].tolist() == [3, 8, 8, 0, 6]


def test_equal_settings_share_a_pool_and_an_edited_file_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path)
    first = Npz(path=file).load()
    assert Npz(path=file).load() is first
    write(tmp_path, images=255 - COLOURS)
    os.utime(file, ns=(1, 1))  # whatever the clock's resolution
    assert np.array_equal(Npz(path=file).load().images, 255 - COLOURS)


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(Npz(path=Path("~/own.npz")).load().images) == 10


NAN = (COLOURS / 255).astype(np.float32)
NAN[3, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": COLOURS[:, 0]}, r"images must be N x C x H x W; they are 10 x 4 x 5"),
        ({"images": COLOURS[:0], "labels": LABELS[:0]}, r"images are empty \(0 x 3 x 4 x 5\)"),
        ({"images": COLOURS.astype(np.int32)}, "uint8, or float in .*they are int32"),
        ({"images": NAN}, r"images\[3\] holds NaN or infinity"),
        ({"images": COLOURS.astype(np.float32)}, r"must lie in \[0, 1\]; they go from 0 to 255"),
        ({"images": COLOURS / 255 - 0.1}, r"they go from -0.1 to"),
        ({"images": np.float32(COLOURS / 255) * np.float32(1.0000001)}, r"they go from 0 to 1.0000001$"),
        ({"images": COLOURS.transpose(0, 2, 3, 1).repeat(2, 1)}, r"10 x 8 x 5 x 3 is N x H x W x C: save .*0, 3, 1, 2"),
        ({"images": np.array([object()] * 4).reshape(1, 1, 2, 2)}, "cannot be read .*allow_pickle"),
        ({"labels": LABELS[:9]}, "10 images need 10 labels in one row; labels are 9"),
        ({"labels": LABELS[:, None]}, "labels are 10 x 1"),
        ({"labels": np.int64(3)}, "labels are a single value"),
        ({"labels": LABELS - 1}, r"labels\[0\] is -1; labels start at 0"),
        ({"labels": LABELS / 2}, "labels must be whole numbers; they are float64"),
        ({"labels": LABELS.astype(bool)}, "labels must be whole numbers; they are bool"),
        ({"labels": LABELS.astype(np.uint64) * 2**62}, r"labels\[4\] is \d+; that is no class number"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=rf"own\.npz: .*{message}"):
        Npz(path=write(tmp_path, **arrays)).load()


@pytest.mark.parametrize("lacking", ["images", "labels"])
def test_an_archive_that_lacks_an_array_is_refused(tmp_path: Path, lacking: str) -> None:
    arrays: dict[str, Any] = {"images": COLOURS, "labels": LABELS, "other": LABELS}
    del arrays[lacking]
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(BadData, match=rf"own\.npz: has no '{lacking}'; it holds .*'other'"):
        Npz(path=tmp_path / "own.npz").load()


def test_an_archive_that_would_not_fit_in_memory_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pool, "MOST_BYTES", 1 << 20)
    file = tmp_path / "own.npz"
    np.savez_compressed(file, images=np.zeros((10, 3, 500, 500), np.uint8), labels=LABELS)
    assert file.stat().st_size < 1 << 14
    tracemalloc.start()
    with pytest.raises(BadData, match=r"own\.npz: images take 0.0 GiB of memory; at most 0 GiB: keep the pictures"):
        Npz(path=file).load()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_constants_of_pictures_up_to_255_are_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"own\.npz: mean holds 127.5, .*divide by 255: 0.5"):
        Npz(path=write(tmp_path), mean=(127.5,) * 3, std=(127.5,) * 3).load()


@pytest.mark.parametrize("name", ["mean", "std"])
def test_constants_for_another_number_of_channels_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadData, match=rf"own\.npz: {name} has 1 values; the images have 3 channels"):
        Npz(path=write(tmp_path), **{name: (0.5,)}).load()


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"own\.npz: No such file"):
        Npz(path=tmp_path / "own.npz").load()
    with pytest.raises(BadData, match="is not a file"):
        Npz(path=tmp_path).load()
    with pytest.raises(BadData, match="~nobody-of-that-name/x: no such home folder"):
        Npz(path=Path("~nobody-of-that-name/x")).load()


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    whole = write(tmp_path).read_bytes()
    damaged = tmp_path / "damaged.npz"
    middle = len(whole) // 3
    contents = {
        "is not an npz archive, or is cut short": [b"", b"not a zip file", whole[:-30]],
        "cannot be read": [whole[:middle] + bytes(b ^ 0xFF for b in whole[middle : middle + 8]) + whole[middle + 8 :]],
    }
    for message, versions in contents.items():
        for content in versions:
            damaged.write_bytes(content)
            with pytest.raises(BadData, match=rf"damaged\.npz: {message}"):
                Npz(path=damaged).load()


def test_a_pickle_and_a_bare_array_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(pickle.dumps({"images": COLOURS, "labels": LABELS}))
    with pytest.raises(BadData, match="is not an npz archive"):
        Npz(path=tmp_path / "own.npz").load()
    np.save(tmp_path / "own.npy", COLOURS)
    with pytest.raises(BadData, match="is not an npz archive"):
        Npz(path=tmp_path / "own.npy").load()
