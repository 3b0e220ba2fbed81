"""The picture of a cell of classes: three pictures a class, one above the other."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from invbench.scoring.classes import MOST, PER_ROW, Row, classes_png

PICTURES = np.random.default_rng(0).random((50, 3, 1, 8, 8))
NAMES = ["class mean", "nearest", "answer", "answer, shuffled labels"]
WORDS = ["confidence 0.10", "confidence 0.20", "no answer"]


def drawn(classes: int, title: str = "a title") -> np.ndarray:
    return sheet_of([Row(name, PICTURES[:classes, k], [WORDS[k]] * classes) for k, name in enumerate(NAMES[:3])], title)


def sheet_of(rows: list[Row], title: str) -> np.ndarray:
    heads = [f"class {k}" for k in range(len(rows[0].pictures))]
    with Image.open(io.BytesIO(classes_png(rows, heads, title))) as image:
        return np.asarray(image.convert("RGB"))


def corners(sheet: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """Where a picture stands, drawn at twelve times its size."""
    levels = np.rint(picture[0] * 255).astype(np.uint8)
    tile = levels.repeat(12, axis=0).repeat(12, axis=1)
    grey = sheet[..., 0]
    places = np.argwhere(grey[: 1 - 96, : 1 - 96] == tile[0, 0])
    return [(y, x) for y, x in places if np.array_equal(grey[y : y + 96, x : x + 96], tile)]


def test_class_mean_nearest_and_answer_stand_above_each_other() -> None:
    sheet = drawn(3)
    lefts = []
    for three in PICTURES[:3]:
        places = [corners(sheet, picture) for picture in three]
        assert [len(found) for found in places] == [1, 1, 1]
        (top, left), (middle, same), (bottom, last) = (found[0] for found in places)
        assert left == same == last
        assert bottom - middle == middle - top > 96
        lefts.append(left)
    assert lefts == sorted(lefts)


def test_a_fourth_row_stands_below_under_its_name() -> None:
    four = [*PICTURES[0], PICTURES[1][0]]
    sheet = sheet_of([Row(name, picture[None], [""]) for name, picture in zip(NAMES, four, strict=True)], "a title")
    tops = [corners(sheet, picture)[0][0] for picture in four]
    assert tops == sorted(tops)
    assert tops[3] - tops[2] == tops[2] - tops[1]


def test_rows_wrap_and_what_is_left_out_is_said() -> None:
    assert drawn(PER_ROW + 1).shape[0] > drawn(PER_ROW).shape[0] + 300
    assert drawn(MOST + 5).shape[0] > drawn(MOST).shape[0]


def test_nothing_and_unequal_numbers_are_refused() -> None:
    three = Row("answer", PICTURES[:3, 0], WORDS)
    for rows, heads, counts in (
        ([], [], "0"),
        ([three], ["class 0"], "1, 3"),
        ([Row("", PICTURES[:2, 0], WORDS)], WORDS, "2, 3"),
    ):
        with pytest.raises(ValueError, match=rf"not \[{counts}\]"):
            classes_png(rows, heads, "")
