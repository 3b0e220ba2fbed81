"""`torchvision/NAME`: any of torchvision's classifiers, for pictures of any channel and class count."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from invbench import registry
from invbench.models.torchvision import Torchvision, variants
from invbench.victims.building import build_victim

FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_32",
]
"""The smallest of each family."""


def on_meta(variant: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    with torch.device("meta"):
        return Torchvision(variant=variant).build(image_shape, classes).eval()


def test_the_name_is_torchvisions_and_prints_behind_a_slash() -> None:
    part = registry.load("model", "torchvision")
    assert part.short(part.settings({"variant": "resnet50"})) == "torchvision/resnet50"
    assert part.build({"variant": "resnet50"}) == Torchvision(variant="resnet50")


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="torchvision has no classifier 'resnet5'; nearest: 'resnet50'"):
        Torchvision(variant="resnet5")
    with pytest.raises(ValueError, match=r"torchvision has no classifier 'zzz'$"):
        Torchvision(variant="zzz")


def test_only_classifiers_may_be_named() -> None:
    assert "resnet18" in variants()
    for other in ("fcn_resnet50", "fasterrcnn_resnet50_fpn", "r3d_18", "raft_small", "quantized_resnet18"):
        assert other in torchvision.models.list_models()
        assert other not in variants()


@pytest.mark.parametrize(
    ("variant", "published"),  # torchvision's documentation, 1000 classes
    [("resnet18", 11_689_512), ("vgg11", 132_863_336), ("mobilenet_v3_small", 2_542_856), ("vit_b_16", 86_567_656)],
)
def test_a_classifier_has_the_number_of_parameters_that_torchvision_documents(variant: str, published: int) -> None:
    assert sum(p.numel() for p in on_meta(variant, (3, 224, 224), 1000).parameters()) == published


@pytest.mark.parametrize("variant", FAMILIES)
def test_every_family_takes_any_channel_and_class_count_and_scores_once(variant: str) -> None:
    assert Torchvision(variant=variant).unsupported((2, 96, 96), 7) is None
    network = on_meta(variant, (2, 96, 96), 7)
    assert network(torch.empty(3, 2, 96, 96, device="meta")).shape == (3, 7)
    assert not any(getattr(layer, "inplace", False) for layer in network.modules())


@pytest.mark.parametrize("variant", ["googlenet", "inception_v3"])
def test_no_auxiliary_classifier_speaks_while_training(variant: str) -> None:
    network = on_meta(variant, (3, 96, 96), 7).train()
    assert network(torch.empty(2, 3, 96, 96, device="meta")).shape == (2, 7)


def test_three_channels_give_torchvisions_own_weights_for_the_same_seed() -> None:
    ours = build_victim(Torchvision(variant="squeezenet1_1"), (3, 32, 32), 5, seed=4)
    torch.manual_seed(4)
    theirs = torchvision.models.squeezenet1_1(weights=None, num_classes=5)
    for (name, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)


@pytest.mark.parametrize(("variant", "first"), [("resnet18", "conv1"), ("squeezenet1_1", "features.0")])
def test_other_channels_renew_the_first_convolution_only_and_in_place(variant: str, first: str) -> None:
    three = build_victim(Torchvision(variant=variant), (3, 64, 64), 5, seed=4)
    one = build_victim(Torchvision(variant=variant), (1, 64, 64), 5, seed=4)
    assert list(one.state_dict()) == list(three.state_dict())  # the order of an update's tensors stays
    old, new = three.get_submodule(first), one.get_submodule(first)
    assert isinstance(old, nn.Conv2d)
    assert isinstance(new, nn.Conv2d)
    assert new.weight.shape == (old.out_channels, 1, *old.kernel_size)
    assert new.stride == old.stride
    assert new.padding == old.padding
    assert new.weight.std().item() == pytest.approx(old.weight.std().item(), rel=0.1)
    for name, values in one.state_dict().items():
        if name != f"{first}.weight":
            assert torch.equal(values, three.state_dict()[name])


def test_many_channels_are_drawn_apart_from_each_other() -> None:
    weight = build_victim(Torchvision(variant="resnet18"), (6, 64, 64), 5, seed=4).get_parameter("conv1.weight")
    similarity = torch.corrcoef(weight.transpose(0, 1).flatten(1)).fill_diagonal_(0)
    assert similarity.abs().max() < 5 / math.sqrt(weight[:, 0].numel())


@pytest.mark.parametrize(
    ("variant", "image_shape", "part_of_reason"),
    [
        ("alexnet", (3, 32, 32), "does not take 3 x 32 x 32 pictures: Given input size"),
        ("inception_v3", (3, 32, 32), "Kernel size can't be greater than actual input size"),
        ("maxvit_t", (3, 32, 32), "not divisible by partition size"),
        ("vit_b_16", (3, 32, 48), "Wrong image width"),
        ("vit_b_16", (3, 40, 40), "Input shape indivisible by patch size"),
    ],
)
def test_a_size_that_an_architecture_refuses_is_unsupported_in_its_own_words(
    variant: str, image_shape: tuple[int, int, int], part_of_reason: str
) -> None:
    reason = Torchvision(variant=variant).unsupported(image_shape, 10)
    assert reason is not None
    assert part_of_reason in reason


def test_a_vision_transformer_is_made_for_the_pictures_own_size() -> None:
    assert on_meta("vit_b_16", (3, 32, 32), 10).get_parameter("encoder.pos_embedding").shape == (1, 2 * 2 + 1, 768)
    assert Torchvision(variant="maxvit_t").unsupported((3, 448, 448), 10) is None
