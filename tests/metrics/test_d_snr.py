"""D-SNR by hand, on a network, and in the record of a malicious cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_updates import digits, normalised, photographs, victim
from small_cells import MLP, make_cell, make_cells
from torch import nn
from torch.nn.functional import cross_entropy

from invbench.metrics import d_snr
from invbench.models.convnet import ConvNet
from invbench.play.dealing import dealt
from invbench.play.playing import play
from invbench.protocol._batch_norm import use_batch_statistics
from invbench.protocol._gradient import per_example_gradients
from invbench.updates.per_layer import layer_norms

SUPPRESS = {"name": "suppress", "inner": "analytic"}


def of(*layers: list[float]) -> float:
    """Of one client's norms, a list a layer."""
    return float(d_snr(np.array([layers]))[0])


def test_one_picture_against_the_sum_of_the_others_in_the_worst_layer() -> None:
    assert of([3.0, 1.0, 1.0]) == 1.5
    assert of([3.0, 1.0, 1.0], [1.0, 1.0, 1.0]) == 1.5, "the mean over layers is 1"
    assert of([2.0] * 5) == 0.25
    assert float(d_snr(np.array([[[1.0, 1.0]], [[4.0, 1.0]]]))[0]) == 4, "the worst of two clients"


def test_one_alone_is_capped_and_a_single_picture_or_no_gradient_tells_nothing() -> None:
    assert of([1.0, 0.0, 0.0]) == 1e9
    assert of([0.0, 0.0], [1.0, 1.0]) == 1
    assert all(np.isnan(value) for value in (of([1.0]), of([0.0, 0.0]), of([np.inf, 1.0])))


@pytest.mark.parametrize("together", [False, True])
def test_the_norms_are_those_of_each_picture_s_own_gradient(together: bool) -> None:
    images, labels = digits(3)
    network = victim(images)
    norms = layer_norms(network, normalised(images), labels, together=together)
    parameters = {name: tensor.detach() for name, tensor in network.named_parameters()}
    alone = per_example_gradients(network, parameters, {}, normalised(images), labels)
    weights = [k for k, name in enumerate(parameters) if name.endswith("weight")]
    expected = torch.tensor([[float(one[k].norm()) for one in alone] for k in weights], dtype=torch.float64)
    assert norms.shape == (4, 3)
    assert torch.allclose(norms, expected, rtol=1e-4)


def test_equal_pictures_weigh_the_same_in_every_layer() -> None:
    images, labels = (part[:1].repeat_interleave(4, dim=0) for part in digits(1))
    norms = layer_norms(victim(images), normalised(images), labels)
    assert float(d_snr(norms[None].numpy())[0]) == pytest.approx(1 / 3, abs=1e-6)


def test_in_a_shared_pass_each_gradient_is_of_the_picture_s_own_loss() -> None:
    images, labels = photographs(3)
    network = use_batch_statistics(victim(images, model=ConvNet(width=2)))
    norms = layer_norms(network, normalised(images), labels, together=True)
    losses = cross_entropy(network(normalised(images)), labels, reduction="none")
    layers = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    expected = torch.stack(
        [torch.stack([g.norm() for g in torch.autograd.grad(loss, layers, retain_graph=True)]) for loss in losses]
    )
    assert torch.allclose(norms, expected.T.double(), rtol=1e-3)
    assert not torch.allclose(norms, layer_norms(network, normalised(images), labels), rtol=0.1)


def test_a_malicious_cell_has_it_beside_the_honest_model_s_and_no_other_cell(tmp_path: Path) -> None:
    honest, crafted = make_cells(tmp_path, attack=["analytic", SUPPRESS], targets=1, batch_size=1)
    assert "d_snr" not in play(honest, "cpu").record.scores
    scores = play(crafted, "cpu").record.scores
    assert (scores["d_snr"], scores["d_snr_honest"]) == ([[None]], [[None]]), "one picture has no others"
    several = {"name": "suppress", "inner": "inverting-gradients"}
    deal = dealt(make_cell(tmp_path, attack=several, model=MLP, targets=1, batch_size=3), torch.device("cpu"))
    found = deal.limits()
    assert 0.5 <= found["d_snr_honest"][0][0] < 100
    assert found["d_snr"] != found["d_snr_honest"]
