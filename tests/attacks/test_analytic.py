"""Attack `analytic`: exact where a first fully connected layer has a bias, and silent where no unit was active."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_updates import digits, observe, photographs, public, victim
from torch import Tensor

from invbench.attacks.analytic import Analytic
from invbench.defenses import Context
from invbench.defenses.random_k import RandomK
from invbench.metrics import psnr
from invbench.models import ImageModel
from invbench.models.lenet import LeNet
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.observation import Failed, PublicDefense, UpdateObservation

PICTURES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float32, (1, *shape), elements=st.floats(0, 1, width=32))
)


@settings(deadline=None, max_examples=25)
@given(picture=PICTURES, label=st.integers(0, 4), seed=st.integers(0, 50))
def test_any_picture_is_exact_up_to_float32(picture: np.ndarray, label: int, seed: int) -> None:
    image = torch.from_numpy(picture)
    network = victim(image, model=MLP(width=16), classes=5, seed=seed)
    guess = Analytic()(observe(network, image, torch.tensor([label]), classes=5, hidden=True))
    assert guess.images.dtype == torch.float32
    assert psnr(guess.images, image)[0] > 90
    assert guess.labels is not None
    assert guess.labels.tolist() == [label]


@pytest.mark.parametrize("model", [Linear(), MLP(activation="sigmoid", depth=3), MLP(activation="gelu", width=8)])
def test_any_network_that_starts_with_a_biased_linear_layer_is_read(model: ImageModel) -> None:
    images, labels = photographs(3)
    network = victim(images, model=model)
    seen = [observe(network, image, label) for image, label in zip(images.split(1), labels.split(1), strict=True)]
    guesses = Analytic().attack_all(seen)
    assert min(psnr(torch.cat([guess.images for guess in guesses]), images)) > 90


def seen_by(model: ImageModel, *, batch: int = 1) -> UpdateObservation:
    images, labels = digits(batch)
    return observe(victim(images, model=model), images, labels)


def with_rows(seen: UpdateObservation, slopes: Tensor) -> UpdateObservation:
    """The same observation where unit i's dL/db is `slopes[i]`, and dL/dW, rounded to float16, fits it."""
    image = seen.update[0][0] / seen.update[1][0]
    return replace(seen, update=(slopes[:, None] * image + 1e-4, slopes, *seen.update[2:]))


def test_the_unit_with_the_largest_slope_is_read() -> None:
    seen = seen_by(MLP(width=4, activation="sigmoid"))
    exact = Analytic()(seen).images
    for largest in range(4):
        slopes = torch.full((4,), 1e-3)
        slopes[largest] = -50.0  # the error of 1e-4 in dL/dW divided by it is lost; divided by 1e-3 it would be 0.1
        assert psnr(Analytic()(with_rows(seen, slopes)).images, exact)[0] > 80


def test_given_labels_are_returned() -> None:
    seen = seen_by(MLP(width=4))
    other = (seen.labels + 3) % 10  # type: ignore[operator]
    assert torch.equal(Analytic()(replace(seen, labels=other)).labels, other)  # type: ignore[arg-type]


def test_where_no_unit_was_active_there_is_no_picture_and_a_reason() -> None:
    images, labels = digits(2)
    network = victim(images, model=MLP(width=4))
    silent = victim(images, model=MLP(width=4))
    with torch.no_grad():
        silent[1].bias.fill_(-1e3)
    seen = [observe(net, images[:1], labels[:1]) for net in (network, silent)]
    reason = "dL/db of the first layer is zero: no unit was active"
    with pytest.raises(Failed, match=reason):
        Analytic()(seen[1])
    found, nothing = Analytic().attack_all(seen)
    assert psnr(found.images, images[:1])[0] > 90
    assert nothing.images.shape == (0, 1, 8, 8)
    assert nothing.labels is None
    assert nothing.notes == (reason,)


def test_what_it_cannot_read_is_unsupported_with_the_reason() -> None:
    needs = "needs a first fully connected layer with bias; victim starts with "
    assert Analytic().unsupported(seen_by(MLP()).public) is None
    assert Analytic().unsupported(seen_by(Linear()).public) is None
    assert Analytic().unsupported(seen_by(LeNet()).public) == needs + "a Conv2d"
    assert Analytic().unsupported(seen_by(MLP(bias=False)).public) == needs + "a Linear without bias"
    four = public(victim(digits(1)[0], model=MLP()), (1, 8, 8), batch=4)
    assert Analytic().unsupported(four) == "needs batch_size 1, not 4: a sum over pictures does not divide out"


def test_entries_that_were_left_out_are_no_pixels() -> None:
    """One unit's row is full of zeros that were not sent; the other units have what it lacks."""
    images, labels = photographs(1)
    seen = observe(victim(images, model=MLP(activation="sigmoid")), images, labels, hidden=True)
    update = RandomK(fraction=0.3).update(seen.update, Context(torch.Generator().manual_seed(0)))
    undeclared = replace(seen, update=update)
    declared = (PublicDefense("random-k", {"fraction": 0.3}),)
    guess = Analytic()(replace(undeclared, public=replace(seen.public, defenses=declared)))
    assert psnr(guess.images, images)[0] > psnr(Analytic()(undeclared).images, images)[0] + 5
    assert guess.labels is not None
    assert guess.labels.tolist() == labels.tolist()
