"""The benchmark of participation at a size that takes a second."""

from __future__ import annotations

from pathlib import Path

import disaggregate as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_the_table_is_of_the_samples_alone_and_without_noise_everybody_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "FEDERATIONS", asked.FEDERATIONS[:1])
    settings = asked.Settings(1, [[16, 64, 4, 8]])
    kept = msgspec.json.decode(msgspec.json.encode(asked.measure(settings)), type=asked.Samples)
    assert kept.drawn[0].exact == 1.0 == kept.federations[0].exact[0]
    assert kept.drawn[0].control < 0.85
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
