"""A gate passes one picture of a class: of a batch's gradient what is left is that picture's, up to a factor."""

from __future__ import annotations

import pytest
import torch
from made_updates import digits, normalised, public, victim
from torch import nn

from invbench.crafting.fished import count_of
from invbench.crafting.gated import Chain, gate_weights, gated_chain, of_one, relaxed
from invbench.models.mlp import MLP
from invbench.updates.simulation import simulate

SHAPE = (1, 8, 8)


def test_it_needs_a_layer_a_sigmoid_and_the_last_layer() -> None:
    lenet = victim(digits(1)[0])
    assert gated_chain(lenet) == Chain("4", "7")
    assert gated_chain(victim(digits(1)[0], model=MLP(width=8))) is None
    assert gated_chain(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))) is None


def test_of_several_of_a_class_one_picture_s_direction_is_left() -> None:
    images, labels = digits(120)
    images, own = normalised(images), normalised(images)[60:][labels[60:] == 3]
    network = victim(digits(1)[0])
    chain = gated_chain(network)
    assert chain is not None
    empty = public(network, SHAPE).network
    crafted = gate_weights(network.state_dict(), empty, chain, own, label=3)
    network.load_state_dict({**network.state_dict(), **crafted})
    batch = images[:60][labels[:60] == 3][:4]
    batch, truth = torch.cat([batch, images[:4]]), torch.cat([torch.full((4,), 3), (labels[:4] + 1) % 3])
    with torch.no_grad():
        update = simulate(public(network, SHAPE, batch=8), network, batch, truth)
        soft = relaxed(network, chain, label=3)
        assert count_of(update[-1], 3, 8) == 4
        found = torch.cat([t.flatten() for t in of_one(network, update, chain)[:-2]])
        assert float(found.norm()) == pytest.approx(1e4, rel=1e-3)
        alone = [simulate(public(soft, SHAPE), soft, one[None], torch.tensor([3])) for one in batch]
        vectors = torch.stack([torch.cat([t.flatten() for t in one[:-2]]) for one in alone])
    alike = nn.functional.cosine_similarity(vectors, found[None])
    assert float(alike[:4].max()) > 0.999
    assert float(alike[:4].sort().values[-2]) < 0.99
