"""The attacker's own pictures in game `update`: none of them is attacked, or trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_cells import crops, make_cell, write_pool

from invbench.cell import Cell
from invbench.games import game_of
from invbench.games._batches import attackers_own, target_pool
from invbench.play.asking import why_unsupported
from invbench.victims import pool_of


def cell(folder: Path, public: int, *, trained: bool = False, offset: int = 0) -> Cell:
    """Of 20 crops, of which 14 train a trained victim; two batches of one picture are attacked."""
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", crops(20))
    model = {"name": "mlp", "width": 8, "depth": 1, **({"trained": True} if trained else {})}
    return make_cell(folder, model=model, protocol={"name": "fedsgd", "public": public}, offset=offset)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("trained", [False, True])
def test_they_are_neither_attacked_nor_trained_on_and_none_comes_twice(
    tmp_path: Path, trained: bool, offset: int
) -> None:
    one = cell(tmp_path, 3, trained=trained, offset=offset)
    pool = pool_of(one)
    own = attackers_own(one, pool)
    attacked = target_pool(one, pool)[offset : offset + 2]
    assert len(set(own.tolist())) == len(own) == (len(pool.trained_targets) - 2 if trained else 18)
    assert not set(own.tolist()) & set(attacked.tolist())
    assert not trained or not set(own.tolist()) & set(pool.train.tolist())


def test_the_attacker_is_given_them_normalised_with_their_labels_and_in_memory_of_his_own(tmp_path: Path) -> None:
    one = cell(tmp_path, 5)
    pool, public = pool_of(one), game_of(one).public(one)
    chosen = attackers_own(one, pool)[:5]
    mean, std = (torch.tensor(c).reshape(-1, 1, 1) for c in (public.mean, public.std))
    assert torch.allclose(public.reference.images * std + mean, torch.from_numpy(pool.unit(chosen)), atol=1e-6)
    assert public.reference.labels.tolist() == pool.labels[chosen].tolist()
    public.reference.labels.zero_()
    assert game_of(one).public(one).reference.labels.tolist() == pool.labels[chosen].tolist()


def test_more_begin_with_the_fewer_and_none_are_the_default(tmp_path: Path) -> None:
    few, many = (game_of(one).public(one).reference.images for one in (cell(tmp_path, 3), cell(tmp_path, 6)))
    assert torch.equal(many[:3], few)
    none = cell(tmp_path, 0)
    assert game_of(none).public(none).reference is None
    assert "public" not in none.settings["protocol"]


def test_more_than_there_are_is_unsupported_and_says_how_many_there_are(tmp_path: Path) -> None:
    assert why_unsupported(cell(tmp_path, 18)) is None
    said = why_unsupported(cell(tmp_path, 19))
    assert said is not None
    assert said.startswith("public: 19 pictures; npz")
    assert said.endswith("has 18 that are neither attacked nor trained on")


def test_the_update_seen_does_not_depend_on_them(tmp_path: Path) -> None:
    seen = [game_of(one).deal(one, torch.device("cpu")).observations for one in (cell(tmp_path, 0), cell(tmp_path, 4))]
    for one, other in zip(*seen, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.update, other.update, strict=True))
