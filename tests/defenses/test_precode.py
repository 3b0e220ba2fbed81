"""PRECODE: where its bottleneck stands, what its loss adds, that draws hide a gradient and can be skipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from defended_updates import AWARE, NAIVE, defended, read, seeded, undeclared
from made_updates import digits, normalised, public, victim
from small_cells import make_cell
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy

from invbench.attacks.analytic import Analytic
from invbench.defenses import Context, Stack
from invbench.defenses._bottleneck import VariationalBottleneck
from invbench.defenses.precode import Precode
from invbench.games import game_of
from invbench.metrics import assign, psnr
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.observation import PublicDefense
from invbench.play.asking import why_unsupported
from invbench.updates.client import observed_update
from invbench.updates.likelihood import misfit, simulated
from invbench.updates.signals import signals
from invbench.updates.simulation import gradient_of
from invbench.victims.building import build_victim

STACK = Stack((Precode(size=16, beta=0.1),))


def network(model: MLP | LeNet) -> nn.Module:
    return build_victim(model, (1, 8, 8), 10, 0, STACK)


def test_it_stands_in_front_of_the_last_layer_and_leaves_the_others_as_they_were() -> None:
    plain, guarded = victim(digits(1)[0]), network(LeNet())
    last = guarded[7]
    assert isinstance(last, nn.Sequential)
    assert isinstance(last[0], VariationalBottleneck)
    assert isinstance(last[1], nn.Linear)
    assert all(torch.equal(a, b) for a, b in zip(plain[:7].parameters(), guarded[:7].parameters(), strict=True))


def test_the_loss_is_cross_entropy_plus_beta_bits_of_divergence() -> None:
    images, labels = digits(3)
    guarded, images = network(MLP(width=8, depth=1)), normalised(images)
    guarded[3][0].noise = torch.randn(3, 16, generator=seeded(3))
    bottleneck, head = guarded[3]

    def loss(weights: dict[str, Tensor]) -> Tensor:
        hidden = torch.relu(images.flatten(1) @ weights["1.weight"].T + weights["1.bias"])
        said = hidden @ weights["3.0.encoder.weight"].T + weights["3.0.encoder.bias"]
        code = torch.distributions.Normal(said[:, :16], nn.functional.softplus(said[:, 16:]))
        drawn = code.mean + code.stddev * bottleneck.noise
        back = drawn @ weights["3.0.decoder.weight"].T + weights["3.0.decoder.bias"]
        bits = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0)).sum(dim=1) / torch.log(
            torch.tensor(2.0)
        )
        return cross_entropy(back @ weights["3.1.weight"].T + weights["3.1.bias"], labels) + 0.1 * bits.mean()

    weights = {name: p.detach() for name, p in guarded.named_parameters()}
    expected = grad(loss)(weights)
    found = gradient_of(guarded)(images, labels)
    torch.testing.assert_close(dict(zip(weights, found, strict=True)), expected)
    assert head.in_features == 8


def test_its_gradient_can_be_mapped_over_lanes_and_differentiated_again() -> None:
    images, labels = digits(2)
    guarded, images = network(MLP(width=4, depth=1, activation="tanh")).double(), images.double()
    slopes = gradient_of(guarded)

    def size(image: Tensor, label: Tensor) -> Tensor:
        return torch.stack([g.square().sum() for g in slopes(image[None], label[None])]).sum()

    lanes = vmap(grad(size))(images, labels)
    for lane, image, label in zip(lanes, images, labels, strict=True):
        step = torch.zeros_like(image)
        step[0, 3, 3] = 1e-5
        numerical = float(size(image + step, label) - size(image - step, label)) / 2e-5
        assert float(lane[0, 3, 3]) == pytest.approx(numerical, rel=1e-4, abs=1e-6)


def test_each_client_draws_from_its_own_stream_and_the_server_has_no_draw() -> None:
    images, labels = digits(1)
    guarded = network(LeNet())
    [one] = defended(guarded, images, labels, [("precode", {"size": 16})], seed=1)
    [same] = defended(guarded, images, labels, [("precode", {"size": 16})], seed=1)
    [two] = defended(guarded, images, labels, [("precode", {"size": 16})], seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.update, same.update, strict=True))
    off = sum((a - b).square().sum() for a, b in zip(one.update, two.update, strict=True))
    assert off > 0.01 * sum(a.square().sum() for a in one.update)
    assert len(one.model[7][0].noise) == 0
    assert len(guarded[7][0].noise) == 0


def test_a_fully_connected_first_layer_still_gives_its_picture_away() -> None:
    """Balunovic et al. 2022, section 5: dL/dW over dL/db, whatever stands above."""
    images, labels = digits(1)
    [seen] = defended(network(MLP(width=8, depth=1)), images, labels, [("precode", {"size": 16})])
    assert psnr(Analytic()(seen).images, images)[0] > 60


def test_who_skips_the_draw_reads_more_and_one_picture_is_explained_exactly() -> None:
    images, labels = digits(1)
    seen = defended(network(LeNet()), images, labels, [("precode", {"size": 16})])
    assert read(AWARE, seen, images) > read(NAIVE, undeclared(seen), images) + 2
    assert misfit(seen[0], simulated(seen[0], normalised(images), labels)) < 1
    assert misfit(undeclared(seen)[0], simulated(undeclared(seen)[0], normalised(images), labels)) > 1000


@pytest.mark.parametrize(("size", "clients"), [(2, 1), (4, 1), (1, 2)])
def test_several_pictures_are_explained_exactly_too_by_signals_that_fit_the_encoder(size: int, clients: int) -> None:
    """Nobody knows their draws; the error signals are least squares of the encoder's gradients."""
    count = size * clients
    images, labels = digits(count)
    settings = {"clients": clients} if clients > 1 else {}
    guarded, contexts = network(LeNet()), [Context(seeded(client)) for client in range(clients)]
    known = public(guarded, (1, 8, 8), batch=size, **settings)
    known = replace(known, defenses=(PublicDefense("precode", {"size": 16, "beta": 0.1}),))
    update = observed_update(known, guarded, normalised(images), labels, STACK, contexts)
    [seen] = defended(guarded, images, labels, [("precode", {"size": 16, "beta": 0.1})], batch=count)
    seen = replace(seen, public=known, update=update)
    assert misfit(seen, simulated(seen, normalised(images), labels)) < 1
    assert misfit(seen, simulated(seen, normalised(images.flip(2)), labels)) > 1000
    [naive] = undeclared([seen])
    assert misfit(naive, simulated(naive, normalised(images), labels)) > 1000


def test_who_skips_the_draws_of_a_batch_reads_more() -> None:
    images, labels = digits(2)
    [seen] = defended(network(LeNet()), images, labels, [("precode", {"size": 16})], batch=2)
    [told], [blind] = AWARE.attack_all([seen]), NAIVE.attack_all(undeclared([seen]))
    assert in_best_order(told.images, images) > in_best_order(blind.images, images) + 3


def in_best_order(answers: Tensor, images: Tensor) -> float:
    """Mean PSNR in dB: a batch has no order."""
    order = torch.from_numpy(assign(answers.numpy(), images.numpy()))
    return float(psnr(answers[order], images).mean())


def test_signals_of_one_picture_are_the_gradient_of_the_bias_and_more_than_the_inputs_are_not_told() -> None:
    guarded = network(MLP(width=3, depth=1))
    of_one, of_four = (
        replace(public(guarded, (1, 8, 8), batch=batch), defenses=(PublicDefense("precode", {"size": 16}),))
        for batch in (1, 4)
    )
    images, gradient = torch.zeros(4, 1, 8, 8), tuple(torch.rand_like(p) for p in guarded.parameters())
    [told] = signals(of_one, guarded)(gradient, images[:1])
    bias = [name for name, _ in guarded.named_parameters()].index("3.0.encoder.bias")
    assert torch.equal(told["3.0.signal"], gradient[bias][None])
    assert signals(of_four, guarded)(gradient, images) == ()


def test_it_trains_and_what_has_no_classifier_layer_is_unsupported(tmp_path: Path) -> None:
    model = {"name": "mlp", "width": 8, "depth": 1, "trained": True, "training_steps": 3}
    cell = make_cell(tmp_path, defense={"name": "precode", "size": 4}, model=model)
    assert why_unsupported(cell) is None
    one, two = (game_of(cell).deal(cell, torch.device("cpu")).observations[0].update for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    bare = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert Precode().model(bare, Context(seeded(0))) is bare
    assert "does not end in one" in str(Precode().unsupported(bare, 1))


def test_a_text_has_a_code_for_every_token() -> None:
    bottleneck = VariationalBottleneck(6, 4, 1e-3).eval()
    tokens = torch.randn(2, 7, 6, generator=seeded(0))
    alone = torch.stack([bottleneck(tokens[:, place]) for place in range(7)], dim=1)
    torch.testing.assert_close(bottleneck(tokens), alone)
