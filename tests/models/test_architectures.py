"""The architectures are those of the papers, on pictures of any size and with any number of classes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invbench import registry
from invbench.cell import Choice
from invbench.models import ImageModel
from invbench.models._layers import ACTIVATIONS, Activation
from invbench.victims.building import build_victim

CIFAR = (3, 32, 32)
OWN = ["linear", "mlp", "autoencoder", "lenet", "convnet", "resnet20", "resnet18", "vgg11", "vit"]


def make(name: str, **settings: Any) -> ImageModel:
    part: ImageModel = registry.load("model", name).build(settings)
    return part


def on_meta(model: ImageModel, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    with torch.device("meta"):
        return model.build(image_shape, classes).eval()


def parameter_count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "settings", "image_shape", "classes", "published"),
    [
        ("lenet", {}, CIFAR, 10, 15_826),  # Zhu et al.'s code
        ("lenet", {}, CIFAR, 100, 85_036),
        ("lenet", {"pool": "max"}, CIFAR, 10, 15_826),
        ("lenet", {"pool": "average"}, CIFAR, 10, 15_826),
        ("convnet", {}, CIFAR, 10, 2_904_970),  # Geiping et al.'s code
        ("convnet", {"width": 16}, CIFAR, 10, 187_114),
        ("convnet", {"norm": "none"}, CIFAR, 10, 2_904_970 - 2 * 25 * 64),
        ("mlp", {"width": 1024, "depth": 3}, CIFAR, 10, 5_256_202),  # Geiping et al.'s MLP
        (
            "autoencoder",
            {},
            (1, 112, 92),
            40,
            10_305_000 + 300_300 + 12_040,
        ),  # Fredrikson et al. 2015: 1000 and 300 units
        ("resnet20", {}, CIFAR, 10, 272_474),  # He et al. 2016, table 6: 0.27 M
        ("resnet18", {}, CIFAR, 10, 11_173_962),
        ("resnet18", {}, (3, 224, 224), 1000, 11_689_512),  # torchvision
        ("vgg11", {}, CIFAR, 10, 9_220_480 + 5_130),  # torchvision's convolutions and one linear layer
        ("linear", {}, CIFAR, 10, 30_730),
        ("vit", {"patch": 16, "width": 768, "depth": 12, "heads": 12, "hidden": 4}, (3, 224, 224), 1000, 86_567_656),
    ],
)
def test_an_architecture_has_the_published_number_of_parameters(
    name: str, settings: dict[str, Any], image_shape: tuple[int, int, int], classes: int, published: int
) -> None:
    assert parameter_count(on_meta(make(name, **settings), image_shape, classes)) == published


def test_resnet18_computes_what_torchvisions_computes_from_the_same_weights() -> None:
    theirs = torchvision.models.resnet18(weights=None, num_classes=7).eval()
    ours = build_victim(make("resnet18"), (3, 96, 96), 7, seed=0)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(ours(images), theirs(images))


def test_vit_computes_what_torchvisions_computes_from_the_same_weights() -> None:
    """Of width 8 with two blocks; torchvision has the positions behind the patches' convolution."""
    torch.manual_seed(0)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16, "num_classes": 7}
    theirs = torchvision.models.VisionTransformer(image_size=12, patch_size=4, **sizes).eval()
    for values in theirs.parameters():
        nn.init.normal_(values, std=0.5)
    ours = build_victim(make("vit", width=8, heads=2), (3, 12, 12), 7, seed=0)
    token, weight, bias, positions, *above = theirs.parameters()
    given = [token.flatten(), positions[0], weight, bias, *above]
    ours.load_state_dict(dict(zip(ours.state_dict(), given, strict=True)))
    images = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(ours(images), theirs(images))


def test_vit_without_pre_norm_gives_its_first_attention_the_tokens_as_they_are() -> None:
    network = build_victim(make("vit", width=8, heads=2, pre_norm=False), (3, 8, 8), 5, seed=0)
    first = network.get_submodule("blocks.0")
    tokens = torch.randn(1, 5, 8)
    plain = first.get_submodule("mlp")(first.get_submodule("norm2")(first.get_submodule("attention")(tokens)))
    torch.testing.assert_close(first(tokens), plain)
    assert isinstance(network.get_submodule("blocks.1.norm1"), nn.LayerNorm)


def test_vit_reads_a_token_of_its_own_or_the_mean_of_the_patches() -> None:
    for pooling, tokens in (("class", 5), ("mean", 4)):
        network = build_victim(make("vit", pooling=pooling), (1, 8, 8), 3, seed=0)
        assert network.get_parameter("positions").shape == (tokens, 96)
        assert ("token" in dict(network.named_parameters())) is (pooling == "class")


def test_cnn6_has_one_logit_whose_cross_entropy_beside_zero_is_the_logistic_loss() -> None:
    """The sides of the authors' code at 32 x 32: 17, 9, 9, 9, 5, 5."""
    network = build_victim(make("cnn6"), CIFAR, 2, seed=0)
    assert [tuple(p.shape) for p in network.parameters()] == [
        (12, 3, 4, 4), (36, 12, 3, 3), (36, 36, 3, 3), (36, 36, 3, 3), (64, 36, 3, 3), (128, 64, 3, 3), (1, 3200),
    ]  # fmt: skip
    images, labels = torch.randn(5, *CIFAR), torch.tensor([0, 1, 1, 0, 1])
    logits = network[:-1](images)[:, 0]
    logistic = nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    torch.testing.assert_close(nn.functional.cross_entropy(network(images), labels), logistic)
    assert all(layer.negative_slope == 0.2 for layer in network.modules() if isinstance(layer, nn.LeakyReLU))
    assert "one logit, for two classes, and not for 10; `{name: digits" in str(make("cnn6").unsupported(CIFAR, 10))


def test_vit_refuses_heads_that_do_not_divide_its_width() -> None:
    with pytest.raises(ValueError, match="vit: width must be a multiple of heads, and 10 is none of 4"):
        make("vit", width=10)


def test_resnet18_keeps_the_resolution_of_pictures_up_to_64_pixels() -> None:
    def stem_shape(side: int) -> torch.Size:
        network = on_meta(make("resnet18"), (3, side, side), 10)
        stem = next(network.children())
        shape: torch.Size = stem(torch.empty(1, 3, side, side, device="meta")).shape
        return shape

    assert stem_shape(64) == (1, 64, 64, 64)
    assert stem_shape(65) == (1, 64, 17, 17)


@pytest.mark.parametrize("pool", ["stride", "max", "average"])
def test_lenet_draws_every_weight_and_bias_uniformly_from_minus_to_plus_a_half(pool: str) -> None:
    network = build_victim(make("lenet", pool=pool), CIFAR, 100, seed=3)
    values = nn.utils.parameters_to_vector(network.parameters())
    assert values.abs().max() <= 0.5
    assert abs(values.mean()) < 4 / math.sqrt(12 * len(values))  # four standard errors
    assert values.var().item() == pytest.approx(1 / 12, rel=0.02)
    for parameter in network.parameters():  # biases too: PyTorch's own would stay below 0.12
        assert parameter.abs().max() > 0.3


def test_lenet_may_start_as_pytorch_s_layers_do_and_its_usual_start_is_no_part_of_an_id() -> None:
    """Each of them draws from uniform(-b, b), b one over the root of its inputs."""
    network = build_victim(make("lenet", start="pytorch"), CIFAR, 10, seed=3)
    inputs = [75, 75, 300, 300, 300, 300, 768, 768]  # of three convolutions and the linear layer, weight and bias
    for values, number in zip(network.parameters(), inputs, strict=True):
        assert values.detach().abs().max() <= number**-0.5
    assert network[0].weight.detach().std().item() == pytest.approx(75**-0.5 / 3**0.5, rel=0.1)
    keys = [Choice("model", "lenet", tuple(make_settings(start=start).items())).key for start in ("uniform", "pytorch")]
    assert ["start" in str(key) for key in keys] == [False, True]


def make_settings(**given: Any) -> dict[str, Any]:
    return dict(registry.load("model", "lenet").settings(given))


def test_lenet_has_the_weights_of_the_authors_code_for_the_same_seed() -> None:
    """Layers made with PyTorch's start, then weight and bias of each drawn again in their order."""
    torch.manual_seed(11)
    convolutions = [nn.Conv2d(c, 12, 5, padding=2, stride=s) for c, s in [(3, 2), (12, 2), (12, 1)]]
    layers: list[nn.Module] = [*convolutions, nn.Linear(768, 10)]
    for layer in layers:
        for values in layer.parameters():
            values.data.uniform_(-0.5, 0.5)
    theirs = [p for layer in layers for p in layer.parameters()]
    ours = build_victim(make("lenet"), CIFAR, 10, seed=11).parameters()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "vgg11"])
def test_deep_networks_start_like_he_et_al(name: str) -> None:
    network = build_victim(make(name), CIFAR, 10, seed=0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * math.prod(layer.kernel_size)
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)
            assert layer.bias is None or layer.bias.eq(0).all()


@pytest.mark.parametrize(
    ("norm", "kind", "groups"), [("batch", nn.BatchNorm2d, None), ("group", nn.GroupNorm, 8), ("none", None, None)]
)
def test_convnet_normalises_after_every_convolution_as_told(norm: str, kind: Any, groups: int | None) -> None:
    layers = list(on_meta(make("convnet", width=8, norm=norm), CIFAR, 10).children())
    followers = [after for layer, after in pairwise(layers) if isinstance(layer, nn.Conv2d)]
    assert len(followers) == 8
    assert all(isinstance(f, kind or nn.ReLU) for f in followers)
    assert getattr(followers[0], "num_groups", None) == groups


def test_convnet_pools_by_3_after_the_sixth_and_the_eighth_convolution() -> None:
    layers = list(on_meta(make("convnet", width=2), CIFAR, 10).children())
    pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d) and layer.kernel_size == 3]
    assert [sum(isinstance(layer, nn.Conv2d) for layer in layers[:index]) for index in pools] == [6, 8]


def test_mlp_has_depth_hidden_layers_of_width_units() -> None:
    network = on_meta(make("mlp", width=5, depth=3, activation="tanh", bias=False), (1, 2, 2), 4)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(4, 5), (5, 5), (5, 5), (5, 4)]
    assert all(layer.bias is None for layer in linear)
    assert sum(isinstance(layer, nn.Tanh) for layer in network.modules()) == 3


def test_every_activation_that_a_matrix_may_name_exists() -> None:
    assert set(get_args(Activation)) == set(ACTIVATIONS)
    known = registry.load("model", "lenet").parameters["activation"].choices
    assert set(known) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", OWN)
def test_the_last_two_parameters_are_the_classifiers_weight_and_bias(name: str) -> None:
    """Label recovery from the last layer (Zhao et al. 2020) reads them."""
    *_, weight, bias = on_meta(make(name), CIFAR, 6).parameters()
    assert weight.ndim == 2
    assert len(weight) == 6
    assert bias.shape == (6,)


@given(
    name=st.sampled_from([*OWN, "lenet-max"]),
    channels=st.integers(1, 5),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    classes=st.integers(1, 12),
)
@settings(deadline=None, max_examples=40)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_model_scores_every_class_or_says_why_it_cannot_take_the_pictures(
    name: str, channels: int, height: int, width: int, classes: int
) -> None:
    model = make("lenet", pool="max") if name == "lenet-max" else make(name)
    image_shape = (channels, height, width)
    images = torch.empty(2, *image_shape, device="meta")
    reason = model.unsupported(image_shape, classes)
    if reason is None:
        assert on_meta(model, image_shape, classes)(images).shape == (2, classes)
    else:
        assert f"{height} x {width}" in reason
        with pytest.raises((RuntimeError, ValueError)):
            on_meta(model, image_shape, classes)(images)


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [("lenet", {"pool": "max"}, 4), ("lenet", {"pool": "average"}, 4), ("convnet", {}, 9), ("vgg11", {}, 32)],
)
def test_a_model_that_pools_names_the_least_size(name: str, settings: dict[str, Any], least: int) -> None:
    model = make(name, **settings)
    assert model.unsupported((3, least, least), 10) is None
    reason = model.unsupported((3, least, least - 1), 10)
    assert reason is not None
    assert f"needs pictures of at least {least} x {least} pixels, not {least} x {least - 1}" in reason


@pytest.mark.parametrize("name", OWN)
def test_no_layer_computes_in_place(name: str) -> None:
    assert not any(getattr(layer, "inplace", False) for layer in on_meta(make(name), CIFAR, 2).modules())
