"""`property-classifier`: what it reads of a batch's update, and the controls that it beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_rows
import pytest
import torch

from invbench.attacks.property_classifier import LONGEST, PropertyClassifier, _features, drawn
from invbench.games import Scores
from invbench.numbers.ranking import Auc
from invbench.numbers.whole_cell import value
from invbench.observation import BatchPropertyObservation


def area(scores: Scores) -> float:
    found = value(Auc(), scores).value
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("classifier", "model"),
    [("forest", {}), ("logistic", {"trained": True, "training_steps": 100})],
    ids=["forest-untrained", "logistic-trained"],
)
def test_it_reads_above_what_labels_tell_and_nothing_from_noise(
    classifier: str, model: dict[str, Any], tmp_path: Path
) -> None:
    attack = {"name": "property-classifier", "classifier": classifier, "batches": 30, "trees": 20}
    said: dict[str, Any] = {"protocol": {"public": 60, "property_share": 0.125}, "batch_size": 8, "targets": 24}
    cell = made_rows.cell(tmp_path, attack, model=model, controls=("labels",), **said)
    scores, controls = made_rows.attacked(cell)
    assert area(scores) > max(0.95, area(controls["labels"]) + 0.02)
    assert area(made_rows.rerun(cell, "noise")) < 0.75


def test_batches_are_half_with_the_value_and_half_without(tmp_path: Path) -> None:
    protocol = {"public": 60, "property_share": 0.25}
    cell = made_rows.cell(tmp_path, {"name": "property-classifier"}, protocol=protocol, batch_size=8, targets=2)
    for seen in made_rows.dealt(cell).observations:
        assert isinstance(seen, BatchPropertyObservation)
        batches, holds = drawn(seen, 20)
        counts = (seen.own_value[batches] == seen.asked).sum(dim=1)
        assert counts.tolist() == [2 if held else 0 for held in holds]
        assert holds.sum() == 20


def test_features_are_magnitudes_of_weights_of_length_one() -> None:
    weight, bias, kernel = torch.tensor([[3.0, -4.0]]), torch.tensor([7.0]), torch.tensor([[[[0.0, -12.0]]]])
    assert _features([weight, bias, kernel]).tolist() == pytest.approx([3 / 13, 4 / 13, 12 / 13])
    long = torch.arange(2.0 * LONGEST).reshape(2, LONGEST)
    assert len(_features([long])) == 2


def test_an_update_that_diverged_is_as_likely_as_not(tmp_path: Path) -> None:
    attack = {"name": "property-classifier", "batches": 10, "trees": 5}
    seen = made_rows.dealt(made_rows.cell(tmp_path, attack, protocol={"public": 60}, targets=1)).observations[0]
    seen.update[0].fill_(torch.nan)
    (answer,) = PropertyClassifier(batches=10).attack_all([seen])
    assert (answer.score, len(answer.notes)) == (0.5, 1)
