"""Labels read off the last layer's gradient, and which strategy an attack may use where."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch
from made_updates import digits, observe, photographs, public, victim
from torch import Tensor, nn

from invbench import registry
from invbench.defenses import Context, Defense
from invbench.defenses.random_k import RandomK
from invbench.defenses.top_k import TopK
from invbench.labels import guess_label, label_strategy, labels_for
from invbench.models import ImageModel
from invbench.models.convnet import ConvNet
from invbench.models.lenet import LeNet
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.observation import Public, PublicDefense, UpdateObservation

MODELS = {
    "linear": Linear(),
    "lenet": LeNet(),
    "relu": MLP(width=32),
    "tanh": MLP(width=32, activation="tanh"),
    "relu without bias": MLP(width=32, bias=False),
    "sigmoid without bias": MLP(width=32, bias=False, activation="sigmoid"),
    "tanh without bias": MLP(width=32, bias=False, activation="tanh"),
}


def seen_with(model: ImageModel, image: Tensor, label: int, *, classes: int = 10, seed: int = 0) -> UpdateObservation:
    network = victim(image, model=model, classes=classes, seed=seed)
    return observe(network, image, torch.tensor([label]), classes=classes, hidden=True)


@pytest.mark.parametrize("name", MODELS)
def test_the_label_is_exact_for_every_class(name: str) -> None:
    images, _ = digits(10)
    for label in range(10):
        seen = seen_with(MODELS[name], images[label : label + 1], label, seed=label)
        guess = guess_label(seen)
        assert guess.tolist() == [label]
        assert guess.dtype == torch.int64


def test_the_label_is_exact_behind_normalised_convolutions() -> None:
    images, _ = photographs(10)
    for label in range(10):
        assert guess_label(seen_with(ConvNet(width=2), images[:1], label)).tolist() == [label]


@pytest.mark.parametrize("name", ["relu without bias", "sigmoid without bias", "relu"])
@pytest.mark.parametrize("label", [0, 1])
def test_of_two_classes_whose_rows_are_equally_heavy_the_negative_one_is_the_label(name: str, label: int) -> None:
    images, _ = digits(5)
    for seed, image in enumerate(images.split(1)):
        assert guess_label(seen_with(MODELS[name], image, label, classes=2, seed=seed)).tolist() == [label]


@pytest.mark.parametrize("label", range(3))
def test_the_label_is_exact_where_the_victim_is_sure_of_another_class(label: int) -> None:
    image, _ = digits(1)
    network = victim(image, model=MODELS["relu without bias"], classes=4)
    with torch.no_grad():
        features = network[:-1](torch.ones(1, 1, 8, 8))
        network[-1].weight[3] += 100 * features[0] / features.square().sum()  # all others share e^-100 of the odds
    assert guess_label(observe(network, image, torch.tensor([label]), classes=4)).tolist() == [label]


WIDE: dict[str, ImageModel] = {
    "linear": Linear(),
    "lenet": LeNet(),
    "relu": MLP(width=128),
    "tanh": MLP(width=128, activation="tanh"),
    "relu without bias": MLP(width=128, bias=False),
    "tanh without bias": MLP(width=128, bias=False, activation="tanh"),
}


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("defense", [RandomK(fraction=0.1), TopK(fraction=0.02)], ids=str)
def test_where_entries_are_left_out_the_label_is_read_from_those_that_were_sent(name: str, defense: Defense) -> None:
    """A bias that was not sent is zero, and so is most of every row: neither is a number of the client's."""
    images, _ = digits(10)
    right = 0
    for label in range(10):
        seen = seen_with(WIDE[name], images[label : label + 1], label, seed=label)
        update = defense.update(seen.update, Context(torch.Generator().manual_seed(label)))
        declared = (PublicDefense(registered(defense), defense.public_parameters()),)
        right += guess_label(replace(seen, update=update, public=replace(seen.public, defenses=declared))) == label
    assert right == 10


def registered(defense: Defense) -> str:
    return next(name for name in registry.names("defense") if registry.load("defense", name).cls is type(defense))


def two_classes(activation: nn.Module, *, bias: bool) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), activation, nn.Dropout(), nn.Linear(16, 2, bias=bias))


@pytest.mark.parametrize("activation", [nn.GELU(), nn.Tanh(), nn.LeakyReLU(), nn.Identity()], ids=str)
def test_two_classes_without_a_bias_are_not_told_apart_by_features_of_either_sign(activation: nn.Module) -> None:
    """And the gradient of the last layer is one and the same for the features turned round and the other class."""
    blind = public(two_classes(activation, bias=False), (1, 8, 8), classes=2, labels="hidden")
    reason = label_strategy("known", blind)[1]
    assert reason is not None
    assert "cannot tell two classes apart" in reason
    features, weight = torch.randn(1, 16), torch.randn(2, 16, requires_grad=True)
    both = [
        torch.autograd.grad(nn.functional.cross_entropy(sign * features @ weight.T, torch.tensor([label])), weight)[0]
        for sign, label in ((1, 0), (-1, 1))
    ]
    torch.testing.assert_close(both[0], both[1])
    for network in (two_classes(activation, bias=True), two_classes(nn.ReLU(), bias=False)):
        assert label_strategy("known", public(network, (1, 8, 8), classes=2, labels="hidden"))[1] is None


def test_without_a_last_fully_connected_layer_there_is_no_guess() -> None:
    image, labels = digits(1)
    network = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    with pytest.raises(ValueError, match="victim does not end in a fully connected layer"):
        guess_label(observe(network, image, labels))


def seen_by_all(*, labels: str = "known", batch: int = 1, network: nn.Module | None = None) -> Public:
    return public(network or nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8), batch=batch, labels=labels)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("asked", "labels"), [("known", "known"), ("joint", "known"), ("joint", "hidden")])
def test_known_labels_and_optimised_ones_are_used_as_asked(asked: str, labels: str, batch: int) -> None:
    assert label_strategy(asked, seen_by_all(labels=labels, batch=batch)) == (asked, None)


@pytest.mark.parametrize(("asked", "labels"), [("known", "hidden"), ("idlg", "known"), ("idlg", "hidden")])
def test_at_batch_one_a_hidden_label_is_read_off_the_gradient(asked: str, labels: str) -> None:
    assert label_strategy(asked, seen_by_all(labels=labels)) == ("idlg", None)


@pytest.mark.parametrize(
    ("asked", "labels", "reason"),
    [
        (
            "known",
            "hidden",
            "the protocol hides the labels, and idlg needs batch_size 1, not 4; "
            "`labels: ilrg` reads how many there are of each class, `labels: joint` seeks them as well",
        ),
        ("idlg", "known", "idlg needs batch_size 1, not 4"),
        ("idlg", "hidden", "idlg needs batch_size 1, not 4"),
    ],
)
def test_above_batch_one_it_cannot_be_read(asked: str, labels: str, reason: str) -> None:
    assert label_strategy(asked, seen_by_all(labels=labels, batch=4)) == ("idlg", reason)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Unflatten(1, (10, 2)), nn.AvgPool1d(2)),
    ],
    ids=["convolution last", "not one unit a class"],
)
def test_it_is_read_off_a_last_fully_connected_layer_only(network: nn.Module) -> None:
    reason = "idlg needs a last fully connected layer; victim does not end in one"
    assert label_strategy("idlg", seen_by_all(network=network)) == ("idlg", reason)
    assert label_strategy("known", seen_by_all(network=network, labels="hidden")) == ("idlg", reason)
    assert label_strategy("known", seen_by_all(network=network)) == ("known", None)


def test_each_strategy_gives_its_labels() -> None:
    image, _ = digits(1)
    seen = observe(victim(image), image, torch.tensor([7]))
    wrong = dataclasses.replace(seen, labels=torch.tensor([2], dtype=torch.int32))
    known = labels_for("known", wrong)
    assert known is not None
    assert known.tolist() == [2]
    assert known.dtype == torch.int64
    read = labels_for("idlg", wrong)
    assert read is not None
    assert read.tolist() == [7]
    assert labels_for("joint", wrong) is None
    with pytest.raises(ValueError, match="the observation has no labels"):
        labels_for("known", dataclasses.replace(seen, labels=None))
