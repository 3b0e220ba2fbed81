"""Who took part, from drawn sums: exact without noise, no better than chance where nothing is to be read."""

from __future__ import annotations

import numpy as np
import pytest
from made_federations import Floats, drawn

from invbench.disaggregation.counts import Counts, counted
from invbench.disaggregation.integer import solved
from invbench.disaggregation.projections import linear_start, searched
from invbench.disaggregation.recovering import Recovered, Search, recovered
from invbench.disaggregation.subspace import subspace
from invbench.disaggregation.swaps import swapped
from invbench.disaggregation.updates import individual

SEARCH = Search(iterations=1000, restarts=3, nodes=10)


def from_sums(there: Floats, sums: Floats, window: int, taking_part: int, search: Search = SEARCH) -> Recovered:
    counts = counted(there.astype(int), window)
    return recovered(sums, counts, taking_part, (there.shape[1],), search, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("clients", "rounds", "taking_part", "window"),
    [(16, 64, 4, 8), (32, 128, 8, 8), (12, 50, 5, 7), (64, 256, 6, 16)],
    ids=str,
)
def test_without_noise_the_whole_matrix_and_every_update_are_recovered(
    clients: int, rounds: int, taking_part: int, window: int
) -> None:
    there, updates, sums = drawn(clients, rounds, taking_part)
    found = from_sums(there, sums, window, taking_part)
    assert np.array_equal(found.participation, there)
    assert found.explained.all()
    assert np.abs(individual(sums, found.participation) - updates).max() < 1e-9


def test_noise_as_large_as_a_tenth_of_an_update_s_entry_hides_nobody() -> None:
    there, updates, sums = drawn(16, 64, 4, noise=0.1)
    found = from_sums(there, sums, 8, 4)
    assert np.array_equal(found.participation, there)
    errors = np.linalg.norm(individual(sums, there) - updates, axis=1) / np.linalg.norm(updates, axis=1)
    assert errors.max() < 0.1, "the mean over some 16 rounds has a quarter of the noise"


def test_of_pure_noise_little_is_believed_and_the_answer_is_the_counts() -> None:
    there, _, sums = drawn(16, 64, 4, noise=1000.0)
    found = from_sums(there, sums, 8, 4, Search(iterations=200, restarts=1, nodes=10))
    assert found.believed.sum() <= 3
    assert found.programmes == 0, "where nobody's column fits no programme is asked"
    doubted = found.participation[:, ~found.believed]
    likely = np.repeat(2 * counted(there.astype(int), 8).values > 8, 8, axis=0)[:, ~found.believed]
    assert np.array_equal(doubted, likely)


def test_updates_behind_noise_are_never_much_worse_than_their_mean() -> None:
    there, updates, sums = drawn(16, 64, 4, noise=30.0)
    mean = sums.sum(axis=0) / there.sum()
    by_mean, by_all = (np.linalg.norm(said - updates) for said in (mean, individual(sums, there)))
    plain = np.linalg.norm(np.linalg.lstsq(there, sums, rcond=None)[0] - updates)
    assert by_all < 1.1 * by_mean
    assert by_all < 0.5 * plain


def test_the_programme_finds_and_proves_the_column_that_is_left() -> None:
    there, _, sums = drawn(6, 24, 2)
    counts = counted(there.astype(int), 6)
    column, proven = solved(subspace(sums, 6), counts, 3, nodes=100)
    assert proven
    assert column is not None
    assert np.array_equal(column, there[:, 3])


def test_swaps_mend_two_rounds_that_were_exchanged_and_keep_the_counts() -> None:
    there, _, sums = drawn(8, 48, 3)
    counts, wrong = counted(there.astype(int), 8), there.copy()
    first = int(np.flatnonzero(there[:8, 0] == 1)[0]) if there[:8, 0].any() else int(np.flatnonzero(there[:, 0])[0])
    window = slice(first // 8 * 8, first // 8 * 8 + 8)
    other = window.start + int(np.flatnonzero(there[window, 0] == 0)[0])
    wrong[first, 0], wrong[other, 0] = 0, 1
    assert np.array_equal(swapped(subspace(sums, 8), counts, wrong), there)


def test_enough_windows_make_the_linear_start_exact() -> None:
    there, _, sums = drawn(8, 64, 3)
    counts = counted(there.astype(int), 4)  # 16 windows, 8 clients
    assert np.abs(linear_start(subspace(sums, 8), counts) - there).max() < 1e-8
    space = subspace(sums, 8)
    assert np.array_equal(searched(space, counts, linear_start(space, counts), 1, 0.1), there)


def test_nearest_columns_keep_the_counts_of_a_short_last_window() -> None:
    counts = Counts(np.array([[2], [1]]), rounds=5, window=3)
    found = counts.nearest(np.array([[0.1], [0.9], [0.5], [0.2], [0.3]]))
    assert found[:, 0].tolist() == [0, 1, 1, 0, 1]
    assert counts.sums() @ found == pytest.approx(counts.values)
    with pytest.raises(ValueError, match="need as many counts"):
        Counts(np.array([[2]]), rounds=5, window=3)
