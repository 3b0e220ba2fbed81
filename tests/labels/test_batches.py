"""Labels of batches, read off the last layer's gradient: what each strategy finds exactly, and where it cannot."""

from __future__ import annotations

import dataclasses
from itertools import permutations

import pytest
import torch
from made_updates import digits, normalised, observe, photographs, public, victim
from torch import Tensor, nn

from invbench.labels import column_min, ilrg, label_strategy, llg, read_labels, rlu
from invbench.labels.counts import labels_of, whole
from invbench.labels.own_pictures import answers, dummies
from invbench.metrics import label_overlap
from invbench.models.mlp import MLP
from invbench.observation import Labelled, PublicDefense, UpdateObservation

WAYS = ("column-min", "llg", "llg-dummy", "llg-aux", "ilrg", "rlu")
UNEVEN = [9, 0, 1, 0, 4, 0, 0, 2, 7, 1]
"""How many pictures of each of ten classes."""


def observed(
    images: Tensor, labels: Tensor, *, model: MLP | None = None, own: int = 0, **said: object
) -> UpdateObservation:
    """An update of a ReLU network, and so many pictures of the attacker's own, of the next classes in turn."""
    network = victim(images, model=MLP(width=64, depth=2))
    seen = observe(network, images, labels, hidden=True, **said)  # type: ignore[arg-type]
    if not own:
        return seen
    others, classes = photographs(len(images) + own) if images.shape[1] == 3 else digits(len(images) + own)
    reference = Labelled(normalised(others[-own:]), classes[-own:])
    return dataclasses.replace(seen, public=dataclasses.replace(seen.public, reference=reference))


def overlap(asked: str, seen: UpdateObservation, labels: Tensor) -> float:
    read = read_labels(asked, [seen])
    assert read is not None
    assert len(read[0].labels) == len(labels)
    return float(label_overlap(read[0].labels.numpy(), labels.numpy()).mean())


def test_whole_numbers_add_up_and_are_the_nearest() -> None:
    assert whole(torch.tensor([1.6, -3.0, 0.4, 2.0]), 4).tolist() == [2, 0, 0, 2]
    assert whole(torch.tensor([0.5, 0.5, 0.5]), 2).tolist() == [1, 1, 0]
    assert whole(torch.tensor([0.0, -1.0]), 3).tolist() == [2, 1]
    assert whole(torch.tensor([float("nan"), 5.0]), 3).tolist() == [2, 1]
    for total in range(20):
        assert int(whole(torch.rand(7), total).sum()) == total
    assert labels_of(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]


def test_column_min_finds_every_set_of_different_labels() -> None:
    images, _ = digits(3)
    for labels in permutations(range(10), 3):
        seen = observed(images, torch.tensor(labels))
        found = column_min.read([seen])[0]
        assert sorted(found.labels.tolist()) == sorted(labels)
        assert not found.notes
        absent = [row for row in range(10) if row not in labels]
        assert float(seen.update[-2][absent].min()) >= 0
        if labels[0] > 1:
            break


def test_column_min_says_that_a_label_repeats_and_then_is_wrong() -> None:
    images, _ = digits(4)
    labels = torch.tensor([3, 3, 5, 8])
    found = column_min.read([observed(images, labels)])[0]
    assert "3 rows of the last layer have a negative entry for 4 pictures" in found.notes[0]
    assert label_overlap(found.labels.numpy(), labels.numpy()).mean() == 0.75


def test_the_impact_of_a_picture_is_what_the_paper_says_where_nothing_depends_on_the_label() -> None:
    """A batch of one dummy alone, B times: m is off by 1/K^2 and offsets are exact, so counts are."""
    images, _ = digits(64)
    labels = labels_of(whole(torch.tensor([20.0, 1, 2, 9, 0, 0, 15, 4, 3, 10]), 64))
    seen = observed(images, labels)
    network = seen.model
    made = dummies(seen)
    found = answers(network, made, "5")
    sums = found.features.sum(dim=1)
    impact, offset = llg._impact_and_offset("llg-dummy", seen)
    assert impact == pytest.approx(-(1 - 1 / 100) * float(sums.mean()) / 64, rel=1e-9)
    torch.testing.assert_close(offset, (found.softmax * sums[:, None]).mean(dim=0))
    rows = offset - torch.bincount(labels, minlength=10) * sums.mean() / 64
    assert llg.counted(rows, impact, offset, 64).tolist() == torch.bincount(labels, minlength=10).tolist()


def test_a_label_takes_its_impact_from_its_own_class_alone() -> None:
    """Classes with a negative row first, then the least row, each time."""
    rows, nothing = torch.tensor([-5.0, -1.0, 3.0]), torch.zeros(3)
    assert llg.counted(rows, -2.0, nothing, 4).tolist() == [3, 1, 0]
    assert llg.counted(rows, -2.0, torch.tensor([-4.5, 0.0, 0.0]), 3).tolist() == [1, 2, 0]
    assert llg.counted(rows, -2.0, nothing, 1).tolist() == [1, 0, 0]
    assert llg.impact_alone(rows, 4) == pytest.approx(-(1 + 1 / 3) * 6 / 4)


def blind_last_layer(seen: UpdateObservation) -> None:
    """Features do not reach the scores: the softmax is that of the bias."""
    with torch.no_grad():
        seen.model[-1].weight.zero_()


@pytest.mark.parametrize("asked", ["ilrg", "rlu"])
def test_counts_are_exact_where_probabilities_are(asked: str) -> None:
    images, _ = digits(24)
    labels = labels_of(torch.tensor(UNEVEN))
    network = victim(images, model=MLP(width=64, depth=2))
    with torch.no_grad():
        network[-1].weight.zero_()
        network[-1].bias.copy_(torch.linspace(-1, 1, 10))
    seen = observe(network, images, labels, hidden=True)
    others, classes = digits(200)
    own = Labelled(normalised(others[100:]), classes[100:])
    seen = dataclasses.replace(seen, public=dataclasses.replace(seen.public, reference=own))
    read = read_labels(asked, [seen])
    assert read is not None
    assert torch.bincount(read[0].labels, minlength=10).tolist() == UNEVEN


def test_a_class_without_a_divisor_is_given_what_others_have() -> None:
    gradient = ilrg.LastLayer("", torch.eye(3).double(), torch.tensor([1.0, 0.0, -2.0]).double())
    found = ilrg.probabilities(gradient, torch.eye(3).double(), torch.zeros(3).double())
    torch.testing.assert_close(found[1], (found[0] + found[2]) / 2)
    assert bool(found.isfinite().all())


def test_the_equations_hold_for_what_is_solved() -> None:
    """The true mean softmax of each class gives the true counts, by both ways to solve for them."""
    confidence = torch.rand(10, 10).double().softmax(dim=0) + 0.3 * torch.eye(10)
    confidence /= confidence.sum(dim=0)
    counts = torch.tensor(UNEVEN).double()
    slopes = (confidence - torch.eye(10)) @ counts / counts.sum()
    torch.testing.assert_close(rlu.solved(confidence, slopes, 24), counts, atol=1e-6, rtol=0)
    torch.testing.assert_close(ilrg.solved(confidence.T, slopes, 24), counts, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("asked", "least"), [("llg-dummy", 0.85), ("llg-aux", 0.95), ("ilrg", 0.95), ("rlu", 0.95)])
def test_an_untrained_network_tells_nearly_all_labels_of_a_batch(asked: str, least: float) -> None:
    """Where noise stands for pictures, fewer: its features are not theirs."""
    images, _ = digits(64)
    labels = torch.randint(10, (64,), generator=torch.Generator().manual_seed(1))
    assert overlap(asked, observed(images, labels, own=200), labels) >= least


def test_several_local_steps_are_read_at_both_of_their_ends() -> None:
    """At the start's probabilities alone it is worse: a client's steps move them."""
    images, labels = digits(64)
    seen = observed(images, labels, own=300, protocol="fedavg", steps=20, lr=0.1)
    both = overlap("rlu", seen, labels)
    begin = rlu._confidences(seen, seen.model)
    alone = labels_of(whole(rlu.solved(begin, rlu.last_layer(seen).double().bias, 64), 64))  # type: ignore[arg-type]
    assert both >= 0.9
    assert both > float(label_overlap(alone.numpy(), labels.numpy()).mean())


REASONS = {
    "column-min": {"tanh": "features of either sign", "many": "some repeat", "no last": "does not end in one"},
    "llg": {"tanh": "features of either sign", "no last": "does not end in one"},
    "llg-dummy": {"tanh": "features of either sign", "uneven": "takes some of a client's batch oftener than others"},
    "llg-aux": {"alone": "labelled pictures of the attacker's own", "few": "has none of 1, 2, 4, 5, 6 ..."},
    "ilrg": {"no bias": "has none", "no last": "does not end in one"},
    "rlu": {"no bias": "has none", "alone": "labelled pictures of the attacker's own"},
}


@pytest.mark.parametrize(("asked", "case"), [(asked, case) for asked in REASONS for case in REASONS[asked]])
def test_where_a_strategy_cannot_read_it_says_why(asked: str, case: str) -> None:
    activation = nn.Tanh() if case == "tanh" else nn.ReLU()
    layers = [nn.Flatten(), nn.Linear(64, 8), activation, nn.Linear(8, 10, bias=case != "no bias")]
    network = nn.Sequential(*layers, *([nn.Linear(10, 3)] if case == "no last" else []))
    said = {"protocol": "fedavg", "steps": 3, "local_batch_size": 2} if case == "uneven" else {}
    known = public(network, (1, 8, 8), batch=11 if case == "many" else 4, labels="hidden", **said)  # type: ignore[arg-type]
    if case == "few":
        own = Labelled(torch.zeros(2, 1, 8, 8), torch.tensor([0, 3]))
        known = dataclasses.replace(known, reference=own)
    elif case not in ("alone",):
        known = dataclasses.replace(known, reference=Labelled(torch.zeros(10, 1, 8, 8), torch.arange(10)))
    reason = label_strategy(asked, known)[1]
    assert reason is not None
    assert REASONS[asked][case] in reason


@pytest.mark.parametrize("asked", WAYS)
def test_labels_that_are_granted_are_never_read(asked: str) -> None:
    images, labels = digits(5)
    labels = torch.tensor([4, 1, 7, 2, 9])
    seen = observed(images, labels, own=200)
    other = dataclasses.replace(seen, labels=torch.zeros(5, dtype=torch.int64))
    mine, theirs = read_labels(asked, [seen]), read_labels(asked, [other])
    assert mine is not None
    assert theirs is not None
    assert mine[0].labels.tolist() == theirs[0].labels.tolist()


def test_counts_of_what_is_left_out_are_said_to_be_of_what_was_sent() -> None:
    images, labels = digits(5)
    seen = observed(images, labels)
    known = dataclasses.replace(seen.public, defenses=(PublicDefense("top-k", {"fraction": 0.5}),))
    read = read_labels("ilrg", [dataclasses.replace(seen, public=known)])
    assert read is not None
    assert "as if they were all" in read[0].notes[0]


@pytest.mark.parametrize("asked", WAYS)
def test_of_an_update_that_is_not_finite_classes_share_alike(asked: str) -> None:
    images, labels = digits(10)
    seen = observed(images, labels, own=60)
    broken = dataclasses.replace(seen, update=tuple(tensor / 0 for tensor in seen.update))
    read = read_labels(asked, [broken])
    assert read is not None
    assert sorted(read[0].labels.tolist()) == list(range(10))
