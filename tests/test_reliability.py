"""docs/reliability.md: every promise names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/reliability.md"


def test_every_promise_names_a_test_or_a_benchmark_that_is_there() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "| test |" not in line]
    promises = [row for row in rows if not row.startswith("| promise")]
    assert len(promises) >= 20
    above = ""
    for row in promises:
        named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", row.rpartition(" | ")[2])
        assert named or (above and "the same" in row) or "contracts" in row, row
        for name in named:
            assert (HERE / name).is_file() or (HERE.parent / name).is_file(), name
        above = row
