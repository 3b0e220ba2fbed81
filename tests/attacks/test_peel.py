"""Attack `peel`: exact on chains, certain of it without the truth, and never certain of a wrong picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_updates import digits, noise_like, observe, photographs, public, victim
from torch import Tensor, nn
from torch.nn import functional

from invbench import registry
from invbench.attacks.peel import Peel
from invbench.defenses import Context, Defense
from invbench.defenses import Stack as Defended
from invbench.metrics import psnr
from invbench.models.lenet import LeNet
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.observation import Failed, Guess, PublicDefense, Update, UpdateObservation
from invbench.peeling.answer import explains
from invbench.peeling.descent import peel
from invbench.peeling.reading import read
from invbench.updates.likelihood import simulated

Stack = list[tuple[str, dict[str, Any]]]


def pictures(count: int = 1, offset: int = 0) -> tuple[Tensor, Tensor]:
    """Photographs shrunk to `(count, 3, 8, 8)`."""
    images, labels = photographs(offset + count)
    return functional.avg_pool2d(images[offset:], 2), labels[offset:]


def defended(network: nn.Module, images: Tensor, labels: Tensor, stack: Stack, *, seed: int = 0) -> UpdateObservation:
    """What is seen behind a declared stack of defences, labels hidden."""
    parts = [registry.load("defense", name).build(settings, Defense) for name, settings in stack]
    context, defenses = Context(torch.Generator().manual_seed(seed)), Defended(tuple(parts))
    defend = lambda update: defenses.at("update", update, context)  # noqa: E731
    seen = observe(network, images, labels, hidden=True, defend=defend)
    declared = tuple(PublicDefense(name, settings) for name, settings in stack)
    return replace(seen, public=replace(seen.public, defenses=declared))


def quality(guess: Guess, images: Tensor) -> float:
    return float(psnr(guess.images, images)[0])


def chain(*layers: nn.Module, seed: int = 0, gain: float = 1.0) -> nn.Module:
    """A network of these layers in eval mode; weights as PyTorch starts them, times `gain`."""
    torch.manual_seed(seed)
    network = nn.Sequential(*layers).eval()
    for layer in network.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()  # type: ignore[operator]
    with torch.no_grad():
        for values in network.parameters():
            values.mul_(gain)
    return network


def small(activation: nn.Module, *, bias: bool = True, top_bias: bool = True, gain: float = 1.0) -> nn.Module:
    return chain(
        nn.Conv2d(3, 12, 3, padding=1, bias=bias), activation, nn.Conv2d(12, 6, 3, padding=1, bias=bias), activation,
        nn.Flatten(), nn.Linear(384, 10, bias=top_bias), gain=gain,
    )  # fmt: skip


# Exact and certain of it


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu", "softplus"])
def test_lenet_is_read_exactly_and_the_answer_is_certified(activation: Any) -> None:
    images, labels = pictures(2)
    network = victim(images, model=LeNet(activation=activation))
    gain = 1.0 if activation == "sigmoid" else 0.5  # so wide a start suits a sigmoid
    with torch.no_grad():
        for values in network.parameters():
            values.mul_(gain)
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        guess = Peel()(observe(network, image, label, hidden=True))
        assert quality(guess, image) > 80
        assert guess.facts["certified"] is True
        assert guess.labels is not None
        assert guess.labels.tolist() == label.tolist()
        assert [layer["rank"] - layer["unknowns"] for layer in guess.facts["layers"]] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "network",
    [
        small(nn.LeakyReLU(0.2)),
        small(nn.Tanh(), bias=False),
        small(nn.Sigmoid(), top_bias=False),
        chain(
            nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.Softplus(), nn.Flatten(), nn.Linear(768, 10)
        ),
        chain(nn.Flatten(), nn.Linear(192, 64), nn.Tanh(), nn.Linear(64, 10)),
        chain(nn.Flatten(), nn.Linear(192, 10, bias=False)),
        chain(nn.Flatten(), nn.Linear(192, 10)),
    ],
    ids=["leaky", "convolutions without bias", "classifier without bias", "batch norm", "mlp", "one layer without bias",
         "one layer"],
)  # fmt: skip
def test_any_determined_chain_is_read_exactly(network: nn.Module) -> None:
    images, labels = pictures()
    guess = Peel()(observe(network, images, labels, hidden=True))
    assert quality(guess, images) > 80
    assert guess.facts["certified"]
    assert guess.facts["predicted_psnr"] > 70


def test_given_labels_are_not_read() -> None:
    images, labels = pictures()
    seen = observe(small(nn.Tanh()), images, labels)
    other = replace(seen, labels=(labels + 1) % 10)
    assert torch.equal(Peel()(seen).images, Peel()(other).images)
    assert torch.equal(Peel()(other).labels, labels)  # type: ignore[arg-type]


def test_pictures_of_cifar_are_read_exactly(shared_data: Path) -> None:
    pool = np.load(shared_data / "cifar10-test-first100.npz")
    images = torch.from_numpy(pool["images"][:1]).float() / 255
    labels = torch.from_numpy(pool["labels"][:1]).long()
    guess = Peel()(observe(victim(images), images, labels, hidden=True))
    assert quality(guess, images) > 80
    assert guess.facts["certified"]


def cifar(shared_data: Path, index: int) -> tuple[Tensor, Tensor]:
    pool = np.load(shared_data / "cifar10-test-first100.npz")
    one = slice(index, index + 1)
    return torch.from_numpy(pool["images"][one]).float() / 255, torch.from_numpy(pool["labels"][one]).long()


def test_a_layer_whose_blocks_hardly_determine_it_is_solved_to_the_last_digit(shared_data: Path) -> None:
    """A leaky ReLU leaves error signals of very different size: 24 dB where rounding in the solution is left in."""
    images, labels = cifar(shared_data, 0)
    guess = Peel()(observe(victim(images, model=LeNet(activation="leaky-relu")), images, labels, hidden=True))
    assert quality(guess, images) > 85
    assert guess.facts["certified"]


def test_what_a_relu_hides_of_the_picture_is_filled_in_as_natural_pictures_are(shared_data: Path) -> None:
    """A fifth of the directions is open: 17 to 22 dB where those stay at zero, 14 dB by gradient matching."""
    for index in (0, 1):
        images, labels = cifar(shared_data, index)
        guess = Peel()(observe(victim(images, model=LeNet(activation="relu")), images, labels, hidden=True))
        *above, lowest = guess.facts["layers"]
        assert all(layer["rank"] == layer["unknowns"] for layer in above)
        assert lowest["rank"] < 0.9 * lowest["unknowns"]
        assert quality(guess, images) > 35
        assert not guess.facts["certified"]


# Behind defences


def test_a_label_that_noise_hides_is_the_one_that_explains_the_update_best() -> None:
    images, labels = pictures(4)
    network = victim(images)
    stack: Stack = [("gaussian", {"std": 0.03})]
    for seed, (image, label) in enumerate(zip(images.split(1), labels.split(1), strict=True)):
        guess = Peel()(defended(network, image, label, stack, seed=seed))
        assert guess.labels is not None
        assert guess.labels.tolist() == label.tolist()


@pytest.mark.parametrize("std", [1e-5, 1e-4])
def test_under_gaussian_noise_the_quality_is_the_one_it_predicts(std: float) -> None:
    images, labels = pictures()
    guess = Peel()(defended(victim(images), images, labels, [("gaussian", {"std": std})]))
    assert abs(quality(guess, images) - guess.facts["predicted_psnr"]) < 4
    assert guess.labels is not None
    assert guess.labels.tolist() == labels.tolist()


def test_steps_that_end_at_a_kink_do_not_replace_what_the_layers_gave() -> None:
    images, labels = pictures()
    network = victim(images, model=LeNet(activation="leaky-relu"))
    for std, better in ((1e-3, True), (1e-2, False)):
        seen = defended(network, images, labels, [("gaussian", {"std": std})])
        stepped, layers = Peel()(seen), Peel(steps=0)(seen)
        assert torch.equal(stepped.images, layers.images) != better
        assert quality(stepped, images) > quality(layers, images) + 5 * better - 0.1


def test_noise_ten_times_less_is_ten_decibels_or_more() -> None:
    images, labels = pictures()
    reached = [
        quality(Peel()(defended(victim(images), images, labels, [("gaussian", {"std": std})])), images)
        for std in (1e-3, 1e-4, 1e-5)
    ]
    assert reached[0] + 10 < reached[1] < reached[2] - 10


@pytest.mark.parametrize(
    ("stack", "least"),
    [
        ([("clip", {"norm": 0.1})], 60),
        ([("clip", {"norm": 1e9})], 80),
        ([("per-example-clip", {"norm": 0.1})], 60),
        ([("quantize", {"bits": 16, "rounding": "nearest"})], 40),
        ([("quantize", {"bits": 16})], 35),
        ([("top-k", {"fraction": 0.9})], 60),
        ([("random-k", {"fraction": 0.9, "rescale": True})], 60),
        ([("laplace", {"std": 1e-5})], 45),
    ],
    ids=str,
)
def test_a_declared_defence_is_seen_through(stack: Stack, least: float) -> None:
    images, labels = pictures()
    network = victim(images)
    parts: Stack = [part for part in stack if part[0] != "per-example-clip"]
    seen = defended(network, images, labels, parts or [("clip", {"norm": 0.1})])
    declared = tuple(PublicDefense(name, settings) for name, settings in stack)
    guess = Peel()(replace(seen, public=replace(seen.public, defenses=declared)))
    assert quality(guess, images) > least


# Never certain of a wrong picture


def test_a_relu_that_hides_too_much_is_not_certified() -> None:
    images, labels = pictures()
    guess = Peel()(observe(chain(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 10),
    ), images, labels))  # fmt: skip
    assert any(layer["rank"] < layer["unknowns"] for layer in guess.facts["layers"])
    assert not guess.facts["certified"]


def test_a_rank_that_another_processor_s_rounding_would_not_leave_full_determines_nothing() -> None:
    """Variances are those of weights; widened by a factor they are what a certificate may claim anywhere."""
    images, labels = pictures()
    what = read(observe(victim(images), images, labels, hidden=True))
    assert what.widened > 10  # of a LeNet: 1,649 terms, sqrt(1649 / 3) = 23 roundings where weights assume 3
    peeled = peel(what.chain, what.update, what.variances)
    assert all(layer.rank == layer.unknowns for layer in peeled.layers)  # by its weights
    for widened, determined in ((1.0, True), (what.widened, True), (1e10, False)):  # 2e-10 of the picture is open
        assert peeled.determined(widened) == determined


def test_a_wide_relu_that_hides_nothing_is_exact_and_certified() -> None:
    images, labels = pictures()
    guess = Peel()(observe(chain(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 64, 10)
    ), images, labels))  # fmt: skip
    assert quality(guess, images) > 80
    assert guess.facts["certified"]


def test_average_pooling_after_an_activation_is_not_certified_where_it_is_not_undone() -> None:
    images, labels = pictures()
    guess = Peel()(observe(chain(
        nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    ), images, labels))  # fmt: skip
    assert quality(guess, images) > 80 or not guess.facts["certified"]


def other_update(seen: UpdateObservation, kind: str) -> Update:
    """What is no gradient of a picture, or of another."""
    if kind == "noise":
        return noise_like(seen.update)
    if kind == "one tensor of noise":
        return (noise_like(seen.update)[0], *seen.update[1:])
    if kind == "a tensor left out":
        return (torch.zeros_like(seen.update[0]), *seen.update[1:])
    if kind == "two pictures":
        images, labels = pictures(2)
        return observe(seen.model, images, labels, hidden=True).update
    if kind == "scaled":
        return tuple(0.5 * tensor for tensor in seen.update)
    return tuple(-tensor for tensor in seen.update)


@pytest.mark.parametrize(
    "kind", ["noise", "one tensor of noise", "a tensor left out", "two pictures", "scaled", "turned round"]
)
@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.ReLU()], ids=str)
def test_what_is_no_gradient_of_a_picture_is_never_certified(kind: str, activation: nn.Module) -> None:
    images, labels = pictures()
    seen = observe(small(activation), images, labels, hidden=True)
    [guess] = Peel(steps=4).attack_all([replace(seen, update=other_update(seen, kind))])
    assert not guess.facts.get("certified", False)


PICTURES = {
    "black": torch.zeros(1, 3, 8, 8),
    "grey": torch.full((1, 3, 8, 8), 0.45),
    "noise": torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("name", list(PICTURES))
@pytest.mark.parametrize("gain", [0.01, 5.0, 30.0])
@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.ReLU()], ids=str)
def test_a_certified_picture_is_the_true_one_whatever_weights_and_picture(
    activation: nn.Module, gain: float, name: str
) -> None:
    """Weights thirty times too large saturate the softmax: the gradient underflows. Too small ones tell little."""
    images, labels = PICTURES[name], torch.tensor([4])
    [guess] = Peel(steps=4).attack_all([observe(small(activation, gain=gain), images, labels, hidden=True)])
    if guess.facts.get("certified", False):
        assert quality(guess, images) > 60
    elif not len(guess.images):
        assert guess.notes


DRAWN: list[Callable[[], nn.Module]] = [nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Softplus, nn.ReLU]
STACKS: list[Stack] = [
    [], [], [("gaussian", {"std": 1e-4})], [("gaussian", {"std": 1e-2})], [("clip", {"norm": 0.1})],
    [("quantize", {"bits": 8, "rounding": "nearest"})], [("top-k", {"fraction": 0.3})],
    [("random-k", {"fraction": 0.5})],
]  # fmt: skip


@pytest.mark.parametrize("seed", range(16))
def test_a_drawn_network_is_certified_only_where_the_picture_is_right(seed: int) -> None:
    """Depth, widths, strides, biases, activations and the defence are drawn; half of what is seen is noise-free."""
    draw = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    channels, side = 3, 8
    for _ in range(draw.integers(0, 3)):
        width, size, stride = int(draw.choice([2, 6, 12])), int(draw.choice([1, 3, 5])), int(draw.choice([1, 2]))
        layers.append(nn.Conv2d(channels, width, size, stride, size // 2, bias=bool(draw.integers(2))))
        layers.append(DRAWN[draw.integers(len(DRAWN))]())
        channels, side = width, -(-side // stride)
    layers += [nn.Flatten(), nn.Linear(channels * side**2, 10, bias=bool(draw.integers(2)))]
    network = chain(*layers, seed=seed, gain=float(draw.choice([0.3, 1.0, 3.0])))
    images, labels = pictures(1, offset=seed % 8)
    stack = STACKS[seed % len(STACKS)]
    [guess] = Peel().attack_all([defended(network, images, labels, stack, seed=seed)])
    if guess.facts.get("certified", False):
        assert quality(guess, images) > (35 if stack else 60)


def test_what_a_coarse_quantisation_leaves_open_is_not_determined() -> None:
    """Truth, guess and what lies between them all explain two bits an entry: none of them is the only answer."""
    images, labels = pictures(4)
    network = victim(images, model=Linear())
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        seen = defended(network, image, label, [("quantize", {"bits": 2, "rounding": "nearest"})])
        guess = Peel()(seen)
        assert quality(guess, image) < 25
        mean, std = seen.channel_constants()
        for picture in (image, guess.images, (image + guess.images) / 2):
            assert explains(seen, simulated(seen, (picture - mean) / std, label))
        assert not guess.facts["certified"]
        assert guess.facts["promised_psnr"] is None


def test_an_answer_that_does_not_explain_the_update_predicts_nothing() -> None:
    images, labels = pictures()
    seen = observe(small(nn.Sigmoid()), images, labels, hidden=True)
    assert Peel()(seen).facts["predicted_psnr"] > 80
    for kind in ("two pictures", "one tensor of noise"):
        guess = Peel()(replace(seen, update=other_update(seen, kind)))
        assert guess.facts["predicted_psnr"] is guess.facts["promised_psnr"] is None


def test_a_certificate_promises_less_the_more_of_the_update_is_left_over() -> None:
    """The error is undeclared and small enough for the update to be explained."""
    images, labels = pictures()
    seen = observe(small(nn.Tanh()), images, labels, hidden=True)
    promised = []
    for size in (0.0, 1e-6, 1e-5, 1e-4):
        drawn = torch.Generator().manual_seed(0)
        update = tuple(t + size * t.square().mean().sqrt() * torch.randn(t.shape, generator=drawn) for t in seen.update)
        guess = Peel()(replace(seen, update=update))
        assert guess.facts["certified"]
        assert quality(guess, images) >= guess.facts["promised_psnr"]
        promised.append(guess.facts["promised_psnr"])
    assert promised[1] > promised[2] + 10 > promised[3] + 20


# Hostile updates


HOSTILE: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros": torch.zeros_like,
    "huge": lambda t: torch.full_like(t, 3e38),
    "huge and mixed": lambda t: t.sign() * 1e38,
    "tiny": lambda t: t * 1e-38,
    "nan": lambda t: torch.full_like(t, torch.nan),
    "one infinity": lambda t: t.flatten().index_fill(0, torch.tensor([0]), torch.inf).reshape(t.shape),
    "ones": torch.ones_like,
    "one entry": lambda t: torch.zeros_like(t).flatten().index_fill(0, torch.tensor([0]), 1.0).reshape(t.shape),
}


@pytest.mark.parametrize(
    ("stack", "bias"),
    [([], True), ([("clip", {"norm": 0.1})], False), ([("random-k", {"fraction": 0.5})], True)],
    ids=str,
)
@pytest.mark.parametrize("name", list(HOSTILE))
def test_any_update_gives_a_guess_that_is_not_certified_or_a_reason(name: str, stack: Stack, bias: bool) -> None:
    images, labels = pictures()
    seen = defended(small(nn.Sigmoid(), bias=bias, top_bias=bias), images, labels, stack)
    [guess] = Peel(steps=2).attack_all([replace(seen, update=tuple(HOSTILE[name](t) for t in seen.update))])
    assert not guess.facts.get("certified", False)
    assert bool(guess.images.isfinite().all())
    assert len(guess.images) == 1 or guess.notes


@pytest.mark.parametrize(
    ("name", "reason"), [("zeros", "is zero and tells nothing"), ("nan", "not finite"), ("one infinity", "not finite")]
)
def test_an_update_that_tells_nothing_is_refused_with_the_reason(name: str, reason: str) -> None:
    images, labels = pictures()
    seen = observe(small(nn.Tanh()), images, labels)
    with pytest.raises(Failed, match=reason):
        Peel()(replace(seen, update=tuple(HOSTILE[name](t) for t in seen.update)))


# What it cannot do


def test_what_it_cannot_peel_is_unsupported_with_the_reason() -> None:
    images, _ = pictures()
    assert Peel().unsupported(public(victim(images), (3, 8, 8))) is None
    assert Peel().unsupported(public(victim(digits(1)[0], model=MLP()), (1, 8, 8))) is None
    reasons = {
        "needs batch_size 1, not 2": public(victim(images), (3, 8, 8), batch=2),
        "max pooling hides which entry was the largest (layer 2)": public(
            victim(images, model=LeNet(pool="max")), (3, 8, 8)
        ),
        "only signs are shared": replace(public(victim(images), (3, 8, 8)), defenses=(PublicDefense("sign", {}),)),
        "at most 8192 values a layer, not 9408": public(
            chain(nn.Flatten(), nn.Linear(9408, 10)), (3, 56, 56)
        ),
    }  # fmt: skip
    for words, known in reasons.items():
        assert words in str(Peel().unsupported(known))


def test_the_same_update_gives_the_same_bits() -> None:
    images, labels = pictures()
    seen = defended(victim(images), images, labels, [("gaussian", {"std": 1e-3})])
    first, again = Peel()(seen), Peel()(seen)
    assert torch.equal(first.images, again.images)
    assert first.facts == again.facts
