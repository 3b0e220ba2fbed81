"""The benchmark of large batches and large pictures, made small."""

from __future__ import annotations

from pathlib import Path

import large as asked  # type: ignore[import-not-found]
import msgspec
import numpy as np
import pytest
from PIL import Image

SMALL = {
    "many": (asked.CIFAR, "lenet", 7, 1, 2, 0.01),
    "one": ("{{name: natural, size: 48}}", "lenet", 1, 2, 2, 0.01),
}


def test_the_table_is_of_the_samples_and_the_picture_of_the_best(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "CASES", SMALL)
    monkeypatch.setattr(asked, "PARTS", tmp_path / "parts")
    parts = [asked.measure(case, shared_data / asked.TRAIN.name, iterations=3) for case in SMALL]
    kept = msgspec.json.decode(msgspec.json.encode(asked.Samples(parts)), type=asked.Samples)
    assert [(part.iterations, len(part.psnr)) for part in kept.parts] == [(3, 7), (3, 2)]
    table = asked.answer(asked.Settings(), kept)
    assert all(len(row) == len(table.columns) for row in table.rows)

    asked.show([tmp_path / "parts" / f"{case}.png" for case in SMALL], tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as shown:
        assert shown.size == (160, 64 + 160)  # five of 32 pixels wide, two of 48 made as wide


def test_the_best_are_the_nearest_and_stand_under_their_originals(tmp_path: Path) -> None:
    true = np.stack([np.full((3, 2, 2), value) for value in (0.2, 0.6)])
    asked.draw(tmp_path / "pair.png", true, true + 0.2)
    with Image.open(tmp_path / "pair.png") as opened:
        found = np.asarray(opened)
    assert found.shape == (4, 4, 3)
    assert (found[0, 0, 0], found[0, 2, 0], found[2, 0, 0], found[2, 2, 0]) == (51, 153, 102, 204)
