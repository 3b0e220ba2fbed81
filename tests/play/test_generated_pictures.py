"""A committed case: codes of a generator, eight digits at a time. Its pictures are as good from noise, and a report
says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cells import make_cell

from invbench import report
from invbench.play.playing import play
from invbench.report.figures import figures_of
from invbench.store import Results

CODES = {"name": "generator", "search": "latent", "latent": 4, "width": 8, "training_steps": 200}
SAME = "the same pictures from noise: what is shown is the generator's, not the client's"


def test_codes_that_answer_noise_as_well_are_the_generators_in_the_reports_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    cell = make_cell(
        tmp_path,
        dataset="digits",
        attack={**CODES, "restarts": 1, "iterations": 40},
        model={"name": "lenet", "activation": "tanh", "start": "pytorch", "trained": True, "training_steps": 100},
        protocol={"name": "fedsgd", "public": 200},
        batch_size=8,
        targets=3,
        controls=["grey"],
    )
    assert cell.controls == ("grey", "noise"), "it runs though nobody asked for it"
    record = play(cell, "cpu").record
    assert record.status == "ok", record.reason
    found = figures_of(record)
    assert found.own == SAME
    results = Results(tmp_path / "results")
    results.create("", [record.id], {})
    results.write(record)
    text = " ".join(report.markdown(results, tmp_path).split())
    assert f"- Of 1 cell: {SAME}" in text
    assert "its own making" in text
