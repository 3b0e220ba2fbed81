"""The benchmark of the imprint module at a size that takes a second, and what it holds its numbers against."""

from __future__ import annotations

from pathlib import Path

import imprint as asked  # type: ignore[import-not-found]
import msgspec
import pytest
from small_cells import crops, write_pool


def test_expected_pictures_alone_by_hand_and_as_the_authors_coded_them() -> None:
    """Of 8 ways to put 3 pictures into 2 bins 6 leave one alone; of 4 vectors (3, 0), (2, 1), (1, 2), (0, 3) two."""
    assert (asked.alone(3, 2), asked.alone_by_vectors(3, 2)) == (0.75, 0.5)
    assert asked.alone(64, 1000) == pytest.approx(60.0905, abs=1e-4)
    assert asked.alone_by_vectors(64, 1000) - 64 / 1000 == pytest.approx(56.571, abs=1e-3)
    assert asked.alone(64, 256) / 64 == pytest.approx(0.7815, abs=1e-4)


def test_the_table_is_of_the_samples_alone(tmp_path: Path) -> None:
    data = write_pool(tmp_path / "pool.npz", crops(60))
    settings = asked.Settings(2, 4, 20, 40, "lenet", ["sparse"])
    kept = msgspec.json.decode(msgspec.json.encode(asked.measure(settings, data)), type=asked.Samples)
    (row,) = kept.rows
    assert all(0 <= count <= 4 for count in row.exact)
    assert min(row.d_snr) >= 1 / 3
    table = asked.answer(settings, kept)
    assert all(len(line) == len(table.columns) for line in table.rows)
