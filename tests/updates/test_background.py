"""The Gaussian background: its algebra against the slow definition, and how well scores rank members in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from invbench.attacks.gradient_alignment import agreement
from invbench.attacks.matched_filter import log_ratio, shares
from invbench.numbers.ranking import Auc
from invbench.updates.background import Background, Covariance, Whitened

N, BATCH, ROUNDS = 64, 8, 1000
"""Numbers of a synthetic gradient, pictures of a batch, rounds of one member and one other each."""
SPREAD = 1 / torch.arange(1, N + 1, dtype=torch.float64).sqrt()
"""Variances of its entries; their mean is 0."""


def auc(members: Tensor, others: Tensor) -> float:
    scores = torch.cat([members, others]).numpy()
    member = np.arange(len(scores)) < len(members)
    return float(Auc().values([scores, member.astype(float)], np.ones((len(scores), 1)))[0])


def drawn(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, N, generator=generator, dtype=torch.float64) * SPREAD.sqrt()


@pytest.fixture(scope="module")
def rounds() -> tuple[Tensor, Tensor, Tensor]:
    """Sums over batches, a member and another of each: `(ROUNDS, N)`."""
    batches = drawn(ROUNDS * BATCH, 0).reshape(ROUNDS, BATCH, N)
    return batches.sum(dim=1), batches[:, 0], drawn(ROUNDS, 1)


def filtered(sums: Tensor, gradients: Tensor, background: Background) -> Tensor:
    nothing = torch.zeros(N, dtype=torch.float64)
    without, whole = (background.covariance(float(count), nothing + 1e-30) for count in (BATCH - 1, BATCH))
    sides = without.whitened(gradients), without.whitened(sums), whole.whitened(sums)
    return torch.cat([log_ratio(*(_row(side, k) for side in sides)) for k in range(len(sums))])


def _row(all_rows: Whitened, k: int) -> Whitened:
    return Whitened(all_rows.scaled[k : k + 1], all_rows.inside[k : k + 1])


def aligned(sums: Tensor, gradients: Tensor) -> Tensor:
    pairs = zip(sums, gradients.split(1), strict=True)
    return torch.cat([agreement(g, s, "inner-product") for s, g in pairs])


def test_scores_rank_members_as_often_as_the_closed_form_says(rounds: tuple[Tensor, Tensor, Tensor]) -> None:
    """Whitened Phi(sqrt(n / 2B)); inner product Phi(t1 / sqrt((2B + 1) t2)), t1, t2 the sums of c and c^2: only the
    effective dimension t1^2 / t2 of the background counts."""
    sums, members, others = rounds
    phi = NormalDist().cdf
    known = Background(torch.zeros(1, N, dtype=torch.float64), SPREAD, 1.0)
    whitened = auc(filtered(sums, members, known), filtered(sums, others, known))
    assert abs(whitened - phi(math.sqrt(N / (2 * BATCH)))) < 0.02
    expected = float(SPREAD.sum() / ((2 * BATCH + 1) * SPREAD.square().sum()).sqrt())
    assert abs(auc(aligned(sums, members), aligned(sums, others)) - phi(expected)) < 0.02


def test_a_background_of_few_pictures_still_beats_the_inner_product(rounds: tuple[Tensor, Tensor, Tensor]) -> None:
    """Fewer pictures than dimensions: without the diagonal the covariance has no inverse."""
    sums, members, others = rounds
    few = drawn(48, 2)
    background = Background.centred(few - few.mean(dim=0))
    assert 0 < background.share < 1
    found = auc(filtered(sums, members, background), filtered(sums, others, background))
    assert found > auc(aligned(sums, members), aligned(sums, others)) + 0.01


def covariance() -> Covariance:
    rows = drawn(5, 3)
    return Background(rows, rows.square().mean(dim=0), 0.3).covariance(3.0, 0.01 * SPREAD)


def dense(covariance: Covariance) -> Tensor:
    root = covariance.diagonal.sqrt()
    return (torch.eye(N, dtype=torch.float64) + covariance.factor.T @ covariance.factor) * root * root[:, None]


def test_the_covariance_is_times_the_shrunk_one_with_noise_on_its_diagonal() -> None:
    rows = drawn(5, 3)
    variance = rows.square().mean(dim=0)
    expected = 3.0 * (0.7 * rows.T @ rows / 5 + torch.diag(0.3 * variance)) + torch.diag(0.01 * SPREAD)
    torch.testing.assert_close(dense(covariance()), expected)


def test_products_and_the_determinant_are_those_of_the_dense_matrix() -> None:
    a, x, y = covariance(), drawn(3, 4), drawn(2, 5)
    inverse = torch.linalg.inv(dense(a))
    torch.testing.assert_close(a.whitened(x).times(a.whitened(y)), x @ inverse @ y.T)
    torch.testing.assert_close(a.whitened(x).squares(), (x @ inverse @ x.T).diagonal())
    assert math.isclose(a.log_determinant, float(torch.linalg.slogdet(dense(a))[1]))


def test_the_ratio_is_that_of_two_normal_densities() -> None:
    """Golden: torch's own. Without the candidate's own length, or with the mean forgotten, it is another number."""
    d, r = drawn(3, 6), drawn(1, 7)
    rows = drawn(5, 3)
    background = Background(rows, rows.square().mean(dim=0), 0.3)
    without, whole = (background.covariance(times, 0.01 * SPREAD) for times in (3.0, 4.0))
    found = log_ratio(without.whitened(d), without.whitened(r), whole.whitened(r))
    found = found + (whole.log_determinant - without.log_determinant) / 2
    zero = torch.zeros(N, dtype=torch.float64)
    expected = MultivariateNormal(d, dense(without)).log_prob(r) - MultivariateNormal(zero, dense(whole)).log_prob(r)
    torch.testing.assert_close(found, expected)


def test_the_share_is_small_where_the_sample_tells_the_covariance_and_large_where_it_does_not() -> None:
    """Entries that move together against entries that do not."""
    shared = drawn(200, 8)[:, :2] @ torch.randn(2, N, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    together, apart = Background.centred(shared + 0.1 * drawn(200, 10)), Background.centred(drawn(30, 11))
    assert together.share < 0.3 < 0.5 < apart.share


def test_shares_solve_the_least_squares_within_zero_and_one() -> None:
    x = drawn(4, 12)
    kept = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(shares(x @ x.T, x @ (kept @ x)), kept, atol=1e-4, rtol=0)
    outside = shares(x @ x.T, x @ (torch.tensor([3.0, -2.0, 0.5, 0.5], dtype=torch.float64) @ x))
    assert bool(((outside >= 0) & (outside <= 1)).all())
