"""The benchmark of solver and ambiguity: a start is where it is told, and its verdicts by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import solver as asked  # type: ignore[import-not-found]
import torch
from made_updates import digits, observe, victim

from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import build_problem


def test_a_search_starts_where_it_is_told_and_is_else_the_same() -> None:
    images, labels = digits(1)
    seen = observe(victim(images), images, labels)
    problem = build_problem([seen], [labels], OBJECTIVES["l2"], 0.0, boxed=True)
    start = torch.full((64,), 0.25)
    told = asked.starting_at(InvertingGradients(iterations=3, tv=0.5), start)
    assert torch.equal(told._start(problem, seen), start)
    assert (told.iterations, told.tv) == (3, 0.5)


def test_the_table_is_of_the_samples_alone(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "WAYS", {name: replace(way, iterations=2) for name, way in asked.WAYS.items()})
    settings, data = asked.Settings(targets=1), shared_data / "cifar10-test-first100.npz"
    measured = asked.Samples([asked.measure(settings, "lenet", 1, way, data) for way in asked.WAYS])
    kept = msgspec.json.decode(msgspec.json.encode(measured), type=asked.Samples)
    table = asked.answer(settings, kept)
    assert all(len(row) == len(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("usual", "near", "psnr", "said"),
    [
        (1.0, 0.01, 10, "the solver"),
        (0.01, 0.01, 10, "ambiguous"),
        (0.05, 0.01, 10, "neither"),
        (1.0, 0.01, 30, "read"),
        (math.inf, 0.01, 10, "the solver"),
        (0.0, math.inf, 10, "not told"),
    ],
)
def test_verdicts(usual: float, near: float, psnr: float, said: str) -> None:
    assert asked.verdict(usual, near, psnr) == said
