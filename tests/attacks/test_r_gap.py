"""Attack `r-gap`: exact on networks of one logit in float64, and what it says of its layers' equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from made_updates import noise_like, normalised, observe, photographs, public, victim
from torch import Tensor, nn
from torch.nn import functional

from invbench.attacks.r_gap import RGap
from invbench.metrics import psnr
from invbench.models._layers import OneLogit
from invbench.models.cnn6 import CNN6
from invbench.models.lenet import LeNet
from invbench.observation import Failed, PublicDefense, UpdateObservation
from invbench.peeling import recursive
from invbench.peeling.chain import Link
from invbench.peeling.recursive import _padded, read_body
from invbench.peeling.weighted import apply, geometry, rows_of, unfolded_error


def pictures() -> Tensor:
    """A photograph shrunk to `(1, 3, 4, 4)`."""
    return functional.avg_pool2d(photographs(1)[0], 4)


@cache
def seen_in_float64(label: int = 1, *, hidden: bool = True, gain: float = 1.0, second: int = 36) -> UpdateObservation:
    """One picture's gradient on CNN6, whose last layer's weights are multiplied by `gain`."""
    network = victim(pictures(), model=CNN6(second=second), classes=2).double()
    with torch.no_grad():
        network.get_parameter("13.weight").mul_(gain)
    return observe(network, pictures().double(), torch.tensor([label]), classes=2, hidden=hidden)


@cache
def layers_of(seen: UpdateObservation) -> dict[str, Any]:
    """The rank analysis by layer."""
    return {layer["layer"]: layer for layer in RGap()(seen).facts["layers"]}  # type: ignore[union-attr, index, misc, call-overload]


def quality(seen: UpdateObservation) -> float:
    return float(psnr(RGap()(seen).images, pictures())[0])


@pytest.mark.parametrize("label", [0, 1])
def test_picture_and_label_are_read_in_float64(label: int) -> None:
    seen = seen_in_float64(label)
    guess = RGap()(seen)
    assert psnr(guess.images, pictures())[0] > 90
    assert guess.labels is not None
    assert guess.labels.tolist() == [label]
    assert quality(replace(seen, update=noise_like(seen.update))) < 20
    assert quality(replace(seen, labels=torch.tensor([label]))) > 90
    assert quality(replace(seen, labels=torch.tensor([1 - label]))) < 30


def test_of_two_logits_the_picture_with_the_contrast_of_pictures_is_taken() -> None:
    """Behind a small logit and behind a large one: the other root's picture is the same at another contrast."""
    with torch.no_grad():
        logit = float(seen_in_float64().model(normalised(pictures().double()))[0, 1])
    label = int(logit > 0)  # where picture and label agree there are two
    for gain in (1.0, 5.0 / abs(logit)):
        seen = seen_in_float64(label, gain=gain)
        guess = RGap()(seen)
        assert psnr(guess.images, pictures())[0] > 90
        one, other = sorted(guess.facts["logits"], key=abs)  # type: ignore[type-var, arg-type]
        assert (one if gain == 1.0 else other) == pytest.approx(gain * logit, rel=1e-6)
        assert len(guess.notes) == 1
        assert "two logits have this gradient" in guess.notes[0]


def test_equations_of_every_layer_hold_at_the_truth() -> None:
    """K x = dL/dW, by its own convolution of the error signal, and W x = z."""
    seen = seen_in_float64()
    network, values = seen.model, [normalised(pictures().double()).requires_grad_()]
    for layer in network:  # type: ignore[union-attr]
        values.append(layer(values[-1]))
    slopes = torch.autograd.grad(functional.cross_entropy(values[-1], torch.tensor([1])), values[:-1])
    for link in read_body(seen.public.network, (3, 4, 4)):
        if not isinstance(link.layer, nn.Conv2d):
            continue
        place = int(link.name)
        real = replace(link, layer=network.get_submodule(link.name))
        bare, padding = _padded(real)
        around = functional.pad(values[place], (bare.layer.kernel_size[0] // 2,) * 4)  # type: ignore[index, operator]
        assert int(padding.sum()) == around.numel() - values[place].numel()
        shape = geometry(bare)
        rows = unfolded_error(shape, slopes[place + 1].reshape(len(bare.layer.weight), -1))  # type: ignore[arg-type]
        gradient = rows_of(seen.update_of(link.name)[0])
        scale = float(gradient.abs().max())
        missed = rows @ around.reshape(shape.channels, -1).T - gradient.T
        assert float(missed.detach().abs().max()) < 1e-10 * scale
        torch.testing.assert_close(apply(bare.layer, around), values[place + 1], rtol=1e-10, atol=1e-12)


def test_the_rank_analysis_counts_each_layers_equations() -> None:
    found = layers_of(seen_in_float64())
    assert list(found) == ["13", "10", "8", "6", "4", "2", "0"]
    assert (found["13"]["unknowns"], found["13"]["gradient"], found["13"]["rank"]) == (128, 128, 128)
    # 3 channels of 8 x 8, 4 x 4 of them inside; 12 outputs at 3 x 3 places
    first = found["0"]
    assert (first["unknowns"], first["padding"], first["weights"]) == (192, 144, 108)
    assert first["index"] == first["gradient"] + 144 + 108 - 192
    assert first["rank"] == 192
    assert first["residual"] < 1e-9


def test_cnn6_d_has_fewer_equations_in_its_second_layer() -> None:
    ours, theirs = (layers_of(seen_in_float64(second=second))["2"]["index"] for second in (36, 20))
    assert ours - theirs == 4 * 16  # outputs at 2 x 2 places


def test_error_signals_without_the_activations_derivative_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = recursive._below

    def without(link: Link, above: recursive.Reached, update: Mapping[str, Tensor]) -> recursive.Reached:
        reached = real(link, above, update)
        return replace(reached, slope=above.slope) if isinstance(link.layer, nn.LeakyReLU) else reached

    monkeypatch.setattr(recursive, "_below", without)
    assert quality(seen_in_float64()) < 30


def test_what_it_does_not_read_is_unsupported_with_the_reason() -> None:
    images = pictures()

    def why(network: nn.Module, batch: int = 1, **settings: Any) -> str | None:
        return RGap().unsupported(public(network, (3, 4, 4), classes=2, batch=batch, **settings))

    cnn6 = victim(images, model=CNN6(), classes=2)
    assert why(cnn6) is None
    assert "needs batch_size 1, not 2" in str(why(cnn6, batch=2))
    assert "exact multiple of one gradient" in str(why(cnn6, protocol="fedavg", steps=2))
    assert why(victim(images, model=LeNet(), classes=2)) == "needs one logit under the logistic loss: model `cnn6`"
    flat = [nn.Flatten(), nn.Linear(48, 4, bias=False)]
    for layers, reason in (
        ([*flat, nn.Sigmoid(), nn.Linear(4, 1, bias=False)], "inverts LeakyReLUs alone, no Sigmoid (layer 2)"),
        ([nn.Flatten(), nn.Linear(48, 1)], "needs layers without biases (layer 1)"),
        ([nn.Flatten(), nn.Linear(48, 1, bias=False)], "needs a layer below the last one: that tells the label"),
        ([nn.MaxPool2d(2), *flat[:1], nn.Linear(12, 1)], "max pooling hides which entry was the largest (layer 0)"),
    ):
        assert why(nn.Sequential(*layers, OneLogit())) == reason
    declared = replace(public(cnn6, (3, 4, 4), classes=2), defenses=(PublicDefense("sign", {}),))
    assert RGap().unsupported(declared) == "reads the gradient as it is, and declared defences change it"
    with torch.device("meta"):
        large = CNN6().build((3, 64, 64), 2)
    assert (
        RGap().unsupported(public(large, (3, 64, 64), classes=2)) == "solves for at most 8192 values a layer, not 14700"
    )


def test_an_update_that_tells_nothing_has_no_answer() -> None:
    seen = seen_in_float64()
    for value, reason in ((0.0, "tells nothing"), (float("nan"), "not finite")):
        with pytest.raises(Failed, match=reason):
            RGap()(replace(seen, update=tuple(torch.full_like(tensor, value) for tensor in seen.update)))
