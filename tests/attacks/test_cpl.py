"""Attack `cpl`: starts of repeated tiles, its term on the network's answers, a control that it must beat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_updates import digits, noise_like, normalised, observe, public, victim
from torch.nn.functional import one_hot

from invbench.attacks.cpl import Cpl
from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import build_problem
from invbench.matching.terms import of_answers
from invbench.metrics import best_grey, psnr

SHORT = Cpl(restarts=3, iterations=300)


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_a_start_is_one_tile_of_noise_between_black_and_white_repeated(tiles: int) -> None:
    images, labels = digits(2)
    seen = observe(victim(images), images, labels)
    problem = build_problem([seen], [labels], OBJECTIVES["l2"], 0.0, boxed=False)
    start = seen.to_unit_range(problem.images(Cpl(tiles=tiles)._start(problem, seen)[None])[0])
    assert start.shape == images.shape
    assert 0 <= float(start.min()) < float(start.max()) <= 1
    side = -(-8 // tiles)
    whole = start[..., :side, :side].repeat(1, 1, tiles, tiles)[..., :8, :8]
    torch.testing.assert_close(whole, start)
    assert not torch.equal(start[0], start[1])


def test_labels_that_are_sought_start_beside_the_tiles() -> None:
    images, labels = digits(2)
    seen = observe(victim(images), images, labels)
    problem = build_problem([seen], [None], OBJECTIVES["l2"], 0.0, boxed=False)
    assert Cpl(task=0.0, labels="joint")._start(problem, seen).shape == (problem.size,)


def test_the_task_term_is_the_squared_distance_of_probabilities_to_the_label() -> None:
    images, labels = digits(3)
    network = victim(images)
    seen = observe(network, images, labels)
    term = of_answers(0.5, seen, "known")
    expected = (network(normalised(images)).softmax(1) - one_hot(labels, 10)).square().sum() / 3
    torch.testing.assert_close(term.cost(normalised(images), term.beside(seen)), expected)
    assert term.weight == 0.5


def test_without_known_labels_its_term_is_unsupported_and_can_be_left_out() -> None:
    images, _ = digits(1)
    known = public(victim(images), (1, 8, 8))
    assert Cpl(labels="joint").unsupported(known) == "labels: joint: its task term needs labels; `task: 0` goes without"
    assert Cpl(labels="joint", task=0.0).unsupported(known) is None
    assert "hides the labels" in (Cpl().unsupported(public(victim(images), (1, 8, 8), batch=2, labels="hidden")) or "")


@pytest.mark.parametrize("task", [0.0, 1.0])
def test_it_reads_pictures_whose_labels_are_hidden_and_noise_tells_it_nothing(task: float) -> None:
    images, labels = digits(1)
    network, attack = victim(images), replace(SHORT, task=task)
    [read] = attack.attack_all([observe(network, images, labels, hidden=True)])
    [misled] = attack.attack_all([observe(network, images, labels, hidden=True, defend=noise_like)])
    assert read.labels is not None
    assert read.labels.tolist() == labels.tolist()
    decibels, control = (psnr(one.images, images)[0] for one in (read, misled))
    assert decibels > psnr(best_grey(images), images)[0] + 5
    assert decibels > control + 5
