"""The benchmark of defences at a size that takes seconds: each row has its leak, its interval and its cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import defended as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_every_defence_has_a_row_beside_the_one_without_and_the_table_is_of_the_samples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "PEOPLE", 240)
    released = "{name: released, epochs: 2, pictures: 160}"
    membership = replace(
        asked.GROUPS["membership,lenet"],
        dataset="digits",
        targets=1,
        model="{name: mlp, width: 8, depth: 1}",
        attacks=[("loss-threshold", released), ("{name: lira, shadows: 4}", released)],
        defenses=["{name: dp-sgd, noise: 4}", "top-label"],
        metrics={"auc": 0.5},
    )
    people = replace(asked.GROUPS["attribute,ridge"], targets=50, defenses=asked._regression("output-perturbation", 1))
    groups = {"membership,lenet": membership, "attribute,ridge": people}
    samples = asked.measure(groups)
    kept = msgspec.json.decode(msgspec.json.encode(samples), type=asked.Samples)
    assert [row.defense for row in kept.rows] == [
        *("none", "dp-sgd(noise=4)", "top-label", "none", "output-perturbation(epsilon=1)"),
    ]
    assert all(row.low <= row.value <= row.high for row in kept.rows)
    assert [row.epsilon is not None for row in kept.rows] == [False, True, *[False] * 3]
    table = asked.answer(asked.Settings(list(groups)), kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(table.rows) == 3
    assert {row.control for row in kept.rows[:3]} == {0.5}
    assert 0.3 < kept.rows[3].control == kept.rows[4].control < 0.9
    assert all("none" not in row[1] for row in table.rows)
