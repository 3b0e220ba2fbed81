"""mixup and InstaHide: what a client computes on, and that labels follow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from defended_updates import NAIVE, defended, read, seeded
from made_updates import MEAN, STD, digits, normalised, public, victim
from small_cells import make_cell
from torch import Tensor, nn

from invbench.defenses import Client, Context
from invbench.defenses._mixing import beta
from invbench.defenses.instahide import LARGEST, InstaHide
from invbench.defenses.mixup import Mixup
from invbench.play.asking import why_unsupported


def client(images: Tensor, labels: Tensor, seed: int = 0) -> Context:
    shape = (images.shape[1], images.shape[2], images.shape[3])
    return Context(
        seeded(seed), Client(public(nn.Identity(), shape, batch=len(images)), nn.Identity(), (images, labels))
    )


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_drawn_from_beta(alpha: float) -> None:
    generator = seeded(1)
    drawn = torch.tensor([beta(alpha, generator) for _ in range(400)])
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.08)
    assert float(drawn.var()) == pytest.approx(0.25 / (2 * alpha + 1), rel=0.3)


def test_every_picture_is_a_mixture_of_two_and_its_label_of_theirs() -> None:
    images, labels = digits(5)
    mixtures, shares = Mixup(alpha=1.0).inputs((images, labels), client(images, labels, 3))
    assert shares.shape == (5, 10)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(5))
    share = beta(1.0, generator := seeded(3))
    other = torch.randperm(5, generator=generator)
    torch.testing.assert_close(mixtures, share * images + (1 - share) * images[other])
    rows = torch.arange(5)
    different = labels != labels[other]
    torch.testing.assert_close(shares[rows, labels][different], torch.full((int(different.sum()),), share))


def test_the_mixtures_are_what_is_read() -> None:
    images, labels = digits(2)
    seen = defended(victim(images), images, labels, [("mixup", {})], batch=2, seed=1)
    mixtures, _ = Mixup().inputs((normalised(images), labels), client(images, labels, 1))
    mixtures = mixtures * STD[0] + MEAN[0]
    assert not torch.allclose(mixtures, images, atol=0.1), "this draw mixes"
    assert read(NAIVE, seen, mixtures) > read(NAIVE, seen, images) + 1


def test_one_picture_has_nothing_to_be_mixed_with(tmp_path: Path) -> None:
    assert "there is one" in str(why_unsupported(make_cell(tmp_path, defense="mixup")))
    assert why_unsupported(make_cell(tmp_path, defense="mixup", batch_size=2, attack="inverting-gradients")) is None


def test_instahide_hides_signs_and_its_labels_follow_the_weights() -> None:
    images, labels = digits(6)
    hidden, shares = InstaHide(k=3).inputs((normalised(images), labels), client(images, labels, 4))
    mixing = InstaHide(k=3)._weights(6, seeded(4))
    torch.testing.assert_close(mixing.sum(dim=1), torch.ones(6))
    assert (mixing.diagonal() > 0).all()
    mixtures = torch.einsum("ij,jchw->ichw", mixing, normalised(images))
    torch.testing.assert_close(hidden.abs(), mixtures.abs())
    assert float((hidden * mixtures > 0).float().mean()) == pytest.approx(0.5, abs=0.1)
    torch.testing.assert_close(shares, mixing @ nn.functional.one_hot(labels, 10).float())


def test_no_picture_weighs_more_than_the_largest_weight() -> None:
    for seed in range(5):
        three = InstaHide(k=3)._weights(30, seeded(seed))
        alone = three[(three > 0).sum(dim=1) == 3]  # no picture was met twice
        assert float(alone.max()) <= LARGEST


def test_signs_keep_pictures_from_being_read() -> None:
    images, labels = digits(2)
    network = victim(images)
    mixed, signed = (
        defended(network, images, labels, [(name, {})], batch=2, seed=1) for name in ("mixup", "instahide")
    )
    assert read(NAIVE, mixed, images) > read(NAIVE, signed, images) + 1


def test_instahide_needs_as_many_pictures_as_it_mixes(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, defense={"name": "instahide", "k": 4}, batch_size=2, attack="inverting-gradients")
    assert "mixes 4 pictures of a batch, and there are 2" in str(why_unsupported(cell))
