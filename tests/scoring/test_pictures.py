from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invbench.scoring.pictures import LARGEST_SIDE, MOST_PAIRS, PER_ROW, drawn_size, grid_png


def pixels(png: bytes) -> np.ndarray:
    """`(H, W, 3)` uint8."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def holds(sheet: np.ndarray, tile: np.ndarray) -> list[tuple[int, int]]:
    """Every place `(y, x)` at which the tile `(h, w, 3)` stands in the sheet, pixel by pixel."""
    height, width = tile.shape[:2]
    first = (sheet[: 1 - height or None, : 1 - width or None] == tile[0, 0]).all(axis=2)
    last = (sheet[height - 1 :, width - 1 :] == tile[-1, -1]).all(axis=2)
    corners = np.argwhere(first & last)
    return [(y, x) for y, x in corners if np.array_equal(sheet[y : y + height, x : x + width], tile)]


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """`(C, H, W)` uint8 as `(H*factor, W*factor, 3)`."""
    rgb = np.broadcast_to(picture.transpose(1, 2, 0), (*picture.shape[1:], 3))
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)


@pytest.fixture(scope="module")
def cifar(shared_data: Path) -> np.ndarray:
    with np.load(shared_data / "cifar10-test-first100.npz") as file:
        return np.asarray(file["images"])


def test_every_original_stands_exactly_above_its_reconstruction(cifar: np.ndarray) -> None:
    originals, guesses = cifar[:10], cifar[10:20]
    sheet = pixels(grid_png(originals, list(guesses), [20.0] * 10, title="ten pairs"))
    for original, guess in zip(originals, guesses, strict=True):
        [(y, x)], [(below, same_x)] = holds(sheet, enlarged(original, 3)), holds(sheet, enlarged(guess, 3))
        assert same_x == x
        assert y + 96 <= below < y + 96 + 10


def test_floats_and_bytes_of_the_same_picture_draw_the_same_grid(cifar: np.ndarray) -> None:
    as_float = cifar[:3].astype(np.float32) / 255
    assert grid_png(cifar[:3], list(cifar[:3]), [100.0] * 3) == grid_png(as_float, list(as_float), [100.0] * 3)


def test_grey_pictures_of_any_shape_are_drawn_grey(shared_data: Path) -> None:
    with np.load(shared_data / "att-faces.npz") as file:
        faces = np.asarray(file["images"][:2])
    sheet = pixels(grid_png(faces, list(faces), [100.0, 100.0]))
    assert holds(sheet, enlarged(faces[0], 1))
    assert (sheet[..., 0] == sheet[..., 1]).all()
    assert (sheet[..., 1] == sheet[..., 2]).all()


def test_other_channel_counts_are_drawn_as_their_mean_in_grey() -> None:
    two_channels = np.stack([np.zeros((1, 8, 8)), np.ones((1, 8, 8))], axis=1).reshape(1, 2, 8, 8)
    sheet = pixels(grid_png(two_channels, [two_channels[0]], [50.0]))
    assert len(holds(sheet, np.full((96, 96, 3), 128, np.uint8))) == 2


@pytest.mark.parametrize(
    ("height", "width", "drawn"),
    [(32, 32, (96, 96)), (8, 8, (96, 96)), (25, 25, (100, 100)), (112, 92, (112, 92)), (512, 256, (256, 128))],
)
def test_small_pictures_grow_by_whole_factors_and_large_ones_shrink(
    height: int, width: int, drawn: tuple[int, int]
) -> None:
    assert drawn_size(height, width) == drawn
    noise = np.random.default_rng(0).random((1, 3, height, width))
    sheet = pixels(grid_png(noise, [noise[0]], [100.0]))
    assert 2 * drawn[0] < sheet.shape[0] < 2 * LARGEST_SIDE + 100


@pytest.mark.parametrize("missing", [None, np.full((3, 32, 32), np.nan)])
def test_a_missing_reconstruction_is_a_hatched_box_in_its_place(cifar: np.ndarray, missing: np.ndarray | None) -> None:
    sheet = pixels(grid_png(cifar[:2], [missing, cifar[1]], [None, 100.0]))
    [(y, x)] = holds(sheet, enlarged(cifar[0], 3))
    assert len(holds(sheet, enlarged(cifar[1], 3))) == 2
    box = sheet[y + 99 : y + 195, x : x + 96]
    lines = (box != 255).any(axis=2).mean()
    assert 0.05 < lines < 0.5


def test_pairs_beyond_the_most_are_counted_in_words_not_drawn(cifar: np.ndarray) -> None:
    full = pixels(grid_png(cifar[:MOST_PAIRS], list(cifar[:MOST_PAIRS]), [100.0] * MOST_PAIRS))
    over = pixels(grid_png(cifar[:40], list(cifar[:40]), [100.0] * 40))
    assert over.shape[1] == full.shape[1]
    assert 0 < over.shape[0] - full.shape[0] < 96
    assert not holds(over, enlarged(cifar[MOST_PAIRS], 3))
    assert holds(over, enlarged(cifar[MOST_PAIRS - 1], 3))
    assert (over[full.shape[0] - 10 :] != 255).any()


def test_each_row_holds_eight_pairs(cifar: np.ndarray) -> None:
    sheet = pixels(grid_png(cifar[: PER_ROW + 1], list(cifar[: PER_ROW + 1]), [100.0] * (PER_ROW + 1)))
    places = [holds(sheet, enlarged(cifar[k], 3))[0] for k in range(PER_ROW + 1)]
    assert {y for y, _ in places[:PER_ROW]} == {places[0][0]}
    assert places[PER_ROW][1] == places[0][1]
    assert places[PER_ROW][0] > places[0][0] + 2 * 96


def test_the_label_below_a_pair_shows_its_psnr(cifar: np.ndarray) -> None:
    same = [pixels(grid_png(cifar[:1], [cifar[1]], [psnr])) for psnr in (14.2, 14.21, 31.0)]
    assert np.array_equal(same[0], same[1])
    differing = np.argwhere((same[0] != same[2]).any(axis=2))
    [(y, _)] = holds(same[0], enlarged(cifar[1], 3))
    assert differing[:, 0].min() >= y + 96


def test_a_long_title_is_wrapped_inside_the_picture(cifar: np.ndarray) -> None:
    title = "inverting-gradients(iterations=4800,tv=0.01) on lenet, natural, batch 1, " * 4
    short = pixels(grid_png(cifar[:1], [cifar[1]], [14.2], title="dlg"))
    long = pixels(grid_png(cifar[:1], [cifar[1]], [14.2], title=title))
    assert long.shape[0] > short.shape[0]
    assert (long[:, -8:] == 255).all()


def test_equal_pictures_give_equal_bytes(cifar: np.ndarray) -> None:
    one, two = (grid_png(cifar[:5], list(cifar[5:10]), [10.0] * 5, title="again") for _ in range(2))
    assert one == two


@pytest.mark.parametrize(("count", "guesses"), [(0, 0), (2, 1)])
def test_no_pairs_or_unequal_counts_are_refused(count: int, guesses: int) -> None:
    images = np.zeros((2, 3, 8, 8))
    with pytest.raises(ValueError, match="pair"):
        grid_png(images[:count], list(images[:guesses]), [None] * count)


def test_importing_pictures_does_not_import_torch() -> None:
    code = "import sys, invbench.scoring.pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
