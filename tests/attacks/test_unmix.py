"""Attack `unmix`: many encodings of one batch undo InstaHide and mixup; one does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from defended_updates import in_rounds
from made_updates import photographs, public, victim
from torch import Tensor

from invbench.attacks.unmix import Unmix
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.observation import Failed, PublicDefense, UpdateObservation

IMAGES, LABELS = photographs(8)
INSTAHIDE: tuple[str, dict[str, Any]] = ("instahide", {"k": 2})
MIXUP: tuple[str, dict[str, Any]] = ("mixup", {})


def seen_behind(defense: tuple[str, dict[str, Any]], rounds: int, batch: int = 4) -> UpdateObservation:
    images, labels = IMAGES[:batch], LABELS[:batch]
    return in_rounds(rounds, victim(images, model=MLP(width=256)), images, labels, [defense], batch=batch)[0]


def decibels(found: Tensor, originals: Tensor) -> Tensor:
    """PSNR of each original's nearest picture, in dB."""
    errors = (found[:, None] - originals[None]).square().flatten(2).mean(dim=2).amin(dim=0)
    return -10 * errors.clamp(min=1e-10).log10()


def test_ten_rounds_undo_instahide_where_one_tells_little() -> None:
    seen = seen_behind(INSTAHIDE, 10)
    found = Unmix()(seen)
    assert found.facts == {"encodings": 40, "explained": 40}
    assert float(decibels(found.images, IMAGES[:4]).min()) > 35
    naive = Unmix()(replace(seen, rounds=()))
    assert float(decibels(naive.images, IMAGES[:4]).mean()) < 15


def test_encodings_of_other_pictures_tell_nothing_of_these() -> None:
    """The control: pictures unmixed from another batch are as far from these as photographs are from each other."""
    images, labels = IMAGES[4:], LABELS[4:]
    others = in_rounds(6, victim(images, model=MLP(width=256)), images, labels, [INSTAHIDE], batch=4)[0]
    found = Unmix()(others)
    assert float(decibels(found.images, IMAGES[:4]).max()) < 16


def test_fourteen_rounds_undo_mixup_exactly() -> None:
    found = Unmix()(seen_behind(MIXUP, 14))
    assert float(decibels(found.images, IMAGES[:4]).min()) > 90


def test_told_of_no_mixing_it_answers_the_first_rounds_encodings() -> None:
    seen = seen_behind(MIXUP, 3)
    told_nothing = replace(seen, public=replace(seen.public, defenses=()), rounds=())
    assert torch.equal(Unmix()(told_nothing).images, Unmix()(replace(seen, rounds=())).images)


def test_it_fails_where_no_picture_was_seen_alone_twice() -> None:
    """Two rounds of different batches have no encoding in common."""
    network = victim(IMAGES, model=MLP(width=256))
    halves = [in_rounds(2, network, IMAGES[k:][:4], LABELS[k:][:4], [MIXUP], batch=4)[0] for k in (0, 4)]
    with pytest.raises(Failed, match="in 2 rounds no picture was mixed with itself twice"):
        Unmix()(replace(halves[0], rounds=tuple(half.rounds[0] for half in halves)))


@pytest.mark.parametrize(
    ("model", "defense", "batch", "why"),
    [
        (LeNet(), INSTAHIDE, 4, "needs a first fully connected layer with bias and a ReLU behind it"),
        (MLP(activation="sigmoid"), INSTAHIDE, 4, "needs a first fully connected layer with bias and a ReLU behind it"),
        (MLP(), INSTAHIDE, 9, "needs a batch_size of at most 8, not 9"),
        (MLP(), ("instahide", {"k": 3}), 4, "unmixes encodings of two pictures, not of 3"),
        (MLP(), ("gaussian", {"std": 0.1}), 4, "reads exact encodings, and gaussian changes what is sent"),
    ],
)
def test_what_it_cannot_read_is_unsupported_and_says_so(model: Any, defense: Any, batch: int, why: str) -> None:
    known = public(victim(IMAGES, model=model), (3, 16, 16), batch=batch)
    assert str(Unmix().unsupported(replace(known, defenses=(PublicDefense(*defense),)))).startswith(why)
