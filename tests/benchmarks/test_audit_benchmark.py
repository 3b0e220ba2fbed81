"""A fast sample of `benchmarks/audit.py`: broken trainings are refuted, those as claimed are not."""

from __future__ import annotations

from pathlib import Path

import audit  # type: ignore[import-not-found]
import pytest

FEW = audit.Settings(audits=2, canaries=3000)


@pytest.mark.parametrize("name", ["claimed", "quarter", "unclipped"])
def test_only_a_broken_training_is_refuted(name: str, tmp_path: Path) -> None:
    row = audit.of_training(name, FEW, tmp_path)
    assert [bound > audit.CLAIM for bound in row.exact] == [audit.MECHANISMS[name].broken] * 2
    assert [bound > audit.CLAIM for bound in row.any] == [audit.MECHANISMS[name].broken] * 2
    assert max(*row.any, *row.tradeoff) < max(row.exact)


@pytest.mark.parametrize("name", ["public", "stock"])
def test_a_divisor_of_the_private_number_of_examples_is_refuted(name: str) -> None:
    row = audit.of_divisor(name, audit.Settings(audits=1, canaries=0))
    for found in (row.any, row.tradeoff, row.exact):
        assert (found[0] > audit.CLAIM) == audit.DIVISORS[name].broken


def test_the_table_counts_what_is_above_the_claim() -> None:
    samples = audit.Samples([audit.Row("quarter", [0.5, 1.5], [1.0, 2.0], [3.0, 4.0])])
    table = audit.answer(audit.Settings(2, 100), samples)
    assert list(table.rows[0]) == ["a quarter of the noise", "1.000 (1)", "1.500 (2)", "3.500 (2)"]
    assert "0.9263" in table.question
