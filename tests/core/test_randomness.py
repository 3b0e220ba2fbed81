"""Random streams: each is its names', none is another's, and every release draws the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invbench.core.randomness import numpy_stream, seed_of, stream

NAMES: list[tuple[object, ...]] = [
    (),
    (0,),
    (1,),
    ("0",),
    (0.0,),
    (False,),
    (None,),
    ([0],),
    ("client", 0, [], 3),
    ("client", 0, [], 4),
    ("client", 1, [], 3),
    ("client", 0, [{"name": "gaussian", "std": 0.1}], 3),
    ("client", 0, [{"name": "gaussian", "std": 0.2}], 3),
    ("client", 0, 3, []),
    ("attack", 0, [], 3),
    (0, "client", [], 3),
]
"""Streams that must differ: by value, by type, by order, by how names are grouped."""


@pytest.mark.parametrize(
    ("names", "seed"),
    [
        ((), 2858069222894195974),
        ((0,), 7520536977032167579),
        (("victim", 0, {"name": "lenet", "trained": False}, "ab"), 5448721205880039030),
        (("attack", 7, {"name": "dlg", "tv": 0.001}, 12), 4001407538094225981),
    ],
)
def test_seeds_are_the_same_in_every_release(names: tuple[object, ...], seed: int) -> None:
    assert seed_of(*names) == seed


def test_first_draws_are_the_same_in_every_release() -> None:
    golden = [0.60918236, 0.83290732, 0.67583573]
    assert torch.rand(3, generator=stream("golden")).tolist() == pytest.approx(golden, abs=1e-7)
    golden = [0.9034418974911688, 0.8297134110286142, 0.7747466253344254]
    assert numpy_stream("golden").random(3).tolist() == pytest.approx(golden, abs=1e-12)


def test_other_names_give_another_seed() -> None:
    assert len({seed_of(*names) for names in NAMES}) == len(NAMES)


def test_a_mapping_s_order_is_no_part_of_a_name() -> None:
    assert seed_of({"name": "clip", "norm": 1.0}) == seed_of({"norm": 1.0, "name": "clip"})


def test_a_seed_fits_torch_and_numpy() -> None:
    seeds = [seed_of("x", k) for k in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == 200
    assert max(seeds) > 2**62  # the whole range is used
    assert stream("x", 0).initial_seed() == seeds[0]


def test_a_name_that_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError):
        seed_of(object())


def test_streams_repeat_and_do_not_touch_the_global_one() -> None:
    before = torch.get_rng_state()
    assert torch.equal(torch.randn(5, generator=stream("a", 1)), torch.randn(5, generator=stream("a", 1)))
    assert numpy_stream("a", 1).random() == numpy_stream("a", 1).random()
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_are_uncorrelated() -> None:
    count, draws = 24, 4000
    torch_draws = torch.stack([torch.randn(draws, generator=stream("target", k)) for k in range(count)]).numpy()
    numpy_draws = np.stack([numpy_stream("target", k).standard_normal(draws) for k in range(count)])
    for drawn in (torch_draws, numpy_draws):
        between = np.corrcoef(drawn)[np.triu_indices(count, 1)]
        assert np.abs(between).max() < 5 / np.sqrt(draws)
        assert np.abs(drawn.mean(axis=1)).max() < 5 / np.sqrt(draws)
