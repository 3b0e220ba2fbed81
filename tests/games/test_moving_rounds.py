"""Cells in which a client's batch is the same in several rounds while the global model moves."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_updates import digits, normalised, observe
from small_cells import crops, make_cell, make_cells, write_pool
from torch import Tensor, nn
from torch.func import jacrev

from invbench.cell import Cell
from invbench.games import game_of
from invbench.matching.objectives import l2
from invbench.matching.problem import build_problem
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.observation import SharedRound, UpdateObservation
from invbench.play.asking import why_unsupported
from invbench.play.knowing import told_observations
from invbench.updates.likelihood import misfit, simulated, squared_residual
from invbench.updates.one_model import same_weights
from invbench.updates.simulation import simulate

CPU = torch.device("cpu")
ATTACK = {"name": "inverting-gradients", "iterations": 2}


def moving(count: int, protocol: str = "fedsgd", **said: Any) -> dict[str, Any]:
    return {"name": protocol, "rounds": count, "server_lr": 0.5, **said}


def dealt(cell: Cell) -> UpdateObservation:
    return game_of(cell).deal(cell, CPU).observations[0]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    write_pool(tmp_path / "pool.npz", crops(24, side=6))


@pytest.mark.parametrize(("protocol", "sign"), [("fedsgd", -1), ("fedavg", 1)])
def test_the_server_steps_against_a_gradient_and_along_a_difference(tmp_path: Path, protocol: str, sign: int) -> None:
    still, moved = make_cells(tmp_path, attack=ATTACK, protocol=[{"name": protocol, "rounds": 3}, moving(3, protocol)])
    assert "server_lr" not in still.settings["protocol"]
    seen, first = dealt(moved), dealt(still)
    assert all(torch.equal(a, b) for a, b in zip(seen.update, first.update, strict=True))
    for before, after in zip(seen.rounds, seen.rounds[1:], strict=False):
        pairs = zip(before.model.parameters(), after.model.parameters(), before.update, strict=True)
        assert all(torch.allclose(old + sign * 0.5 * u, new) for old, new, u in pairs)
        assert not torch.equal(before.update[0], after.update[0])
    [told] = told_observations(moved, [seen])
    assert not told.pooled
    assert len(told.rounds) == 3


def test_noise_in_their_place_moves_a_model_of_its_own(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=ATTACK, protocol=moving(2))
    seen, [control, _] = dealt(cell), game_of(cell).reruns(cell)["noise"].observe(CPU)
    own = zip(control.rounds[0].model.parameters(), control.rounds[1].model.parameters(), control.update, strict=True)
    assert all(torch.allclose(old - 0.5 * u, new) for old, new, u in own)
    assert not torch.equal(next(control.rounds[1].model.parameters()), next(seen.rounds[1].model.parameters()))


def test_limits_are_empty_and_crafted_weights_do_not_move(tmp_path: Path) -> None:
    noisy = make_cell(tmp_path, attack=ATTACK, defense={"name": "gaussian", "std": 0.01}, protocol=moving(2))
    deal = game_of(noisy).deal(noisy, CPU)
    assert not deal.limits()
    assert any("the global model moves between rounds" in note for note in deal.notes)
    crafting = make_cell(tmp_path, attack="suppress", protocol=moving(2, clients=2))
    assert (why_unsupported(crafting) or "").startswith("suppress crafts the weights of one round")


IMAGES, LABELS = digits(2)


def narrow(seed: int) -> nn.Module:
    """One channel of 3 x 3: of 64 pixels a gradient tells 16 filtered ones and ten sums."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 1, 3, 2, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(16, 10)).eval()


def rounds_at(networks: Sequence[nn.Module], picture: int = 0) -> UpdateObservation:
    """One picture's gradients at these weights, as the server sees them."""
    here, said = slice(picture, picture + 1), {"rounds": len(networks), "server_lr": 1.0}
    each = [observe(network, IMAGES[here], LABELS[here], **said) for network in networks]
    shared = tuple(SharedRound(one.model, one.update) for one in each)
    return replace(each[0], rounds=shared if len(shared) > 1 else ())


def test_two_rounds_are_one_sum_of_squares_and_one_likelihood() -> None:
    networks = [narrow(0), narrow(1)]
    both, first, second = rounds_at(networks), rounds_at(networks[:1]), rounds_at(networks[1:])
    guess, label = normalised(IMAGES[:1]) + 0.1, LABELS[:1]
    values = []
    for seen in (both, first, second):
        problem = build_problem([seen], [label], l2, tv=0.0, boxed=False)
        values.append(float(problem.evaluate(guess.reshape(1, -1)).objective))
    assert values[0] == pytest.approx(values[1] + values[2], rel=1e-5)
    squares = [squared_residual(seen, simulated(seen, guess, label), error=0.01) for seen in (both, first, second)]
    assert squares[0][0] == pytest.approx(squares[1][0] + squares[2][0], rel=1e-6)
    assert squares[0][1] == squares[1][1] + squares[2][1]


def test_a_picture_that_one_round_cannot_tell_from_the_truth_is_told_by_two() -> None:
    one, two, truth = rounds_at([narrow(0)]), rounds_at([narrow(0), narrow(1)]), normalised(IMAGES[:1])
    network = copy.deepcopy(one.model).double()

    def sent(pixels: Tensor) -> Tensor:
        update = simulate(one.public, network, pixels.reshape(truth.shape), LABELS[:1])
        return torch.cat([tensor.flatten() for tensor in update])

    _, spectrum, directions = torch.linalg.svd(jacrev(sent)(truth.double().flatten()))
    assert float(spectrum[25]) < 1e-9 * float(spectrum[0])  # 16 filtered pixels and 9 sums, of 64
    other = truth + directions[-1].reshape(truth.shape).float()
    errors = [[misfit(seen, simulated(seen, of, LABELS[:1])) for of in (truth, other)] for seen in (one, two)]
    assert max(errors[0][0], errors[0][1], errors[1][0]) < 5
    assert errors[1][1] > 1000


def test_lanes_share_weights_only_where_every_round_does() -> None:
    one, same, other = (rounds_at([narrow(0), narrow(k)]) for k in (1, 1, 2))
    assert same_weights(one, same)
    assert not same_weights(one, other)
    assert not same_weights(one, rounds_at([narrow(0)]))


def test_more_rounds_at_moving_weights_read_more() -> None:
    search = Recipe(iterations=38, lr=0.3, tv=1e-3)  # fewer than are traced: tracing takes longer here

    def read(count: int) -> float:
        answers = [search.attack_all([rounds_at([narrow(k) for k in range(count)], picture)]) for picture in (0, 1)]
        return float(psnr(torch.cat([guess.images for (guess,) in answers]), IMAGES).mean())

    assert read(4) > read(1) + 2
