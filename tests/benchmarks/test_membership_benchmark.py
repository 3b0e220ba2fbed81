"""The membership benchmark's own code, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import membership as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_it_measures_every_attack_that_it_is_given_and_its_table_is_of_the_samples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    settings = asked.Settings(seeds=2, targets=1, epochs=5, shadows=(4, 6), model="mlp")
    few = {name: asked.ATTACKS[name] for name in ("loss-threshold", "lira,fixed", "base", "rmia,matched")}
    model = "{name: mlp, width: 16, depth: 1}"
    samples = asked.measure({"digits": "digits"}, settings, model=model, pictures=400, attacks=few)
    assert len(samples.cases) == 2 * 2 * 4
    assert all(one.spearman >= 0.999 for one in samples.ranks)
    assert [one.shadows for one in samples.agreements] == [4, 6]
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [row[1] for row in table.rows] == list(few)
    assert any("digits, 6 shadows: " in line for line in table.text)
