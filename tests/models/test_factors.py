"""Factors of architectures: each changes what it names and nothing else, and at its default nothing at all."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench import registry
from invbench.cell import Choice
from invbench.models import ImageModel
from invbench.models._layers import Skip
from invbench.peeling.chain import NotAChain, read_chain
from invbench.victims.building import build_victim

CIFAR = (3, 32, 32)
FACTORS = {
    "convnet": {"depth", "activation", "pool", "bias", "skip"},
    "resnet20": {"skip", "norm", "width", "depth", "activation"},
    "resnet18": {"skip", "norm", "width", "depth", "activation"},
    "vgg11": {"norm", "activation", "width"},
    "lenet": {"width", "depth", "bias", "norm", "skip"},
    "mlp": {"norm", "skip"},
}
"""What these architectures got after their first results."""


def on_meta(name: str, image_shape: tuple[int, int, int] = CIFAR, **settings: Any) -> nn.Module:
    with torch.device("meta"):
        return registry.load("model", name).build(settings, ImageModel).build(image_shape, 10).eval()


def leaves(network: nn.Module) -> list[str]:
    """Its layers as they print, in their order."""
    return [repr(layer) for layer in network.modules() if not list(layer.children()) and repr(layer) != "Sequential()"]


def changed(name: str, **settings: Any) -> tuple[Counter[str], Counter[str]]:
    """The layers that a setting takes away, and those that it adds."""
    before, after = Counter(leaves(on_meta(name))), Counter(leaves(on_meta(name, **settings)))
    return before - after, after - before


def kinds(layers: Counter[str]) -> dict[str, int]:
    """How many of each class."""
    found: Counter[str] = Counter()
    for layer, count in layers.items():
        found[layer.partition("(")[0]] += count
    return dict(found)


def choice(name: str, **settings: Any) -> Choice:
    return Choice("model", name, tuple(registry.load("model", name).settings(settings).items()))


@pytest.mark.parametrize("name", FACTORS)
def test_factors_at_their_defaults_are_no_part_of_an_id_and_otherwise_each_is(name: str) -> None:
    known = registry.load("model", name).parameters
    assert FACTORS[name] < {key for key, field in known.items() if field.later}
    assert not (FACTORS[name] | {"weights"}) & choice(name).key.keys()
    for factor in FACTORS[name]:
        default = known[factor].default
        other = (not default) if isinstance(default, bool) else default + 1 if isinstance(default, int) else None
        other = next(word for word in known[factor].choices if word != default) if other is None else other
        assert choice(name, **{factor: other}).key == {**choice(name).key, factor: other}


@pytest.mark.parametrize(
    ("name", "activations"), [("convnet", 8), ("resnet20", 19), ("resnet18", 17), ("vgg11", 8), ("mlp", 2)]
)
def test_activation_changes_every_activation_and_nothing_else(name: str, activations: int) -> None:
    assert changed(name, activation="tanh") == (Counter({"ReLU()": activations}), Counter({"Tanh()": activations}))


@pytest.mark.parametrize(
    ("name", "norm", "gone", "new"),
    [
        ("resnet20", "none", {"BatchNorm2d": 21}, {}),
        ("resnet20", "group", {"BatchNorm2d": 21}, {"GroupNorm": 21}),
        ("resnet18", "none", {"BatchNorm2d": 20}, {}),
        ("vgg11", "batch", {}, {"BatchNorm2d": 8}),
        ("lenet", "group", {}, {"GroupNorm": 3}),
        ("mlp", "batch", {}, {"BatchNorm1d": 2}),
        ("mlp", "group", {}, {"GroupNorm": 2}),
    ],
)
def test_norm_puts_normalisation_behind_each_layer_or_takes_it_away(
    name: str, norm: str, gone: dict[str, int], new: dict[str, int]
) -> None:
    taken, added = changed(name, norm=norm)
    assert (kinds(taken), kinds(added)) == (gone, new)


@pytest.mark.parametrize("name", ["convnet", "lenet"])
def test_without_bias_every_layer_of_weights_has_none(name: str) -> None:
    with_bias, without = (dict(on_meta(name, bias=bias).named_parameters()) for bias in (True, False))
    layers = [key for key, p in with_bias.items() if p.dim() > 1]
    assert with_bias.keys() - without.keys() == {key.replace("weight", "bias") for key in layers}
    assert not without.keys() - with_bias.keys()


def test_resnets_without_skips_lose_their_projections_and_no_other_layer() -> None:
    """And have the number of parameters of the paper's option A."""
    for name, count in (("resnet20", 2), ("resnet18", 3)):
        gone, new = changed(name, skip=False)
        assert not new
        assert kinds(gone) == {"Conv2d": count, "BatchNorm2d": count}
        assert all("kernel_size=(1, 1)" in layer for layer in gone if layer.startswith("Conv2d"))
    assert sum(p.numel() for p in on_meta("resnet20", skip=False).parameters()) == 269_722


def test_a_block_without_skip_is_its_convolutions_alone() -> None:
    model = registry.load("model", "resnet20").build({"skip": False, "width": 4, "depth": 1}, ImageModel)
    network, images = build_victim(model, (3, 8, 8), 5, seed=1), torch.randn(2, 3, 8, 8)
    values = network.get_submodule("0")(images)
    for block in ("1", "2", "3"):
        values = network.get_submodule(f"{block}.residual")(values).relu()
    torch.testing.assert_close(network(images), network.get_submodule("6")(values.mean((2, 3))))


@pytest.mark.parametrize(
    ("name", "settings", "skips"), [("convnet", {}, 5), ("lenet", {"depth": 4}, 2), ("mlp", {}, 1)]
)
def test_skips_go_around_layers_that_keep_the_shape_and_add_no_layer(
    name: str, settings: dict[str, Any], skips: int
) -> None:
    plain, skipping = on_meta(name, **settings), on_meta(name, **settings, skip=True)
    assert leaves(plain) == leaves(skipping)
    assert sum(isinstance(layer, Skip) for layer in skipping.modules()) == skips
    assert [p.shape for p in plain.parameters()] == [p.shape for p in skipping.parameters()]


def test_an_mlp_with_skips_computes_what_its_docstring_writes() -> None:
    model = registry.load("model", "mlp").build({"width": 6, "depth": 3, "skip": True}, ImageModel)
    network, images = build_victim(model, (1, 2, 2), 5, seed=1), torch.randn(3, 1, 2, 2)
    weights: list[Tensor] = list(network.parameters())
    hidden = functional.linear(images.flatten(1), *weights[:2]).relu()
    for layer in (2, 4):
        hidden = (functional.linear(hidden, *weights[layer : layer + 2]) + hidden).relu()
    torch.testing.assert_close(network(images), functional.linear(hidden, *weights[6:]))


def test_a_network_with_skips_is_no_chain_that_is_peeled() -> None:
    with pytest.raises(NotAChain, match="a Skip is no chain of layers"):
        read_chain(on_meta("mlp", skip=True), CIFAR)


@pytest.mark.parametrize(
    ("name", "depth", "convolutions"),
    [("resnet20", 9, 6 * 9 + 1), ("resnet18", 1, 9), ("convnet", 5, 5), ("convnet", 10, 10), ("lenet", 1, 1)],
)
def test_depth_is_the_number_of_convolutions_or_blocks(name: str, depth: int, convolutions: int) -> None:
    layers = leaves(on_meta(name, depth=depth))
    assert sum("Conv2d" in layer and "kernel_size=(1, 1)" not in layer for layer in layers) == convolutions


@pytest.mark.parametrize(("name", "wide"), [("resnet20", 32), ("resnet18", 128), ("vgg11", 128), ("lenet", 24)])
def test_width_doubles_every_hidden_number_of_channels(name: str, wide: int) -> None:
    once, twice = (list(on_meta(name, **said).parameters()) for said in ({}, {"width": wide}))
    hidden = [(p, q) for p, q in zip(once, twice, strict=True) if len(p) != 10]
    assert all(len(q) == 2 * len(p) for p, q in hidden)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [("convnet", {"depth": 2}, 3), ("convnet", {"depth": 3}, 9), ("lenet", {"depth": 1, "pool": "max"}, 2)],
)
def test_what_is_not_as_deep_takes_smaller_pictures(name: str, settings: dict[str, Any], least: int) -> None:
    model = registry.load("model", name).build(settings, ImageModel)
    assert on_meta(name, (1, least, least), **settings)(torch.empty(1, 1, least, least, device="meta")).shape == (1, 10)
    assert f"at least {least} x {least}" in str(model.unsupported((1, least, least - 1), 10))


@pytest.mark.parametrize("name", [*FACTORS, "linear", "vit"])
@pytest.mark.parametrize("side", [8, 224])
def test_pictures_of_8_to_224_pixels_are_scored_or_refused(name: str, side: int) -> None:
    reason = registry.load("model", name).build({}, ImageModel).unsupported((3, side, side), 10)
    if reason is None:
        network = on_meta(name, (3, side, side))
        assert network(torch.empty(1, 3, side, side, device="meta")).shape == (1, 10)
    else:
        assert side == 8
        assert name in ("convnet", "vgg11")


@pytest.mark.parametrize(
    ("name", "names", "values"),
    [
        ("convnet", "af0034e711f4e6b8", -8.793048),
        ("resnet20", "aabd5153ed6543e6", -23.101687),
        ("resnet18", "48bc3883ae4ed7ba", -166.02788),
        ("vgg11", "e4bf9e8aed8bdf5b", 75.153562),
        ("lenet", "59b9966a8f2102f6", 12.492968),
        ("mlp", "d37674f254034ed2", -12.336805),
    ],
)
def test_a_seed_draws_the_weights_that_it_drew_before_there_were_factors(name: str, names: str, values: float) -> None:
    """Names and shapes by their hash, and a sum of all values, each times a number of its place."""
    network = build_victim(registry.load("model", name).build({}, ImageModel), CIFAR, 10, seed=7)
    shapes = repr([(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()])
    assert hashlib.sha256(shapes.encode()).hexdigest()[:16] == names
    every = [tensor.flatten() for tensor in network.state_dict().values() if tensor.is_floating_point()]
    found = torch.cat(every).double()
    places = torch.arange(len(found), dtype=torch.float64).mul(0.7).sin()
    assert float(found @ places) == pytest.approx(values, rel=1e-4)  # processors round normal numbers otherwise
