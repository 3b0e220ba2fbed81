"""Attack `fedleak`: which entries are matched, where its second slope is taken, a control that it must beat."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from made_updates import digits, noise_like, observe, victim
from torch import Tensor
from torch.func import vmap

from invbench.attacks.fedleak import FedLeak, Look, Looking, partly
from invbench.matching.objectives import OBJECTIVES, cosine
from invbench.matching.problem import Evaluation, Problem, build_problem
from invbench.metrics import best_grey, psnr


def test_all_entries_are_matched_where_the_share_is_one() -> None:
    stream = torch.Generator().manual_seed(0)
    a, b = (torch.randn(10, generator=stream) for _ in range(2))
    heavy = b.abs() >= b.abs().sort().values[2]  # eight of ten
    expected = (a - b).abs().mean() + cosine((a * heavy,), (b * heavy,))
    torch.testing.assert_close(partly(1.0, (a,), (b,)), expected)
    assert float(partly(1.0, (a, a), (a, a))) == pytest.approx(0, abs=1e-6)


def test_the_largest_entries_of_the_simulated_update_are_matched_and_not_of_the_one_seen() -> None:
    simulated, seen = torch.tensor([4.0, -3.0, 0.1, 0.2]), torch.tensor([4.0, -3.0, 50.0, 60.0])
    assert float(partly(0.5, (simulated,), (seen,))) == pytest.approx(0, abs=1e-6)
    assert float(partly(0.5, (seen,), (simulated,))) > 10
    assert float(partly(1.0, (simulated,), (seen,))) > 10


def test_lanes_are_matched_each_by_its_own_entries() -> None:
    stream = torch.Generator().manual_seed(1)
    a, b = (torch.randn(3, 4, 5, generator=stream) for _ in range(2))
    together = vmap(lambda one, two: partly(0.5, (one,), (two,)))(a, b)
    alone = torch.stack([partly(0.5, (one,), (two,)) for one, two in zip(a, b, strict=True)])
    torch.testing.assert_close(together, alone)


def test_a_tensor_of_rounding_errors_does_not_count() -> None:
    stream = torch.Generator().manual_seed(2)
    a, b, drawn, other = (torch.randn(20, generator=stream) for _ in range(4))
    alone = partly(0.5, (a,), (b,))
    torch.testing.assert_close(partly(0.5, (a, 1e-9 * drawn), (b, 1e-9 * other)), alone)
    assert float((partly(0.5, (a, 1e-3 * drawn), (b, 1e-3 * other)) - alone).abs()) > 0.1


def test_an_update_of_zeros_or_nan_is_no_match() -> None:
    a, zero = torch.ones(4), torch.zeros(4)
    assert float(partly(1.0, (a, a), (zero, zero))) >= 1
    assert float(partly(1.0, (a, a), (zero + torch.nan, a))) != float(partly(1.0, (a, a), (a, a)))
    assert not bool(partly(1.0, (a, a), (zero + torch.nan, a)).isfinite())


def looking(monkeypatch: pytest.MonkeyPatch, look: Look, at: Tensor, matrix: Tensor) -> Tensor:
    """The slope at a place of x'Ax / 2."""
    images, labels = digits(1)
    problem = build_problem([observe(victim(images), images, labels)], [labels], OBJECTIVES["l2"], 0.0, boxed=False)
    monkeypatch.setattr(Problem, "evaluate", lambda _, x: Evaluation((x @ matrix * x).sum(1) / 2, x.sum(1), x @ matrix))
    given = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return Looking(**given, look=look, blend=0.3, reach=0.5).evaluate(at).gradient


def test_the_second_slope_is_ahead_or_up(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, at = torch.diag(torch.tensor([1.0, 2.0, 4.0])), torch.tensor([[0.1, -1.0, 3.0]])
    ahead = looking(monkeypatch, "ahead", at, matrix)
    torch.testing.assert_close(ahead, torch.tensor([[0.7 - 0.3, -1.0, 1.0]]))  # 0.1 - 0.5 is on the other side
    slope = at @ matrix
    up = looking(monkeypatch, "up", at, matrix)
    torch.testing.assert_close(up, slope + 0.3 * 0.5 * (slope / slope.norm()) @ matrix)


@pytest.mark.parametrize("look", ["ahead", "up", "off"])
def test_it_reads_a_picture_and_noise_tells_it_nothing(look: Look) -> None:
    images, labels = digits(1)
    network, attack = victim(images), FedLeak(iterations=300, look=look)
    [read] = attack.attack_all([observe(network, images, labels)])
    [misled] = replace(attack, iterations=50).attack_all([observe(network, images, labels, defend=noise_like)])
    decibels, control = (psnr(one.images, images)[0] for one in (read, misled))
    assert decibels > psnr(best_grey(images), images)[0] + 3
    assert decibels > control + 3
    assert read.evaluations == (301 if look == "off" else 602)
