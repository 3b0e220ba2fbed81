"""The benchmark of sums at a size that takes a second."""

from __future__ import annotations

from pathlib import Path

import aggregation as asked  # type: ignore[import-not-found]
import msgspec
import pytest


def test_the_table_is_of_the_samples_alone_and_a_malicious_server_reads_one_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("tenseal", "phe"):
        pytest.importorskip(package, reason="needs the extra `he`")
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "ATTACKS", asked.ATTACKS[1:])
    monkeypatch.setattr(asked, "_paillier", list)  # its keys take seconds
    settings = asked.Settings([1, 2], targets=1, values=64)
    kept = msgspec.json.decode(msgspec.json.encode(asked.measure(settings)), type=asked.Samples)
    assert [one.clients for one in kept.sums] == [1, 2]
    assert kept.sums[1].psnr == pytest.approx(kept.sums[0].psnr, abs=1)
    assert all(max(one.control) < 40 < min(one.psnr) for one in kept.sums)
    assert kept.ckks_error < 1e-6
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)
