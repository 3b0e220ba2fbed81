"""Per-example gradients, clipped and noised: against their definition, and against plain descent where nothing is."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from invbench.core import private
from invbench.core.private import Private
from invbench.core.training import Training, descend
from invbench.language.network import GPT

Step = Callable[[Tensor, Tensor], Tensor]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(48, 6), nn.Sigmoid(), nn.Linear(6, 4))


def examples(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 1, 6, 6, generator=seeded(1)), torch.arange(count) % 4


def gradient(model: nn.Module, images: Tensor, labels: Tensor, **said: float) -> Tensor:
    """The private gradient of a batch as one vector, without noise and divided by 10 unless told otherwise."""
    made = Private(**{"clip": 0.5, "noise": 0.0, "batch": 10, "seed": 0, **said})  # type: ignore[arg-type]
    made.backward(model, functional.cross_entropy)(images, labels)
    return torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


def own_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Each example's gradient as a row, one backward pass each."""
    rows = []
    for image, label in zip(images, labels, strict=True):
        loss = functional.cross_entropy(model(image[None]).flatten(0, -2), label.reshape(-1))
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return torch.stack(rows)


@pytest.mark.parametrize("held", [1, 5000, 1 << 24])
def test_each_example_is_clipped_over_all_parameters_together(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "HELD", held)
    model, (images, labels) = network(), examples(11)
    own = own_gradients(model, images, labels)
    clip = float(own.norm(dim=1).median())
    wanted = (own * (clip / own.norm(dim=1)).clamp_max(1)[:, None]).sum(dim=0) / 10
    torch.testing.assert_close(gradient(model, images, labels, clip=clip), wanted, rtol=1e-4, atol=1e-6)


def test_tied_weights_have_one_gradient() -> None:
    model = GPT(20, layers=1, width=8, heads=2, context=6, tied=True)
    tokens = torch.randint(20, (3, 7), generator=seeded(0))
    made = Private(clip=100.0, noise=0.0, batch=3, seed=0)
    of_batch = made.backward(model, lambda scores, labels: functional.cross_entropy(scores[0], labels[0]))
    of_batch(tokens[:, :-1], tokens[:, 1:])
    found = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    wanted = own_gradients(model, tokens[:, :-1], tokens[:, 1:]).mean(dim=0)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_one_example_moves_the_gradient_by_no_more_than_the_clip_over_the_divisor() -> None:
    model, (images, labels) = network(), examples(8)
    images[0] *= 1000  # the worst that an example can do
    moved = gradient(model, images, labels) - gradient(model, images[1:], labels[1:])
    assert 0.999 * 0.5 / 10 < float(moved.norm()) <= 0.5 / 10 * (1 + 1e-5)


def test_the_noise_has_its_deviation_and_the_divisor_is_not_what_was_drawn() -> None:
    model, (images, labels) = network(), examples(8)
    plain, noisy = gradient(model, images, labels), gradient(model, images, labels, noise=4.0)
    assert float((noisy - plain).std()) == pytest.approx(4.0 * 0.5 / 10, rel=0.1)
    assert torch.equal(noisy, gradient(model, images, labels, noise=4.0)), "the same seed gave other noise"
    assert not torch.equal(noisy, gradient(model, images, labels, noise=4.0, seed=1))
    few = gradient(model, images[:1], labels[:1], batch=10, clip=1e9)
    torch.testing.assert_close(few, own_gradients(model, images[:1], labels[:1])[0] / 10)
    empty = gradient(model, images[:0], labels[:0], noise=4.0)
    torch.testing.assert_close(empty, noisy - plain, rtol=0, atol=1e-5)


def test_every_example_is_drawn_with_the_probability_asked_for() -> None:
    drawn = Private(1.0, 1.0, batch=8, seed=0).batches(40, 4000, seeded(0))
    counts = torch.bincount(torch.cat(drawn), minlength=40)
    assert (counts.double() / 4000 - 0.2).abs().max() < 5 * (0.2 * 0.8 / 4000) ** 0.5
    sizes = torch.tensor([len(batch) for batch in drawn]).double()
    assert sizes.var() == pytest.approx(40 * 0.2 * 0.8, rel=0.15), "batches of one size are not Poisson's"
    assert all(len(batch) == 40 for batch in Private(1.0, 1.0, batch=40, seed=0).batches(40, 3, seeded(0)))
    with pytest.raises(ValueError, match="a batch of 41 examples on average, but there are 40"):
        Private(1.0, 1.0, batch=41, seed=0).batches(40, 1, seeded(0))


def test_without_noise_and_clipping_and_with_all_in_each_batch_it_is_full_batch_descent() -> None:
    (images, labels), plain = examples(20), network()
    same = copy.deepcopy(plain)
    start = copy.deepcopy(plain)
    descend(plain, images, labels, seeded(3), Training(15))
    descend(same, images, labels, seeded(3), Training(15, private=Private(clip=1e6, noise=0.0, batch=20, seed=0)))
    for name, weight in same.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], rtol=0, atol=1e-5)
        assert not torch.allclose(weight, start.state_dict()[name], rtol=0, atol=1e-3)


def test_a_training_by_example_has_no_other_gradient_of_a_batch() -> None:
    made = Private(1.0, 1.0, 4, 0)
    with pytest.raises(ValueError, match="no other defence may compute a batch's"):
        Training(3, private=made, backward=lambda model, loss, images, labels: loss(model(images), labels))
