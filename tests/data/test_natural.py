"""Crops of the photographs that scikit-image and scikit-learn ship."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invbench import registry
from invbench.data import BadData, ImagePool
from invbench.data import _photographs as photographs
from invbench.data._crops import cut, squares
from invbench.data._photographs import PHOTOGRAPHS, Box
from invbench.data.natural import Natural, choose


@pytest.fixture(scope="module", params=[32, 64])
def pool(request: pytest.FixtureRequest) -> ImagePool:
    return Natural(size=request.param).load()


def distances(pool: ImagePool, every: int = 1) -> np.ndarray:
    """Root mean squared difference, in grey levels, between every two pictures (at each n-th pixel)."""
    rows = pool.images[..., ::every, ::every].reshape(len(pool.images), -1).astype(np.float64)
    norms = np.square(rows).sum(1)
    squared = norms[:, None] + norms - 2 * rows @ rows.T
    np.fill_diagonal(squared, np.inf)
    result: np.ndarray = np.sqrt(squared / rows.shape[1])
    return result


def test_there_are_320_targets_and_320_training_pictures_in_ten_classes(pool: ImagePool) -> None:
    assert pool.images.dtype == np.uint8
    assert pool.images.shape[:2] == (640, 3)
    assert (len(pool.targets), len(pool.train), pool.classes) == (320, 320, 10)
    assert np.bincount(pool.labels[pool.targets]).tolist() == [32] * 10
    assert np.bincount(pool.labels[pool.train]).tolist() == [32] * 10
    assert pool.trained_targets.tolist() == pool.targets.tolist()
    assert not set(pool.targets) & set(pool.train)
    assert pool.notes == ()


def test_no_two_pictures_are_nearly_equal(pool: ImagePool) -> None:
    assert distances(pool).min() > 8


def test_targets_take_turns_by_class_and_none_is_flat(pool: ImagePool) -> None:
    assert pool.labels[pool.targets].tolist() == [i % 10 for i in range(320)]
    spread = pool.images[pool.targets].reshape(320, 3, -1).std(-1)
    assert spread.max(axis=1).min() > 20


def test_normalisation_is_the_training_pictures_own(pool: ImagePool) -> None:
    unit = pool.unit(pool.train).astype(np.float64)
    assert pool.mean == pytest.approx(unit.mean(axis=(0, 2, 3)), abs=1e-6)
    assert pool.std == pytest.approx(unit.std(axis=(0, 2, 3)), abs=1e-6)


@pytest.mark.parametrize("name", list(PHOTOGRAPHS))
def test_training_and_target_crops_share_no_pixel_at_32_and_64(name: str) -> None:
    photograph = PHOTOGRAPHS[name]
    picture = photograph.read()
    targets, training = choose(photograph, picture, 32)
    assert choose(photograph, picture, 64) == (targets, training)
    assert tuple(targets[: len(photograph.subjects)]) == photograph.subjects
    only_target, only_training = Image.new("RGB", picture.size), Image.new("RGB", picture.size)
    only_target.paste(picture.crop(photograph.target_region), photograph.target_region)
    only_training.paste(picture.crop(photograph.train_region), photograph.train_region)
    assert np.array_equal(np.asarray(only_target) + np.asarray(only_training), np.asarray(picture))
    for size in (32, 64):
        assert all(np.array_equal(cut(only_target, s, size), cut(picture, s, size)) for s in targets)
        assert all(np.array_equal(cut(only_training, s, size), cut(picture, s, size)) for s in training)


def test_squares_stay_inside_their_region() -> None:
    region = Box(30, 10, 230, 160)
    laid = squares(region, 64, 4)
    assert {side for *_, side in laid} == {64, 96, 144}
    assert all(left >= 30 and top >= 10 and left + side <= 230 and top + side <= 160 for left, top, side in laid)


def test_at_224_there_are_320_pictures_and_the_overlap_is_said() -> None:
    pool = Natural(size=224).load()
    assert pool.images.shape == (320, 3, 224, 224)
    assert (len(pool.targets), len(pool.train)) == (160, 160)
    assert "overlap" in pool.notes[0]
    assert distances(pool, every=4).min() > 8


@pytest.mark.parametrize(("size", "as_at", "targets"), [(8, 64, 320), (65, 224, 160)])
def test_any_size_shows_the_crops_of_its_side_of_64_pixels(size: int, as_at: int, targets: int) -> None:
    for photograph in list(PHOTOGRAPHS.values())[:2]:
        picture = photograph.read()
        assert choose(photograph, picture, size) == choose(photograph, picture, as_at)
    pool = Natural(size=size).load()
    assert pool.images.shape == (2 * targets, 3, size, size)
    assert len(pool.targets) == targets
    assert ("overlap" in "".join(pool.notes)) is (size > 64)


def test_a_size_outside_8_to_224_is_refused() -> None:
    for size in (7, 225):
        with pytest.raises(registry.BadSettings, match=f"natural: size must be at least 8, at most 224, not {size}"):
            registry.load("dataset", "natural").settings({"size": size})


def test_the_first_target_is_the_astronaut_whatever_the_size() -> None:
    small = Image.fromarray(Natural(size=32).load().images[0].transpose(1, 2, 0))
    large = Image.fromarray(Natural(size=224).load().images[0].transpose(1, 2, 0)).resize((32, 32))
    assert np.abs(np.asarray(small, float) - np.asarray(large, float)).mean() < 2


@pytest.mark.parametrize(("size", "content"), [(32, "ab5fe155654bc6e6"), (64, "0530112538f69d6e")])
def test_every_machine_gets_the_same_bytes(size: int, content: str) -> None:
    assert Natural(size=size).load().content.startswith(content)


def test_a_pool_is_made_once_per_process() -> None:
    assert Natural().load() is Natural(size=32).load()


def test_loading_at_32_takes_less_than_two_seconds_of_cpu_time() -> None:
    code = (
        "import time; from invbench.data.natural import Natural; start = time.process_time(); "
        "Natural().load(); raise SystemExit(time.process_time() - start > 2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_photograph_that_is_not_shipped_or_is_another_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    astronaut = PHOTOGRAPHS["astronaut"]
    with pytest.raises(BadData, match=r"skimage/data/nobody\.png: .*reinstall"):
        astronaut._replace(path="data/nobody.png").read()
    with pytest.raises(BadData, match=r"astronaut\.png: is 512 x 512; the crops are laid out for 512 x 600"):
        astronaut._replace(train_region=Box(0, 288, 512, 600)).read()
    damaged = tmp_path / "astronaut.png"
    damaged.write_bytes(b"\x89PNG\r\n")
    monkeypatch.setattr(photographs, "shipped", lambda package, path: damaged)
    with pytest.raises(BadData, match=r"astronaut\.png: .*reinstall skimage"):
        astronaut.read()
