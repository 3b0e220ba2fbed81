"""Trained victims: they learn, the same way every time, on real pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import Tensor, nn

from invbench import registry
from invbench.core import progress
from invbench.core.training import Training
from invbench.core.training import batches as _batches
from invbench.core.training import schedule as _schedule
from invbench.victims.building import build_victim
from invbench.victims.training import train


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """1,797 hand-written digits (N, 1, 8, 8), normalised."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1)
    return (images - images.mean()) / images.std(), torch.tensor(data.target)


@pytest.fixture(scope="module")
def cifar(shared_data: Path) -> tuple[Tensor, Tensor]:
    """2,000 pictures of CIFAR-10 (N, 3, 32, 32), normalised."""
    with np.load(shared_data / "cifar10-train-4660.npz") as data:
        images = torch.tensor(data["images"][:2000]).float() / 255
        labels = torch.tensor(data["labels"][:2000]).long()
    return (images - images.mean((0, 2, 3), keepdim=True)) / images.std((0, 2, 3), keepdim=True), labels


def victim(name: str, image_shape: tuple[int, ...], classes: int = 10, **settings: Any) -> nn.Module:
    channels, height, width = image_shape
    return build_victim(registry.load("model", name).build(settings), (channels, height, width), classes, seed=0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("name", "settings", "steps", "least"),
    [
        ("linear", {}, 300, 0.85),
        ("mlp", {}, 200, 0.95),
        ("lenet", {}, 400, 0.6),
        ("resnet20", {}, 40, 0.9),
    ],
)
def test_a_victim_learns_digits(
    name: str, settings: dict[str, Any], steps: int, least: float, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    trained = train(victim(name, images.shape[1:], **settings), images, labels, seeded(0), Training(steps=steps))
    assert trained.accuracy > least


@pytest.mark.parametrize(
    ("name", "settings", "steps", "least"),
    [("lenet", {}, 300, 0.2), ("mlp", {}, 150, 0.35), ("convnet", {"width": 4}, 50, 0.2)],
)
def test_a_victim_learns_cifar_far_above_chance(
    name: str, settings: dict[str, Any], steps: int, least: float, cifar: tuple[Tensor, Tensor]
) -> None:
    trained = train(victim(name, (3, 32, 32), **settings), *cifar, seeded(0), Training(steps=steps))
    assert trained.accuracy > least  # chance is 0.1


def test_the_report_is_what_the_network_scores_on_the_pool(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    network = victim("mlp", (1, 8, 8), width=16)
    trained = train(network, images, labels, seeded(0), Training(steps=30))
    with torch.no_grad():
        scores = network(images)
    assert trained.loss == pytest.approx(nn.functional.cross_entropy(scores, labels).item(), rel=1e-5)
    assert trained.accuracy == pytest.approx((scores.argmax(1) == labels).double().mean().item())
    assert trained.steps == 30
    assert trained.epochs == pytest.approx(30 / (1797 // 32))


def bits_after_training(seed: int, global_seed: int, pool: tuple[Tensor, Tensor]) -> list[Tensor]:
    """A network with convolutions, BatchNorm and dropout, trained for a few steps."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(4 * 36, 10)
    )
    torch.manual_seed(global_seed)
    train(network, *pool, seeded(seed), Training(steps=10))
    return list(network.state_dict().values())


def test_the_same_generator_trains_to_the_same_bits_whatever_the_process_drew(digits: tuple[Tensor, Tensor]) -> None:
    first = bits_after_training(1, 10, digits)
    assert all(torch.equal(a, b) for a, b in zip(first, bits_after_training(1, 20, digits), strict=True))
    assert not torch.equal(first[0], bits_after_training(2, 10, digits)[0])


def test_training_leaves_the_global_generator_as_it_was(digits: tuple[Tensor, Tensor]) -> None:
    before = torch.get_rng_state()
    train(victim("linear", (1, 8, 8)), *digits, seeded(0), Training(steps=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trained_victim_is_in_eval_mode_without_gradients_and_its_statistics_have_moved(
    digits: tuple[Tensor, Tensor],
) -> None:
    network = victim("resnet20", (1, 8, 8))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    train(network, *digits, seeded(0), Training(steps=3))
    assert not any(layer.training for layer in network.modules())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    moved = [name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])]
    assert len(moved) == len(before)


def test_every_step_is_reported_with_its_loss(digits: tuple[Tensor, Tensor]) -> None:
    seen: list[progress.Progress] = []
    with progress.listening(seen.append):
        train(victim("linear", (1, 8, 8)), *digits, seeded(0), Training(steps=5))
    assert [(p.phase, p.done, p.total) for p in seen] == [("training", k, 5) for k in range(1, 6)]
    assert all(p.objective is not None and 0 < p.objective < 10 for p in seen)


def test_a_pool_below_a_batch_is_used_whole_and_an_empty_one_refused(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    trained = train(victim("linear", (1, 8, 8)), images[:7], labels[:7], seeded(0), Training(steps=300))
    assert trained.accuracy == 1
    assert trained.epochs == 300
    with pytest.raises(ValueError, match="the training pool is empty"):
        train(victim("linear", (1, 8, 8)), images[:0], labels[:0], seeded(0), Training(steps=1))


def test_a_training_whose_loss_is_not_finite_is_an_error(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    with pytest.raises(ArithmeticError, match=r"training diverged: the loss is (inf|nan) after 5 steps"):
        train(victim("mlp", (1, 8, 8)), torch.full_like(images, torch.inf), labels, seeded(0), Training(steps=5))


@pytest.mark.parametrize(("pool", "steps"), [(100, 7), (32, 3), (5, 4), (1, 2)])
def test_an_epoch_shows_no_picture_twice(pool: int, steps: int) -> None:
    batches = _batches(pool, steps, seeded(0))
    size = min(32, pool)
    assert [len(batch) for batch in batches] == [size] * steps
    each_epoch = pool // size
    for start in range(0, steps, each_epoch):
        shown = torch.cat(batches[start : start + each_epoch])
        assert len(set(shown.tolist())) == len(shown)
        assert shown.max() < pool


def test_the_learning_rate_climbs_to_its_peak_and_falls_to_almost_nothing() -> None:
    rates = [_schedule(step, 200) for step in range(200)]
    peak = rates.index(max(rates))
    assert rates[peak] == 1
    assert peak == 19
    assert rates[:20] == sorted(rates[:20])
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert _schedule(0, 1) == 1
