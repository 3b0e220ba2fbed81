"""Federated trainings: dealt pictures, rounds that are plain SGD and McMahan's average, defences at every stage."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cells import make_cell, write_pool
from torch.nn.functional import cross_entropy

from invbench.core.artefacts import fetch
from invbench.core.training import Training
from invbench.defenses import NO_DEFENSES
from invbench.federation import Federation, Utility, federation_of
from invbench.games.update import UpdateGame
from invbench.observation import Labelled, Tensors
from invbench.play.federating import artefact, record_of, why_unsupported
from invbench.protocol import Gradient
from invbench.victims import victim
from invbench.victims.dealing import Share, clients_of, dealt
from invbench.victims.federated import Rounds, correct, federate, gradient_by

ALL = {"participation": 1.0, "optimizer": "sgd", "rounds": 1}


def federation(folder: Path, utility: Utility | None = None, **said: Any) -> Federation:
    if "dataset" not in said and not (folder / "pool.npz").exists():
        drawn = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
        write_pool(folder / "pool.npz", drawn)
    found = federation_of(make_cell(folder, **said), utility or Utility(rounds=2, clients=2))
    assert found is not None
    return found


def pictures(count: int = 8) -> Labelled:
    drawn = torch.Generator().manual_seed(0)
    return Labelled(torch.randn(count, 3, 16, 16, generator=drawn), torch.arange(count) % 3)


def trained(
    folder: Path, utility: Utility, protocol: Any, shown: Labelled
) -> tuple[torch.nn.Module, list[Share], Rounds]:
    """A network trained by one federation, its clients as they were before, and what the rounds cost."""
    cell = federation(folder, utility, protocol=protocol).cell
    network, clients = victim(cell), clients_of(shown.labels.numpy(), utility, "dealt")
    untouched = copy.deepcopy(clients)
    training = Training(utility.rounds)
    rounds = federate(
        UpdateGame().public(cell), network, shown, clients, NO_DEFENSES, training, utility, ["drawn"], ["defended"]
    )
    return network, untouched, rounds


@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from(["iid", "dirichlet"]), st.floats(0.01, 100))
@settings(deadline=None, max_examples=50)
def test_every_picture_is_dealt_to_one_client(count: int, clients: int, split: Any, alpha: float) -> None:
    labels = np.arange(count) % 4
    shares = dealt(labels, Utility(clients=clients, split=split, alpha=alpha), np.random.default_rng(count))
    assert sorted(np.concatenate(shares).tolist()) == list(range(count))
    assert len(shares) == clients
    if split == "iid":
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_small_alpha_gives_clients_few_classes_and_a_large_one_all() -> None:
    labels = np.repeat(np.arange(10), 100)

    def classes(alpha: float) -> float:
        clients = clients_of(labels, Utility(split="dirichlet", alpha=alpha), "alpha")
        return float(np.mean([len(np.unique(labels[client.own])) for client in clients]))

    assert classes(0.05) < 5
    assert classes(1000.0) == 10


def test_a_client_shows_all_it_has_before_it_shows_anything_again() -> None:
    (client,) = clients_of(np.zeros(7, dtype=np.int64), Utility(clients=1), "pass")
    seen = torch.cat([client.next(3), client.next(3)])
    assert len(set(seen.tolist())) == 6
    assert len(client.next(3)) == 3
    assert sorted(client.next(9).tolist()) == list(range(7))


def test_one_client_with_all_pictures_is_plain_sgd(tmp_path: Path) -> None:
    shown, utility = pictures(), Utility(clients=1, batch_size=8, lr=0.5, participation=1.0, optimizer="sgd", rounds=3)
    network, _, rounds = trained(tmp_path, utility, "fedsgd", shown)
    plain = victim(federation(tmp_path, utility).cell)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    for share in (1.0, 0.75, 0.25):  # a climb of one round, then a half cosine
        optimizer.param_groups[0]["lr"] = 0.5 * share
        optimizer.zero_grad()
        cross_entropy(plain(shown.images), shown.labels).backward()
        optimizer.step()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert (rounds.number, rounds.clients) == (3, 1)
    assert rounds.bytes == 4 * sum(p.numel() for p in plain.parameters())


def test_fedavg_by_sgd_at_its_own_rate_is_the_mean_of_the_clients_networks(tmp_path: Path) -> None:
    shown = pictures()
    utility = Utility(clients=2, batch_size=4, lr=0.3, **ALL)  # a factor of 0.1 * 3 is taken out again
    network, clients, _ = trained(tmp_path, utility, {"name": "fedavg", "steps": 3, "lr": 0.1}, shown)
    whole = []
    for client in clients:
        local, batch = victim(federation(tmp_path, utility).cell), client.next(4)
        optimizer = torch.optim.SGD(local.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            cross_entropy(local(shown.images[batch]), shown.labels[batch]).backward()
            optimizer.step()
        whole.append(list(local.parameters()))
    for ours, *theirs in zip(network.parameters(), *whole, strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs).mean(dim=0), rtol=1e-4, atol=1e-6)


def test_a_defences_loss_is_the_one_that_clients_descend(tmp_path: Path) -> None:
    network, shown = victim(federation(tmp_path).cell), pictures()

    def doubled(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return 2 * cross_entropy(scores, labels)

    def of(step: Gradient) -> tuple[torch.Tensor, ...]:
        weights: Tensors = {name: p.detach() for name, p in network.named_parameters()}
        return step(network, weights, dict(network.named_buffers()), shown.images, shown.labels)

    twice = of(gradient_by(Training(1, loss=doubled)))
    for one, two in zip(of(gradient_by(Training(1))), twice, strict=True):
        torch.testing.assert_close(2 * one, two)


def test_stages_act_and_the_record_says_what_they_cost(tmp_path: Path) -> None:
    bare = record_of(federation(tmp_path), "cpu")
    assert (bare.status, bare.held_out, bare.rounds, bare.clients) == ("ok", 6, 2, 1)
    fewer = record_of(federation(tmp_path, defense={"name": "early-stopping", "fraction": 0.5}), "cpu")
    assert (fewer.rounds, fewer.message_bytes) == (1, bare.message_bytes)
    sparse = record_of(federation(tmp_path, defense={"name": "top-k", "fraction": 0.1}), "cpu")
    assert sparse.message_bytes is not None
    assert bare.message_bytes is not None
    assert sparse.message_bytes < bare.message_bytes / 5
    head = record_of(federation(tmp_path, defense={"name": "partial", "layers": "head"}), "cpu")
    assert head.notes == (
        "2 tensors of weights stay at their start: nobody shares them, and no client has layers of its own",
    )
    private = record_of(federation(tmp_path, defense={"name": "dp-sgd", "noise": 0.0, "batch": 3}), "cpu")
    assert private.rounds == 2
    assert "dp-sgd: 2 steps, q = 3/6" in private.notes[0]


def test_noise_costs_accuracy(tmp_path: Path) -> None:
    model = {"name": "mlp", "width": 16, "depth": 1}
    utility = Utility(rounds=40, clients=4, participation=0.5, batch_size=16, lr=0.01)

    def accuracy(defense: Any) -> float:
        found = record_of(federation(tmp_path, utility, dataset="digits", model=model, defense=defense), "cpu")
        assert found.accuracy is not None
        return found.accuracy

    assert accuracy("none") > 0.6
    assert accuracy({"name": "gaussian", "std": 1.0}) < 0.5


def test_the_same_settings_give_the_same_bits(tmp_path: Path) -> None:
    one = federation(tmp_path, defense={"name": "gaussian", "std": 0.1})
    first, again = artefact(one, "cpu").make(), artefact(one, "cpu").make()
    assert torch.equal(first["correct"], again["correct"])
    assert fetch(artefact(one, "cpu"))["bytes"] == first["bytes"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            {"defense": {"name": "secure-aggregation", "threshold": 3}, "protocol": {"name": "fedsgd", "clients": 3}},
            "defence secure-aggregation: ",
        ),
        (
            {"defense": {"name": "dp-sgd", "noise": 1.0, "batch": 3}, "protocol": "fedavg"},
            "protocol fedsgd, not fedavg",
        ),
        ({"defense": {"name": "dp-sgd", "noise": 1.0, "batch": 99}}, "batches of 99 on average"),
        ({"defense": {"name": "round", "step": 0.1}}, "acts at no stage"),
    ],
)
def test_what_cannot_be_trained_is_said_beforehand(tmp_path: Path, said: Any, why: str) -> None:
    reason = why_unsupported(federation(tmp_path, **said))
    assert reason is not None
    assert why in reason


def test_more_clients_than_pictures_are_refused(tmp_path: Path) -> None:
    """Some would have none; two thousand million would never be dealt out."""
    reason = why_unsupported(federation(tmp_path, Utility(clients=2**31)))
    assert reason is not None
    assert "too few for 2147483648 clients" in reason


def test_a_network_that_is_no_number_has_no_accuracy() -> None:
    """Its largest score would be the first class's, so that it seems to know that class."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 3))
    assert correct(network, pictures()).shape == (8,)
    torch.nn.init.constant_(network[1].weight, torch.nan)
    with pytest.raises(ArithmeticError, match="training diverged"):
        correct(network, pictures())


def test_who_colludes_trains_all_the_same(tmp_path: Path) -> None:
    """The server takes colluding clients out of what it attacks, not out of what it trains on."""
    stacks = [{"name": "secure-aggregation", "colluding": number} for number in (0, 1)]
    federations = [
        federation(tmp_path, Utility(clients=3), defense=stack, protocol={"name": "fedsgd", "clients": 3})
        for stack in stacks
    ]
    assert federations[0].id == federations[1].id
