"""The benchmark of malicious servers on a few crops: its cells are supported, and its table is of the samples alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import malicious as asked  # type: ignore[import-not-found]
import msgspec
import pytest
from small_cells import crops, write_pool

SMALL = {
    "loki": ("name: loki", 2, 3, 2, "{name: fedavg, clients: 3, steps: 2, local_batch_size: 1, lr: 0.001, public: 40}"),
    "fishing,class": ("name: fishing, evaluations: 3", 4, 1, 2, "{name: fedsgd, public: 40}"),
}


def test_the_table_is_of_the_samples_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asked, "CASES", SMALL)
    data, settings = write_pool(tmp_path / "pool.npz", crops(80)), asked.Settings()
    measured = asked.Samples([asked.measure(case, data) for case in SMALL])
    kept: Any = msgspec.json.decode(msgspec.json.encode(measured), type=asked.Samples)
    assert [row.pictures for row in kept.rows] == [6, 4]
    assert all(0 <= count <= row.pictures for row in kept.rows for count in row.identified)
    table = asked.answer(settings, kept)
    assert all(len(line) == len(table.columns) for line in table.rows)
    assert "`fishing,class` identified" in table.text[0]
