"""The benchmark of GradInversion at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import gradinversion as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_the_table_is_of_the_samples_alone(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    settings, data = asked.Settings(batches=2, pictures=2, restarts=2, iterations=2), shared_data / asked.TRAIN.name
    parts = [asked.measure(settings, way, k, data, "convnet") for way in asked.WAYS for k in range(2)]
    kept = msgspec.json.decode(msgspec.json.encode(asked.Samples(parts)), type=asked.Samples)
    table = asked.answer(settings, kept)
    assert [row[0] for row in table.rows] == [f"`{way}`" for way in asked.WAYS]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert kept.parts[0].psnr != kept.parts[1].psnr  # another batch
