"""The benchmark of leak against accuracy at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import frontier as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_each_setting_has_its_leak_and_its_cost_and_the_table_is_of_the_samples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "BATCH", 1)
    settings = asked.Settings("mlp(width=8,depth=1)", 1, 3, 2)
    defenses = ["none", "{name: top-k, fraction: 0.1}"]
    samples = asked.measure("{name: mlp, width: 8, depth: 1}", settings, defenses)
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    assert [row.defense for row in kept.rows] == ["none", "top-k(fraction=0.1)"]
    assert all(row.low <= row.psnr <= row.high for row in kept.rows)
    assert kept.rows[1].message < 0.2 * kept.rows[0].message
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
    nothing = samples.rows[0].high <= samples.rows[0].control
    assert any(row[0] == "*" for row in table.rows) != nothing
    assert (asked.NOTHING_READ in table.text) == nothing
    read = asked.Samples([msgspec.structs.replace(row, control=row.high - 1) for row in kept.rows])
    assert any(row[0] == "*" for row in asked.answer(settings, read).rows)
    blind = asked.Samples([msgspec.structs.replace(row, control=row.high) for row in kept.rows])
    assert not any(row[0] == "*" for row in asked.answer(settings, blind).rows)
    assert len(asked.DEFENSES) == 12
