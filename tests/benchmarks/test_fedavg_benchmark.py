"""The benchmark of simulated local steps at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import fedavg as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_the_table_is_of_the_samples_alone_and_both_sides_are_there(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    settings, data = asked.Settings(targets=2, iterations=2), shared_data / "cifar10-test-first100.npz"
    samples = asked.Samples([asked.measure(settings, "lenet", 1, lr, data) for lr in asked.RATES])
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    assert [(row.batch, row.lr) for row in kept.rows] == [(1, 0.1), (1, 1e-4)]
    assert all(len(side) == 2 for row in kept.rows for side in (row.simulated, row.one_gradient, row.grey, row.gain))
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
