"""Model `autoencoder`: each layer learns to undo masking noise before labels are used, and its decoder stays."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
from made_models import MEAN, POOL, SHAPE, STD
from small_cells import make_cell
from torch import Tensor, nn

from invbench.core.artefacts import fetch
from invbench.core.training import Loss, Training, backward
from invbench.models.autoencoder import Autoencoder, Denoiser, StackedAutoencoder
from invbench.victims import trained_victim
from invbench.victims.building import build_victim
from invbench.victims.classes import always_trained
from invbench.victims.shuffled import shuffled_artefact

SMALL = Autoencoder(units=60, top_units=20, pretraining_steps=100)


@cache
def images() -> Tensor:
    return (torch.from_numpy(POOL.unit(POOL.train)) - MEAN) / STD


def untrained(model: Autoencoder = SMALL) -> StackedAutoencoder:
    network = build_victim(model, SHAPE, 10, 0)
    assert isinstance(network, StackedAutoencoder)
    return network


@cache
def pretrained(model: Autoencoder = SMALL, training: Training | None = None) -> StackedAutoencoder:
    network = untrained(model)
    model.pretrain(network, images(), torch.Generator().manual_seed(2), training or Training(1))
    return network


def restored(network: StackedAutoencoder, pictures: Tensor) -> float:
    """Mean squared error of decoded codes, of pictures whose variance is 1."""
    with torch.no_grad():
        return float((network.decode(network.encode(pictures)) - pictures).square().mean())


def test_pretraining_teaches_the_decoder_and_the_classifier_nothing() -> None:
    before, after = untrained(), pretrained()
    held_out = (torch.from_numpy(POOL.unit(POOL.trained_targets)) - MEAN) / STD
    assert restored(after, held_out) < 0.5 * restored(before, held_out)
    assert torch.equal(before[-1].weight, after[-1].weight)  # type: ignore[arg-type]
    assert not torch.equal(before.hidden()[1].weight, after.hidden()[1].weight)
    torch.testing.assert_close(after.decoder_weight, after.hidden()[0].weight)
    assert not after.training


def test_masking_noise_sets_a_share_to_zero_and_keeps_the_rest_as_it_is() -> None:
    class Kept(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            return super().forward(inputs)

    seen: list[Tensor] = []
    denoiser = Denoiser(Kept(1000, 3), 0.3, squashed=False)
    denoiser.train()(torch.full((5, 1000), 2.0))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}
    assert 0.6 < float((seen[0] > 0).float().mean()) < 0.8
    denoiser.eval()(torch.full((5, 1000), 2.0))
    assert set(seen[1].unique().tolist()) == {2.0}


def test_the_code_is_what_the_classifier_reads() -> None:
    network, pictures = pretrained(), images()[:5]
    torch.testing.assert_close(network.read(network.encode(pictures)), network(pictures))
    assert network.decode(network.encode(pictures)).shape == pictures.shape


def test_pretraining_takes_gradients_where_defences_of_training_act() -> None:
    asked: list[int] = []

    def counted(network: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
        asked.append(len(images))
        return backward(network, loss, images, labels)

    pretrained(Autoencoder(units=5, top_units=4, pretraining_steps=3), Training(1, backward=counted))
    assert asked == [32] * 6


def test_none_is_none() -> None:
    model = Autoencoder(units=5, top_units=4, pretraining_steps=0)
    before, after = untrained(model).state_dict(), pretrained(model).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("artefact", [trained_victim, shuffled_artefact], ids=["own labels", "shuffled"])
def test_a_victim_is_pretrained_and_its_decoder_survives_the_labels(
    artefact: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    settings = {"name": "autoencoder", "units": 60, "top_units": 20, "pretraining_steps": 60, "training_steps": 30}
    cell = always_trained(make_cell(tmp_path, dataset="digits", attack="mi-face", model=settings, targets=10))
    network = untrained()
    network.load_state_dict(fetch(artefact(cell)))  # type: ignore[operator]
    assert restored(network, images()) < 0.6
    tied = copy.deepcopy(network)
    tied.decoder_weight.copy_(network.hidden()[0].weight.detach())
    assert restored(tied, images()) > 1.1 * restored(network, images())
