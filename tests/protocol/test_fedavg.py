"""FedAvg: a client's local steps are those of SGD, and one of them is a gradient."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, normalised, observe, photographs, victim
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional

from invbench.attacks.analytic import Analytic
from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.attacks.peel import Peel
from invbench.metrics import psnr
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.observation import Public, Update, UpdateObservation
from invbench.protocol import Multiple, Shared, UpdateProtocol
from invbench.updates.simulation import as_gradient, multiple_of, simulate

LENET = LeNet()


def small(count: int) -> tuple[Tensor, Tensor]:
    """Crops of photographs, 8 x 8."""
    images, labels = photographs(count)
    return functional.avg_pool2d(images, 2), labels


def told(network: nn.Module, images: Tensor, **settings: Any) -> Public:
    return seen_of(network, images, torch.zeros(len(images), dtype=torch.int64), **settings).public


def shared(network: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Update:
    return seen_of(network, images, labels, **settings).update


def seen_of(network: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> UpdateObservation:
    return observe(network, images, labels, protocol="fedavg", **settings)


def by_sgd(network: nn.Module, images: Tensor, labels: Tensor, *, steps: int, lr: float, size: int) -> list[Tensor]:
    """What `torch.optim.SGD` changes in the weights: the definition, with no word of ours in it."""
    client = copy.deepcopy(network)
    optimizer = torch.optim.SGD(client.parameters(), lr=lr)
    batches = list(zip(normalised(images).split(size), labels.split(size), strict=True))
    for step in range(steps):
        inputs, wanted = batches[step % len(batches)]
        optimizer.zero_grad()
        functional.cross_entropy(client(inputs), wanted).backward()
        optimizer.step()
    pairs = zip(client.parameters(), network.parameters(), strict=True)
    return [(after - before).detach() for after, before in pairs]


def furthest(update: Update, other: Any) -> float:
    """The largest difference of an entry, as a share of its tensor's largest."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(update, other, strict=True))


@pytest.mark.parametrize("batch", [1, 4])
def test_one_step_is_the_gradient_times_minus_the_rate(batch: int) -> None:
    images, labels = small(batch)
    network = victim(images, model=LENET)
    gradient = observe(network, images, labels).update
    update = shared(network, images, labels, steps=1, lr=0.1)
    assert all(torch.equal(u, -0.1 * g) for u, g in zip(update, gradient, strict=True))


@pytest.mark.parametrize(("batch", "size"), [(1, None), (4, None), (4, 2), (4, 3)])
def test_five_steps_are_those_of_sgd(batch: int, size: int | None) -> None:
    images, labels = small(batch)
    network = victim(images, model=LENET)
    update = shared(network, images, labels, steps=5, lr=0.1, local_batch_size=size)
    wanted = by_sgd(network, images, labels, steps=5, lr=0.1, size=size or batch)
    # SGD rounds its weights (up to 0.5) to half of 2^-25 at each step; the smallest tensor's largest change is 1e-4.
    assert furthest(update, wanted) < 5 * 2**-26 / min(float(w.abs().max()) for w in wanted)
    one = shared(network, images, labels, steps=1, lr=0.1)
    assert furthest(update, [5 * tensor for tensor in one]) > 0.05  # more than one gradient told five times


def test_lanes_and_slopes_go_through_the_steps() -> None:
    images, labels = small(3)
    network = victim(images, model=LENET)
    known = told(network, images[:1], steps=3, lr=0.1)

    def loss(image: Tensor, label: Tensor) -> Tensor:
        return torch.stack([t.square().sum() for t in simulate(known, network, image[None], label[None])]).sum()

    inputs = normalised(images)
    together = vmap(grad(loss))(inputs, labels)
    alone = torch.stack([grad(loss)(image, label) for image, label in zip(inputs, labels, strict=True)])
    torch.testing.assert_close(together, alone)
    assert alone.abs().max() > 0


def test_clients_are_averaged_and_each_takes_its_own_steps() -> None:
    images, labels = small(4)
    network = victim(images, model=LENET)
    both = shared(network, images, labels, steps=5, lr=0.1, clients=2)
    halves = [shared(network, images[part], labels[part], steps=5, lr=0.1) for part in (slice(2), slice(2, 4))]
    for together, one, other in zip(both, *halves, strict=True):
        torch.testing.assert_close(together, (one + other) / 2)


def test_an_update_of_one_step_is_read_exactly_and_one_of_more_is_refused() -> None:
    images, labels = small(1)
    network = victim(images, model=LENET)
    seen = seen_of(network, images, labels, steps=1, lr=0.1)
    assert Peel().unsupported(seen.public) is None
    guess = Peel()(seen)
    assert psnr(guess.images, images)[0] > 90
    assert guess.facts["certified"]
    assert guess.labels is not None
    assert torch.equal(guess.labels, labels)
    more = seen_of(network, images, labels, steps=2, lr=0.1)
    assert Peel().unsupported(more.public) == (
        "needs an update that is an exact multiple of one gradient; what fedavg shares is none, but searches take it"
    )
    cut = told(network, torch.cat([images, images]), steps=1, lr=0.1, local_batch_size=1)
    assert not multiple_of(cut).exact


def test_a_mean_over_clients_is_one_gradient_unless_each_has_batch_statistics_of_its_own() -> None:
    images, labels = small(4)
    network = victim(images, model=MLP(width=8))
    seen = seen_of(network, images, labels, steps=1, lr=0.5, clients=2)
    assert multiple_of(seen.public).exact
    assert not multiple_of(told(network, images, steps=1, lr=0.5, clients=2, batch_norm="train")).exact
    assert (Analytic().unsupported(seen.public) or "").startswith("needs one client with batch_size 1, not 2 with 2")


def test_a_protocol_that_says_nothing_of_gradients_shares_no_exact_multiple_and_none_is_zero() -> None:
    class Silent(UpdateProtocol):
        def share(self, *given: Any) -> Shared:
            raise NotImplementedError

    assert not Silent().multiple(1).exact
    for factor in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and not 0"):
            Multiple(factor, exact=False)


def test_the_analytic_answer_does_not_mind_the_rate() -> None:
    images, labels = small(1)
    network = victim(images, model=MLP(width=8))
    seen = seen_of(network, images, labels, steps=1, lr=0.5)
    assert psnr(Analytic()(seen).images, images)[0] > 90
    assert Analytic().unsupported(seen_of(network, images, labels, steps=3, lr=0.5).public) is not None


def test_the_label_is_read_off_several_steps_too() -> None:
    images, labels = small(3)
    network = victim(images, model=LENET)
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        seen = replace(seen_of(network, image, label, steps=5, lr=0.1), labels=None)
        attack = InvertingGradients(iterations=1, labels="idlg")
        [guess] = attack.attack_all([seen])
        assert guess.labels is not None
        assert torch.equal(guess.labels, label)


def test_without_simulation_the_update_is_taken_for_one_gradient() -> None:
    images, labels = small(1)
    network = victim(images, model=LENET)
    one = seen_of(network, images, labels, steps=1, lr=0.1)
    five = seen_of(network, images, labels, steps=5, lr=0.1)
    assert furthest(as_gradient(one), observe(network, images, labels).update) < 1e-6
    assert furthest(as_gradient(five), observe(network, images, labels).update) > 0.05
    blind, told_so = InvertingGradients(iterations=30, simulate=False), InvertingGradients(iterations=30)

    def objective(attack: InvertingGradients, seen: UpdateObservation) -> float | None:
        fresh = replace(seen, generator=torch.Generator().manual_seed(0))
        return attack.attack_all([fresh])[0].objective

    assert objective(blind, one) == pytest.approx(objective(told_so, one), rel=1e-3)
    assert objective(blind, five) != pytest.approx(objective(told_so, five), rel=1e-3)


def test_simulation_is_worth_decibels_at_a_large_rate_and_nothing_at_a_tiny_one() -> None:
    """The claim of benchmarks/fedavg.py, on two digits: there at least 3 dB at rate 0.1, within 0.5 dB at 1e-4."""
    images, labels = digits(2)
    network = victim(images, model=LENET)

    def read(lr: float, iterations: int, *, simulate: bool) -> float:
        attack = InvertingGradients(iterations=iterations, lr=0.3, tv=1e-3, simulate=simulate)
        batches = enumerate(zip(images.split(1), labels.split(1), strict=True))
        guesses = attack.attack_all([seen_of(network, *one, steps=5, lr=lr, seed=k) for k, one in batches])
        return float(psnr(torch.cat([guess.images for guess in guesses]), images).mean())

    assert read(0.1, 38, simulate=True) > read(0.1, 38, simulate=False) + 2
    assert read(1e-4, 12, simulate=True) == pytest.approx(read(1e-4, 12, simulate=False), abs=0.5)
