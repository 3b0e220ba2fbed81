"""Game `update` where BatchNorm's statistics are granted: what crosses the wall, and what may not be claimed then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_cells import crops, make_cell, write_pool
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.games.update import GIVEN, UpdateDeal, UpdateGame
from invbench.observation import UpdateObservation
from invbench.play.asking import why_unsupported
from invbench.protocol._batch_norm import running
from invbench.updates.statistics import known_statistics

ATTACK = {"name": "inverting-gradients", "iterations": 1}
NETWORK = {"name": "convnet", "width": 2}
TRAIN = {"name": "fedsgd", "batch_norm": "train"}
AFTER, GIVEN_OUTRIGHT = {**TRAIN, "batch_statistics": "after"}, {**TRAIN, "batch_statistics": "given"}
MIXED = {"name": "mixup"}


@pytest.fixture(autouse=True)
def _own_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    write_pool(tmp_path / "pool.npz", crops(12, side=9))  # pooled by 3 twice


def cell_of(folder: Path, protocol: Any, **said: Any) -> Cell:
    return make_cell(folder, attack=ATTACK, model=NETWORK, batch_size=4, protocol=protocol, **said)


def played(folder: Path, protocol: Any, **said: Any) -> UpdateDeal:
    return UpdateGame().deal(cell_of(folder, protocol, **said), torch.device("cpu"))


def of(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), unbiased=False)


def true_statistics(deal: UpdateDeal) -> list[tuple[Tensor, Tensor]]:
    """Mean and biased variance of each layer's input of the first target's pictures, in the mode of its client."""
    [seen, *_], found = deal.observations, []
    for layer in seen.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda _, given: found.append(of(given[0])))
    mean, std = seen.channel_constants()
    with torch.no_grad():
        seen.model((torch.from_numpy(deal.truths[0].images) - mean) / std)
    return found


def near(seen: UpdateObservation, true: list[tuple[Tensor, Tensor]]) -> bool:
    told = list(known_statistics(seen).values())
    pairs = [(one.mean, mean) for one, (mean, _) in zip(told, true, strict=True)]
    pairs += [(one.variance, variance) for one, (_, variance) in zip(told, true, strict=True)]
    return all(torch.allclose(a.float(), b, rtol=1e-4, atol=1e-4 * float(b.abs().max())) for a, b in pairs)


@pytest.mark.parametrize("protocol", [AFTER, GIVEN_OUTRIGHT, {"name": "fedsgd", "batch_statistics": "given"}])
def test_an_attacker_who_is_granted_them_has_the_batch_s_statistics(tmp_path: Path, protocol: Any) -> None:
    """The deepest layers see nine places of four pictures: n / (n - 1) is 2.9 % more than 1."""
    deal = played(tmp_path, protocol)
    assert near(deal.observations[0], true_statistics(deal))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_buffers_as_before_the_round_are_the_global_model_s_in_either_mode(tmp_path: Path, mode: str) -> None:
    deal = played(tmp_path, {**TRAIN, "batch_norm": mode})
    [seen, *_] = deal.observations
    assert seen.buffers_after is seen.statistics is None
    told = known_statistics(seen)
    assert len(told) == 8
    assert all(not one.mean.any() and bool((one.variance == 1).all()) for one in told.values()), "it is not trained"
    assert not near(seen, true_statistics(deal))


def test_the_noise_control_sees_running_statistics_in_the_batch_s_place(tmp_path: Path) -> None:
    for protocol in (AFTER, GIVEN_OUTRIGHT):
        cell = cell_of(tmp_path, protocol)
        [seen, *_] = UpdateGame().reruns(cell)["noise"].observe(torch.device("cpu"))
        assert (seen.buffers_after is None) == (protocol is GIVEN_OUTRIGHT)
        before = running(seen.buffers_before)
        for name, one in known_statistics(seen).items():
            torch.testing.assert_close(one.mean.float(), before[name].mean)
            assert (one.variance.float() <= before[name].variance).all()


def test_they_are_of_the_pictures_as_the_client_s_defences_leave_them(tmp_path: Path) -> None:
    plain, mixed = played(tmp_path, AFTER), played(tmp_path, AFTER, defense=MIXED)
    assert not near(mixed.observations[0], true_statistics(plain))
    again = played(tmp_path, AFTER, defense=MIXED)
    before, now = (one.observations[0].buffers_after for one in (mixed, again))
    assert before is not None
    assert now is not None
    assert all(torch.equal(before[name], now[name]) for name in before)


@pytest.mark.parametrize("protocol", [AFTER, GIVEN_OUTRIGHT])
def test_no_epsilon_and_no_limit_stands_beside_what_no_defence_covers(tmp_path: Path, protocol: Any) -> None:
    stack = [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 1.0}]]
    bare, granted = played(tmp_path, TRAIN, defense=stack), played(tmp_path, protocol, defense=stack)
    assert "epsilon" in bare._guaranteed.limits(bare.cell)
    assert granted.limits() == {}
    why = "BatchNorm's statistics of the batch are seen, on which no defence acts (batch_statistics)"
    assert f"no epsilon: {why}" in granted.notes
    assert f"the limits are empty: {why}" in granted.notes
    assert (GIVEN in granted.notes) == (protocol is GIVEN_OUTRIGHT)


def test_a_grant_is_named_and_one_that_cannot_be_is_unsupported(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, AFTER)
    assert cell.names["protocol"] == "fedsgd(batch_norm=train,batch_statistics=after)"
    assert why_unsupported(cell) is None
    why = UpdateGame().unsupported(cell_of(tmp_path, {"name": "fedsgd", "batch_statistics": "after"}))
    assert why is not None
    assert "`batch_norm: train` moves them" in why
