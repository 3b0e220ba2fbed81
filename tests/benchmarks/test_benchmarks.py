"""The benchmarks' own code, at sizes that take seconds: both sides run, and what is missing or fails is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import _breaching  # type: ignore[import-not-found]
import evaluation  # type: ignore[import-not-found]
import gpu  # type: ignore[import-not-found]
import growth  # type: ignore[import-not-found]
import matching  # type: ignore[import-not-found]
import pytest
import restarts  # type: ignore[import-not-found]
import standing_by  # type: ignore[import-not-found]
import torch
from made_updates import observe, photographs, victim

from invbench.observation import UpdateObservation


def seen() -> UpdateObservation:
    images, labels = photographs(2)
    return observe(victim(images), images, labels)


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script", "ignore:[\\s\\S]*version_base")  # breaching's
peer = pytest.mark.skipif(_breaching.missing() is not None, reason="needs breaching")


@peer
def test_breaching_sees_our_update_and_gets_better_with_its_iterations() -> None:
    _, labels = photographs(2)
    short, long = (_breaching.inverting_gradients(seen(), labels, iterations) for iterations in (1, 100))
    images, _ = photographs(2)
    errors = [float((answer.images - images).square().mean()) for answer in (short, long)]
    assert errors[1] < 0.5 * errors[0]
    assert short.failed is long.failed is None
    assert long.seconds > 0


@peer
def test_a_run_of_breaching_that_fails_is_an_answer_that_says_why() -> None:
    answer = _breaching.inverting_gradients(seen(), torch.zeros(7, dtype=torch.int64), 1)
    assert answer.images is None
    assert answer.failed == "ValueError"


@peer
@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_one_evaluation_of_breaching_gives_its_objective() -> None:
    _, labels = photographs(2)
    value = _breaching.closure(seen(), labels)()
    assert 0 < float(value) < 3


def test_the_sides_of_an_evaluation_run() -> None:
    sides = evaluation.sides(seen(), with_peer=_breaching.missing() is None)
    assert {"forward", "evaluation"} <= sides.keys()
    assert all(side() is not None for side in sides.values())


def test_both_sides_of_matching_run_or_the_peer_is_missing(shared_data: Path) -> None:
    ours, theirs = matching.both(shared_data / "cifar10-test-first100.npz", "lenet", 2, 1, ours=3, theirs=3)
    assert len(ours.psnr) == 2
    assert ours.seconds > 0
    assert ours.failed is None
    assert (theirs is None) == (_breaching.missing() is not None)
    assert theirs is None or (len(theirs.psnr) == 2 and theirs.failed is None)


def test_the_eager_side_of_restarts_is_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "STEPS", 3)
    observation = restarts.observation()
    lanes = restarts.problem(observation, 1)
    eager = restarts.Eager(observation, lanes.lower, lanes.upper)
    x = torch.randn(1, lanes.size, generator=torch.Generator().manual_seed(0))
    ours, theirs = lanes.evaluate(x), eager.evaluate(x)
    torch.testing.assert_close(ours.total, theirs.total)
    torch.testing.assert_close(ours.gradient, theirs.gradient, rtol=1e-3, atol=1e-6)
    restarts.search(eager, 1)


def test_the_gpu_benchmark_s_code_runs_on_a_cpu() -> None:
    ours, theirs = gpu.speeds(seen(), short=1, long=3, repeats=1)
    assert len(ours) == 1
    assert (theirs is None) == (_breaching.missing() is not None)
    big = gpu.large("cpu", side=32, iterations=1)
    assert big.seconds > 0
    assert big.memory_mb is None or big.memory_mb > 0


def test_without_a_gpu_the_table_says_that_nothing_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(gpu, "record", lambda name, settings, measure: kept.append((name, settings, measure())))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    [(name, settings, samples)] = kept
    assert name == "gpu"
    table = gpu.answer(settings, samples)
    assert {row[2] for row in table.rows} == {"not measured: no GPU here"}
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_task_s_peak_memory_is_its_own_and_not_that_of_who_started_it() -> None:
    own = standing_by.peak_memory()
    if own is None:
        pytest.skip("this system does not tell a process's peak memory")
    words = "import standing_by; print(standing_by.peak_memory())"
    folder, ballast = Path(standing_by.__file__).parent, bytearray(10**9)
    done = subprocess.run([sys.executable, "-c", words], cwd=folder, capture_output=True, text=True, check=True)
    assert standing_by.peak_memory() > len(ballast) / 1e6
    assert float(done.stdout) < 800


def test_growth_says_where_memory_was_not_kept() -> None:
    kept = [growth.Point(size, size / 10, size * 3.0) for size in (1, 2, 4)]
    lost = [growth.Point(point.size, point.cpu, None) for point in kept]
    assert growth._row("lanes", kept)[3:] == ["**1.00**", "3 - 12", "**1.00**"]
    assert growth._row("lanes", lost)[3:] == ["**1.00**", "not kept", ""]
