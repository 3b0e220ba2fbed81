"""The benchmark of membership in one round at a size that takes a second."""

from __future__ import annotations

from pathlib import Path

import msgspec
import one_round as asked  # type: ignore[import-not-found]
import pytest


def test_a_part_has_every_attack_and_the_table_is_of_the_samples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    settings = asked.Settings(public=50)
    few = {name: asked.ATTACKS[name] for name in ("cosine", "ratio", asked.BEST)}
    part = asked.measure(settings, "digits", 1, 6, few)
    kept = msgspec.json.decode(msgspec.json.encode(asked.Samples([part])), type=asked.Samples)
    assert [row.attack for row in kept.parts[0].rows] == [*few, "joint"]
    assert kept.parts[0].rows[2].auc == 1.0
    assert kept.parts[0].rows[2].tpr is None
    table = asked.answer(settings, kept)
    assert len(table.rows) == 5
    assert all(len(row) == len(table.columns) for row in table.rows)
