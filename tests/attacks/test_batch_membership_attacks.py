"""Attacks of game `batch-membership`: what each reads of one update, and the control that it beats."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from small_cells import make_cell

from invbench.attacks.gradient_alignment import agreement
from invbench.attacks.neuron_ratio import closeness
from invbench.core.attack import Attack
from invbench.games import Scores
from invbench.games.batch_membership import BatchMembership
from invbench.numbers.ranking import Auc
from invbench.numbers.whole_cell import value
from invbench.play.asking import why_unsupported
from invbench.play.knowing import told_observations

FILTER = {"name": "matched-filter"}
EVERY = (
    *({"name": "gradient-alignment", "score": score} for score in ("cosine", "inner-product", "difference")),
    {"name": "gradient-alignment", "layers": "last"},
    {"name": "neuron-ratio"},
    FILTER,
    {**FILTER, "by_label": False},
    {**FILTER, "layers": "last"},
    {**FILTER, "joint": True},
)


def cell_of(attack: Any, batch: int, targets: int, *, labels: str = "known", public: int = 300, **said: Any) -> Any:
    with TemporaryDirectory() as folder:
        return make_cell(
            Path(folder),
            dataset="digits",
            attack=attack,
            model=said.pop("model", {"name": "lenet"}),
            batch_size=batch,
            targets=targets,
            controls=["labels"],
            protocol={"name": "fedsgd", "labels": labels, "public": public, **said.pop("protocol", {})},
            **said,
        )


def played(attack: Any, batch: int, targets: int, **said: Any) -> tuple[Scores, Scores]:
    """Scores of the attack, and of the control."""
    cell = cell_of(attack, batch, targets, **said)
    assert why_unsupported(cell) is None
    deal = BatchMembership().deal(cell, torch.device("cpu"))
    answers = cell.attack.build(Attack).attack_all(told_observations(cell, deal.observations))
    return deal.score(answers), deal.controls()["labels"]


def auc(scores: Scores) -> float:
    found = value(Auc(), scores).value
    assert found is not None
    return found


@pytest.mark.parametrize("attack", EVERY, ids=str)
def test_of_one_picture_every_attack_knows_it(attack: Any) -> None:
    assert auc(played(attack, 1, 10)[0]) >= 0.95


@cache
def at_sixteen(by_label: bool, labels: str) -> tuple[float, float]:
    found = [auc(one) for one in played({**FILTER, "by_label": by_label}, 16, 6, labels=labels)]
    return found[0], found[1]


@pytest.mark.parametrize(("by_label", "labels"), [(True, "known"), (False, "known"), (True, "hidden")])
def test_the_filter_reads_more_than_labels_of_sixteen_pictures(by_label: bool, labels: str) -> None:
    own, control = at_sixteen(by_label, labels)
    assert own > control + 0.1


def test_the_filter_beats_the_published_scores() -> None:
    own = at_sixteen(True, "known")[0]
    for attack in EVERY[:3]:
        assert own > auc(played(attack, 16, 6)[0])


def test_rounds_are_ranked_together_as_well_as_each_alone() -> None:
    """300 pictures tell little of a covariance of 8,026 entries, and as much as it is wrong it must not matter."""
    scores = played(FILTER, 8, 8, model={"name": "lenet", "activation": "relu", "start": "pytorch"})[0]
    alone = [auc({key: [rounds[k]] for key, rounds in scores.items()}) for k in range(8)]
    assert np.mean(alone) > 0.95
    assert auc(scores) > np.mean(alone) - 0.02


def test_all_candidates_together_are_a_linear_system() -> None:
    assert auc(played({**FILTER, "joint": True}, 16, 2)[0]) > 0.999


def test_an_update_of_one_picture_gives_every_neuron_its_input() -> None:
    """Golden: r_i = s_i a / s_i. A neuron without an error signal has no ratio and is left out."""
    own, other = torch.randn(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    signal = torch.tensor([0.5, 0.0, -2.0], dtype=torch.float64)
    found = closeness(signal[:, None] * own, signal, torch.stack([own, -own, other]))
    torch.testing.assert_close(found[0], torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(found[1], torch.tensor(-1.0, dtype=torch.float64))
    assert abs(float(found[2])) < 0.99


def test_scores_of_a_sum_of_orthogonal_gradients() -> None:
    """Golden: S = 3 e1 + e2. A member's difference is its own squared length, another's its negative."""
    rows = torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    whole = torch.tensor([3.0, 1.0, 0.0])
    assert agreement(rows, whole, "inner-product").tolist() == [9, 1, 0, 0]
    assert agreement(rows, whole, "difference").tolist() == [9, 1, -4, 0]
    assert np.allclose(agreement(rows, whole, "cosine"), [3 / 10**0.5, 1 / 10**0.5, 0, 0])


@pytest.mark.parametrize(
    ("attack", "said", "why"),
    [
        (FILTER, {"public": 0}, "needs at least 10 pictures of the attacker's own: give the protocol `public: NUMBER`"),
        (FILTER, {"public": 9}, "needs at least 10 pictures of the attacker's own, not 9"),
        (FILTER, {"defense": [{"name": "top-k", "fraction": 0.1}]}, "which top-k does not keep to"),
        (FILTER, {"defense": ["mixup"]}, "which mixup does not keep to"),
        (FILTER, {"protocol": {"name": "fedavg", "steps": 2}}, "needs an update that is an exact multiple of one"),
        ("gradient-alignment", {"protocol": {"batch_norm": "train"}}, "clients' BatchNorm mixes their batch"),
    ],
)
def test_what_cannot_be_attacked_says_why(attack: Any, said: dict[str, Any], why: str) -> None:
    assert why in str(why_unsupported(cell_of(attack, 2, 1, **said)))


def test_declared_noise_is_expected_and_hides_members() -> None:
    """A filter that knows of the noise ranks better than one that takes it for gradients; much noise hides all."""
    noisy = {"defense": [{"name": "gaussian", "std": 0.01}], "labels": "hidden"}
    told, naive = (auc(played({**FILTER, "adaptive": known}, 1, 12, **noisy)[0]) for known in (True, False))
    assert told > naive - 0.02
    assert 0.2 < auc(played(FILTER, 1, 12, labels="hidden", defense=[{"name": "gaussian", "std": 100.0}])[0]) < 0.8
