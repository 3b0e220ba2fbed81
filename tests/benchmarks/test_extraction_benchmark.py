"""The extraction benchmark's own code, at a size that takes seconds."""

from __future__ import annotations

from pathlib import Path

import extraction as asked  # type: ignore[import-not-found]
import msgspec
import pytest

SAMPLING = "{name: sampling, samples: 5}"


def test_every_attack_is_asked_of_each_victim_and_the_table_is_of_the_samples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    few = {name: "exposure" if name in ("exact", "skew-normal") else SAMPLING for name in asked.ATTACKS}
    cases = [asked.Case(repeats, characters=3000, steps=2, digits=2) for repeats in (0, 1)]
    samples = asked.Samples([asked.attacked(case, 0, few) for case in cases])
    assert all(len(one.exact) == len(one.skew_normal) == len(one.probability) == 10 for one in samples.victims)
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    table = asked.answer(asked.Settings(seeds=[0]), kept)
    assert [row[2] for row in table.rows] == ["0", "1"]
    assert all(len(row) == len(table.columns) for row in table.rows)
