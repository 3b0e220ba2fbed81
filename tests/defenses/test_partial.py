"""Partial sharing: only the layers that were agreed on leave the client."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from defended_updates import AWARE, NAIVE, defended, read
from made_updates import digits, public, victim
from small_cells import make_cell
from torch import nn

from invbench.attacks.analytic import Analytic
from invbench.defenses import Client, Context, Defense, Stack
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.partial import Partial
from invbench.games import game_of
from invbench.metrics import psnr
from invbench.models.mlp import MLP
from invbench.observation import Failed
from invbench.play.asking import why_unsupported
from invbench.updates.likelihood import misfit, simulated
from invbench.updates.simulation import stack_of


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 4))


def shared_by(layers: str | tuple[str, ...], *others: Defense) -> list[bool]:
    network = small()
    client = Client(public(network, (3, 2, 2), classes=4), network, (torch.zeros(1, 3, 2, 2), torch.zeros(1).long()))
    update = tuple(torch.ones_like(p) for p in network.parameters())
    stack = Stack((Partial(layers=layers), *others))
    return [bool(t.any()) for t in stack.at("update", update, Context(torch.Generator().manual_seed(0), client))]


@pytest.mark.parametrize(
    ("layers", "shared"),
    [
        ("head", [False, False, True, True]),
        ("body", [True, True, False, False]),
        ("1", [True, True, False, False]),
        ("3.weight", [False, False, True, False]),
        ("*.bias", [False, True, False, True]),
        (("*.bias", "head"), [False, True, True, True]),
    ],
)
def test_layers_are_named_by_pattern(layers: str | tuple[str, ...], shared: list[bool]) -> None:
    assert shared_by(layers) == shared


def test_only_shared_layers_cost_bytes_and_their_places_none() -> None:
    update = tuple(torch.ones_like(p) for p in small().parameters())  # 60, 5, 20 and 4 values
    kept = Partial(layers="head").on(small()).update(update, Context(torch.Generator()))
    assert Stack((Partial(layers="head"),)).message_bytes(kept) == 4 * 24


def test_noise_behind_it_does_not_make_an_attacker_take_noise_for_a_layer() -> None:
    images, labels = digits(1)
    network = victim(images)
    declared = [("partial", {"layers": "head"}), ("gaussian", {"std": 1e-3})]
    [seen] = defended(network, images, labels, declared)
    assert all(bool(t.all()) for t in seen.update), "noise filled every layer"
    truth = simulated(seen, (images - 0.5) / 0.3, labels)
    assert 0.8 < misfit(seen, truth) < 1.2
    low, high = stack_of(seen.public).interval(seen.update)
    assert torch.isinf(low[0]).all()
    assert torch.equal(high[-1], seen.update[-1])
    assert isinstance(stack_of(seen.public).defenses[1], Gaussian)


def test_a_first_layer_that_is_shared_gives_its_picture_away_and_a_head_does_not() -> None:
    images, labels = digits(1)
    network = victim(images, model=MLP(width=8, depth=1))
    [body] = defended(network, images, labels, [("partial", {"layers": "body"})])
    assert psnr(Analytic()(body).images, images)[0] > 60
    [head] = defended(network, images, labels, [("partial", {"layers": "head"})])
    with pytest.raises(Failed, match="no unit was active"):
        Analytic()(head)


def test_who_knows_what_was_shared_reads_more() -> None:
    images, labels = digits(1)
    seen = defended(victim(images), images, labels, [("partial", {"layers": ["0", "2"]})])
    assert read(AWARE, seen, images) > read(NAIVE, seen, images) + 3


@pytest.mark.parametrize(
    ("layers", "reason"), [("heed", "no layer is called 'heed'; nearest: 'head'"), ("zzz", "one is '1.weight'")]
)
def test_a_name_that_no_layer_has_is_refused_with_the_nearest(tmp_path: Path, layers: str, reason: str) -> None:
    cell = make_cell(tmp_path, defense={"name": "partial", "layers": layers})
    assert reason in str(game_of(cell).unsupported(cell))
    assert why_unsupported(cell) is not None


def test_a_cell_takes_a_word_or_a_list(tmp_path: Path) -> None:
    for layers in ("head", ["head", "1.*"]):
        cell = make_cell(tmp_path, defense={"name": "partial", "layers": layers})
        assert why_unsupported(cell) is None
        [seen, *_] = game_of(cell).deal(cell, torch.device("cpu")).observations
        assert bool(seen.update[0].any()) is (layers != "head")
