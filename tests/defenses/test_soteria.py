"""Soteria: which columns it leaves out, that no other choice lies farther off, and that attackers skip them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from defended_updates import AWARE, NAIVE, defended, read, undeclared
from made_updates import digits, normalised, public, victim
from small_cells import make_cell
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from invbench.attacks.analytic import Analytic
from invbench.defenses import Client, Context, Stack
from invbench.defenses.soteria import Soteria, telling
from invbench.metrics import psnr
from invbench.models.mlp import MLP
from invbench.play.asking import why_unsupported
from invbench.updates.likelihood import misfit, simulated
from invbench.updates.simulation import gradient_of, stack_of


def client(network: nn.Module, images: Tensor, labels: Tensor) -> Client:
    shape = (images.shape[1], images.shape[2], images.shape[3])
    return Client(public(network, shape, batch=len(images)), network, (images, labels))


def defend(network: nn.Module, images: Tensor, labels: Tensor, **settings: float) -> tuple[Tensor, ...]:
    context = Context(torch.Generator(), client(network, images, labels))
    return Stack((Soteria(**settings),)).at("update", gradient_of(network)(images, labels), context)  # type: ignore[arg-type]


def test_the_score_is_the_papers_ratio_summed_over_the_batch() -> None:
    images, labels = digits(2)
    network, images = victim(images, model=MLP(width=6, depth=1, activation="tanh")), normalised(images)
    expected = torch.zeros(6)
    for image in images.split(1):
        slopes = jacobian(network[:3], image).reshape(6, -1)  # dr/dX, slowly
        inverse = torch.stack([torch.linalg.pinv(row[None])[:, 0] for row in slopes])  # of each row alone
        expected += (network[:3](image)[0, :, None] * inverse).norm(dim=1).detach()
    torch.testing.assert_close(telling(client(network, images, labels), network[3]), expected)


def test_no_other_choice_makes_the_reconstruction_lie_farther_off() -> None:
    """Where features are the pixels, each times a factor, what is left out is what its reconstruction lacks."""
    images = torch.tensor([0.3, -1.0, 0.1, 0.7, 2.0, -0.2]).reshape(1, 1, 2, 3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 6, bias=False), nn.Linear(6, 3))
    factors = torch.tensor([9.0, 0.1, 4.0, 0.5, 0.2, 7.0])
    with torch.no_grad():
        network[1].weight.copy_(factors.diag())
    weight = defend(network, images, torch.tensor([1]), share=0.5)[1]
    kept = weight.any(dim=0)
    representation = network[1](images.flatten(1))[0].detach()

    def distance(mask: Tensor) -> float:
        return float(((representation - representation * mask) / factors).norm())

    others = [torch.tensor(mask) for mask in itertools.product([True, False], repeat=6) if sum(mask) == 3]
    assert distance(kept) == pytest.approx(max(distance(mask) for mask in others))
    assert distance(kept) > 5 * distance(~kept)  # what an inverted selection would leave out


def test_columns_of_one_layer_are_left_out_and_nothing_else() -> None:
    images, labels = digits(2)
    network, images = victim(images, model=MLP(width=10, depth=1, activation="tanh")), normalised(images)
    before, after = gradient_of(network)(images, labels), defend(network, images, labels, share=0.7)
    assert all(torch.equal(before[k], after[k]) for k in (0, 1, 3))
    kept = after[2].any(dim=0)
    assert int(kept.sum()) == 3
    assert torch.equal(after[2][:, kept], before[2][:, kept])
    sent = 4 * (sum(t.numel() for t in before) - 7 * 10)
    assert Stack((Soteria(share=0.7),)).message_bytes(after) == sent + 2  # and ten bits


def test_attackers_expect_nothing_of_what_was_left_out() -> None:
    images, labels = digits(1)
    network = victim(images)
    for declared in ([("soteria", {})], [("soteria", {}), ("gaussian", {"std": 1e-4})]):
        [seen] = defended(network, images, labels, declared)
        stack, name = stack_of(seen.public), [n for n, _ in network.named_parameters()].index("7.weight")
        low, high = stack.interval(seen.update)
        zeros = tuple(torch.zeros_like(t) for t in seen.update)
        open_ = stack.expected(seen.update, zeros, seen.update)[1][name].isinf()
        assert torch.equal(open_, low[name].isinf() & high[name].isinf())
        assert open_.float().mean() == pytest.approx(0.8 if len(declared) == 1 else 1.0, abs=0.02)
        assert not any(bool(one.isinf().any()) for k, one in enumerate(low) if k != name)
        assert misfit(seen, simulated(seen, normalised(images), labels)) < 1.3
        assert misfit(undeclared([seen])[0], simulated(seen, normalised(images), labels)) > 100


def test_it_protects_no_layer_but_its_own() -> None:
    """Of the defended layer alone nothing hinders the closed form on the first (Balunovic et al. 2022, section 5)."""
    images, labels = digits(1)
    network = victim(images, model=MLP(width=8, depth=1))
    [seen] = defended(network, images, labels, [("soteria", {"share": 0.9})])
    assert psnr(Analytic()(seen).images, images)[0] > 60


def test_who_skips_what_was_left_out_reads_more() -> None:
    images, labels = digits(1)
    seen = defended(victim(images), images, labels, [("soteria", {"share": 0.8})])
    assert read(AWARE, seen, images) > read(NAIVE, seen, images) + 3


@pytest.mark.parametrize(("layer", "reason"), [("3x", "nearest: '3'"), ("zzz", "there are 1, 3")])
def test_a_layer_that_is_not_there_is_refused(tmp_path: Path, layer: str, reason: str) -> None:
    cell = make_cell(tmp_path, defense={"name": "soteria", "layer": layer})
    assert f"no fully connected layer is called {layer!r}; {reason}" in str(why_unsupported(cell))
