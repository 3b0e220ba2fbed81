"""Early stopping and label smoothing: steps and losses of a training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from invbench.core.training import Training
from invbench.defenses import Context, Stack
from invbench.defenses.early_stopping import EarlyStopping
from invbench.defenses.label_smoothing import LabelSmoothing

CONTEXT = Context(torch.Generator())


@pytest.mark.parametrize(
    ("fraction", "most", "steps"), [(0.5, None, 100), (0.5, 30, 30), (1.0, 500, 200), (0.001, None, 1)]
)
def test_early_stopping_takes_a_share_of_the_steps_or_a_number_at_most(
    fraction: float, most: int | None, steps: int
) -> None:
    asked = EarlyStopping(fraction=fraction, most=most)
    assert asked.training(Training(200), CONTEXT) == Training(steps)
    assert asked.training_notes(Training(steps)) == (f"early-stopping: trained for {steps} steps",)


def test_label_smoothing_is_the_cross_entropy_with_smoothed_labels() -> None:
    scores, labels = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 5
    smooth = LabelSmoothing(share=0.3).training(Training(1), CONTEXT).loss
    wanted = functional.cross_entropy(scores, labels, label_smoothing=0.3)
    torch.testing.assert_close(smooth(scores, labels), wanted)
    spread = torch.full((7, 5), 0.06).scatter(1, labels[:, None], 0.06 + 0.7)
    torch.testing.assert_close(smooth(scores, labels), functional.cross_entropy(scores, spread))


def test_smoothing_keeps_the_loss_that_another_defence_chose() -> None:
    twice = Stack((LabelSmoothing(share=0.5), LabelSmoothing(share=0.5))).at("training", Training(1), CONTEXT)
    scores, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(
        twice.loss(scores, labels), functional.cross_entropy(scores, labels, label_smoothing=0.75)
    )
