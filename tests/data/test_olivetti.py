"""Olivetti faces, read from a file in scikit-learn's own format; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest

from invbench.data import BadData
from invbench.data.olivetti import FILE, Olivetti


def written(folder: Path) -> np.ndarray:
    """Made-up pictures as scikit-learn keeps them: one row a picture, column by column."""
    rows = np.random.default_rng(0).integers(0, 256, (400, 64 * 64)).astype(np.float64)
    rows[0, :2] = (0, 255)
    joblib.dump(rows, folder / FILE, compress=6)
    return rows


def test_pictures_people_and_split_are_as_said(tmp_path: Path) -> None:
    rows = written(tmp_path)
    pool = Olivetti(root=tmp_path).load()
    assert pool.images.shape == (400, 1, 64, 64)
    assert pool.classes == 40
    np.testing.assert_allclose(pool.images[5, 0], rows[5].reshape(64, 64).T / 255, atol=1e-6)
    assert pool.labels[pool.train].tolist() == [person for person in range(40) for _ in range(7)]
    assert pool.trained_targets[:4].tolist() == [7, 8, 9, 17]


def test_what_is_not_there_is_not_fetched_unasked(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=f"{tmp_path}: lacks {FILE}; set `download: true`"):
        Olivetti(root=tmp_path).load()


@pytest.mark.parametrize("content", [b"", b"no pickle at all", b"\x80\x04K"])
def test_a_damaged_file_is_refused_with_its_place(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(BadData, match=f"{FILE}: cannot be read"):
        Olivetti(root=tmp_path).load()


def test_other_pictures_under_its_name_are_refused(tmp_path: Path) -> None:
    joblib.dump(np.full((400, 64 * 64), np.nan), tmp_path / FILE)
    with pytest.raises(BadData, match="does not hold 400 finite pictures"):
        Olivetti(root=tmp_path).load()
