"""FedAvg over epochs in orders that the client draws, and what sending weights instead of a difference hides."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from defended_updates import defended
from made_updates import digits, normalised, public, victim
from torch import Tensor
from torch.nn import functional

from invbench.attacks.auto import Auto
from invbench.attacks.inverting_gradients import InvertingGradients
from invbench.defenses import Context, Stack
from invbench.defenses.gaussian import Gaussian
from invbench.observation import Public, Update, UpdateObservation
from invbench.protocol.fedavg import ORDER, FedAvg
from invbench.updates.client import sent_by_one
from invbench.updates.likelihood import misfit, noise, simulated
from invbench.updates.simulation import multiple_of, protocol_of, simulate

IMAGES, LABELS = digits(5)
NETWORK = victim(IMAGES)


def told(batch: int = 5, **settings: object) -> Public:
    return public(NETWORK, (1, 8, 8), batch=batch, protocol="fedavg", **settings)


def changed(batches: list[Tensor], lr: float) -> Update:
    """What `torch.optim.SGD` changes by a step on each of these batches, by index: the definition."""
    client = copy.deepcopy(NETWORK)
    optimizer = torch.optim.SGD(client.parameters(), lr=lr)
    for batch in batches:
        optimizer.zero_grad()
        functional.cross_entropy(client(normalised(IMAGES)[batch]), LABELS[batch]).backward()
        optimizer.step()
    pairs = zip(client.parameters(), NETWORK.parameters(), strict=True)
    return tuple((after - before).detach() for after, before in pairs)


def test_epochs_in_drawn_orders_are_those_of_sgd_on_the_same_batches() -> None:
    known = told(epochs=3, local_batch_size=2, order="shuffled", lr=0.1)
    draws = protocol_of(known).draw(5, torch.Generator().manual_seed(1))
    order = draws[ORDER]
    assert order.shape == (3, 5)
    assert all(sorted(one.tolist()) == [0, 1, 2, 3, 4] for one in order)
    assert not torch.equal(order[0], order[1])
    with torch.no_grad():
        update = simulate(known, NETWORK, normalised(IMAGES), LABELS, draws=draws)
    wanted = changed([batch for one in order for batch in one.split(2)], 0.1)
    others = changed([batch for one in order.flip(0) for batch in one.split(2)], 0.1)
    for a, b, c in zip(update, wanted, others, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
        assert float((a - c).norm() / a.norm()) > 1e-3
    assert protocol_of(known).local_steps(5) == 9
    assert multiple_of(known).factor == pytest.approx(-0.9)


def test_a_client_draws_its_orders_from_its_own_stream_and_a_fixed_order_draws_nothing() -> None:
    [one], [same], [other] = (
        defended(NETWORK, IMAGES, LABELS, (), batch=5, seed=seed, protocol="fedavg", epochs=2, local_batch_size=2,
                 order="shuffled")
        for seed in (1, 1, 2)
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(one.update, same.update, strict=True))
    assert not torch.equal(one.update[0], other.update[0])
    generator = torch.Generator()
    assert FedAvg(epochs=2, local_batch_size=2).draw(5, generator) == {}
    assert FedAvg(epochs=2, order="shuffled").draw(5, generator) == {}  # one local batch has no order


def test_a_search_says_that_the_order_is_hidden_and_whoever_judges_by_it_is_unsupported() -> None:
    shuffled = {"protocol": "fedavg", "epochs": 2, "local_batch_size": 2, "order": "shuffled"}
    [seen] = defended(NETWORK, IMAGES, LABELS, (), batch=5, **shuffled)
    [guess] = InvertingGradients(iterations=1).attack_all([seen])
    assert guess.notes == ("what fedavg draws is hidden: its client is simulated with its pictures in one order",)
    assert "what fedavg draws is hidden" in (Auto().unsupported(seen.public) or "")


def test_epochs_count_steps_and_every_picture_alike() -> None:
    assert FedAvg(epochs=2, steps=7).local_steps(4) == 2
    assert FedAvg(epochs=2, local_batch_size=2).even(4)
    assert not FedAvg(epochs=2, local_batch_size=3).even(4)
    assert not FedAvg(steps=3, local_batch_size=2).even(4)
    assert FedAvg(epochs=1).multiple(4).exact
    assert not FedAvg(epochs=1, local_batch_size=2).multiple(4).exact


def through(sends: str, lr: float) -> UpdateObservation:
    """One step of one client, whose gradient is known, at a rate."""
    [seen] = defended(NETWORK, IMAGES[:1], LABELS[:1], (), protocol="fedavg", steps=1, lr=lr, sends=sends)
    return seen


def test_sent_weights_hide_what_is_below_half_of_their_spacing() -> None:
    kept, lost = through("difference", 1e-5), through("weights", 1e-5)
    hidden = 0
    for weight, whole, rest in zip(NETWORK.parameters(), kept.update, lost.update, strict=True):
        assert torch.equal(rest, (weight + whole).detach() - weight.detach())
        spacing = (weight.abs().nextafter(torch.tensor(torch.inf)) - weight.abs()).detach()
        gone = whole.abs() < 0.24 * spacing  # a quarter below a power of two, where numbers lie closer
        hidden += int((gone & (whole != 0)).sum())
        assert not bool(rest[gone].any())
    assert hidden > 100


def misfit_of_truth(seen: UpdateObservation) -> float:
    return misfit(seen, simulated(seen, normalised(IMAGES[:1]), LABELS[:1]))


def test_the_attacker_knows_how_much_sent_weights_are_rounded() -> None:
    seen = through("weights", 1e-3)
    assert 0.01 < misfit_of_truth(seen) < 2
    assert misfit_of_truth(through("difference", 1e-3)) < 2
    untold = replace(seen, public=told(1, **{**seen.public.protocol_settings, "sends": "difference"}))
    assert misfit_of_truth(untold) > 100  # what rounding left passes for something that nobody declared
    assert all(float(variance.min()) > 0 for variance in noise(seen)[0])


def test_what_is_sent_as_weights_is_defended_first() -> None:
    known = told(1, steps=1, lr=1e-6, sends="weights")
    stack = Stack((Gaussian(std=1e-3),))
    sent = sent_by_one(known, NETWORK, normalised(IMAGES[:1]), LABELS[:1], Context(torch.Generator()), stack)
    for weight, change in zip(NETWORK.parameters(), sent, strict=True):
        assert torch.equal((weight + change) - weight, change)  # a difference of two models in float32
