"""ATS: what its operations do, that a policy is what it says, and that attackers read the augmented picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from defended_updates import defended, seeded
from made_updates import MEAN, STD, digits, normalised, photographs, public, victim
from small_cells import make_cell
from torch import Tensor, nn

from invbench.attacks.analytic import Analytic
from invbench.defenses import Client, Context
from invbench.defenses._augmentations import OPERATIONS, augmented
from invbench.defenses.ats import ATS, LIBRARY
from invbench.matrix.errors import MatrixErrors
from invbench.metrics import psnr
from invbench.models.mlp import MLP

GREY = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 4


def augment(policy: str, images: Tensor, seed: int = 0) -> Tensor:
    """Unit-range pictures after a policy."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    batch = (normalised(images), torch.zeros(len(images)).long())
    client = Client(public(nn.Identity(), shape, batch=len(images)), nn.Identity(), batch)
    given, _ = ATS(policy=policy).inputs(batch, Context(seeded(seed), client))
    mean, std = (torch.tensor(c[: shape[0]]).reshape(-1, 1, 1) for c in (MEAN, STD))
    return given * std + mean


def test_every_operation_of_the_library_is_known() -> None:
    assert len(LIBRARY) == 50
    assert {name for name, _ in LIBRARY} <= set(OPERATIONS)
    for name in OPERATIONS:
        for pixels in (GREY, np.concatenate([GREY] * 2), np.concatenate([GREY] * 3)):
            changed = augmented(pixels, name, 5, 1)
            assert (changed.shape, changed.dtype) == (pixels.shape, pixels.dtype)


def test_operations_do_what_their_names_say() -> None:
    assert (augmented(GREY, "invert", 7, 1) == 255 - GREY).all()
    moved = augmented(GREY, "translate-x", 5, 1)  # 0.25 of the width: two pixels
    assert (moved[0, :, :6] == GREY[0, :, 2:]).all()
    assert not moved[0, :, 6:].any()
    assert (augmented(GREY, "translate-x", 5, -1)[0, :, 2:] == GREY[0, :, :6]).all()
    assert (augmented(GREY, "posterize", 9, 1) == GREY // 16 * 16).all()
    assert (augmented(GREY, "solarize", 0, 1) == GREY).all()
    assert augmented(GREY, "brightness", 9, 1).mean() > GREY.mean() > augmented(GREY, "brightness", 9, -1).mean()


def test_a_policy_is_its_operations_in_turn_and_a_hybrid_draws_one_for_each_picture() -> None:
    images, _ = photographs(6)
    torch.testing.assert_close(augment("29", images), 1 - images, atol=3e-3, rtol=0)
    torch.testing.assert_close(augment("29-47", images), images, atol=3e-3, rtol=0)  # inverted twice
    either = augment("29+29-47", images)
    turned = ((either - images).abs().amax(dim=(1, 2, 3)) > 0.1).tolist()
    assert set(turned) == {True, False}
    assert torch.equal(either, augment("29+29-47", images))


def test_the_augmented_picture_is_read_exactly() -> None:
    images, labels = digits(1)
    [seen] = defended(victim(images, model=MLP(width=8, depth=1)), images, labels, [("ats", {})], seed=3)
    read, augmented_ = Analytic()(seen).images, augment("3-1-7+43-18-18", images, 3).clamp(0, 1)
    assert psnr(read, augmented_)[0] > 60
    assert psnr(read, images)[0] < 20


@pytest.mark.parametrize("policy", ["3-1-50", "3-x", ""])
def test_a_policy_that_is_none_is_refused(tmp_path: Path, policy: str) -> None:
    with pytest.raises(MatrixErrors, match="policy is numbers from 0 to 49"):
        make_cell(tmp_path, defense={"name": "ats", "policy": policy})
