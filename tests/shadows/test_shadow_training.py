"""Shadow models: lanes do what one training alone does, on sets of the victim's size, and are made once."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_memberships import membership_cell, part
from torch import nn

from invbench.core.artefacts import fetch
from invbench.core.training import Training, descend
from invbench.defenses.round import Round
from invbench.games.membership import Membership
from invbench.observation import Labelled, MembershipPublic
from invbench.play.forecasting import forecast
from invbench.play.preparing import preparations
from invbench.shadows import training as lanes
from invbench.shadows.preparing import membership, training_sets
from invbench.victims.training import train


@pytest.fixture(scope="module")
def public() -> MembershipPublic:
    return Membership().public(membership_cell())


def joined(public: MembershipPublic) -> Labelled:
    own, others = public.candidates, public.reference
    return Labelled(torch.cat([own.images, others.images]), torch.cat([own.labels, others.labels]))


def pairs_of(one: nn.Module, two: nn.Module) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return zip(one.state_dict().values(), two.state_dict().values(), strict=True)


def alike(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.allclose(a, b, rtol=0, atol=1e-4) for a, b in pairs_of(one, two))


@pytest.mark.parametrize("model", [{"name": "mlp", "width": 16, "depth": 1}, {"name": "lenet", "activation": "relu"}])
def test_a_shadow_trained_alone_is_its_lane(model: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    cell = membership_cell(model=part("model", **model), protocol={"epochs": 4})  # type: ignore[arg-type]
    public = Membership().public(cell)
    sets = training_sets(public, membership(public, 3))
    together = lanes.train_shadows(public, joined(public), sets)
    assert all(lanes._fits_lanes(network, Training(1)) for network in together)
    monkeypatch.setattr(lanes, "_fits_lanes", lambda network, training: False)
    alone = lanes.train_shadows(public, joined(public), sets)
    assert all(map(alike, together, alone))
    assert not alike(together[0], together[1])


@pytest.mark.parametrize("batch", [1, 16])
def test_private_lanes_are_private_trainings_alone(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of several lengths, some of them empty, and noise of each lane's own."""
    defended = (part("defense", "dp-sgd", noise=0.7, batch=batch), part("defense", "label-smoothing"))
    public = Membership().public(membership_cell(defense=defended, protocol={"epochs": 4}))
    sets = training_sets(public, membership(public, 3))
    together = lanes.train_shadows(public, joined(public), sets)
    monkeypatch.setattr(lanes, "descend_in_lanes", None)
    monkeypatch.setattr(lanes, "_fits_lanes", lambda network, training: False)
    alone = lanes.train_shadows(public, joined(public), sets)
    assert all(map(alike, together, alone))
    assert not alike(together[0], together[1])
    again = lanes.train_shadows(public, joined(public), sets)
    assert all(torch.equal(a, b) for one, two in zip(alone, again, strict=True) for a, b in pairs_of(one, two))


def test_a_victim_is_trained_as_one_lane_is(public: MembershipPublic) -> None:
    pictures, sets = joined(public), training_sets(public, membership(public, 1))
    lane, victim = lanes.untrained(public, 0), lanes.untrained(public, 0)
    stream = [torch.Generator().manual_seed(7) for _ in range(2)]
    lanes.descend_in_lanes([lane], pictures, sets, stream[:1], [Training(public.steps)])
    train(victim, pictures.images[sets[0]], pictures.labels[sets[0]], stream[1], Training(public.steps))
    assert alike(lane, victim)


def test_networks_with_batch_norm_or_dropout_and_trainings_of_their_own_are_no_lanes() -> None:
    plain, steps = nn.Sequential(nn.Linear(2, 2)), Training(5)
    assert lanes._fits_lanes(plain, steps)
    assert lanes._fits_lanes(plain, replace(steps, loss=nn.functional.nll_loss))
    assert not lanes._fits_lanes(plain, replace(steps, backward=lambda *one: one[0]))
    assert not lanes._fits_lanes(nn.Sequential(nn.BatchNorm1d(2)), steps)
    assert not lanes._fits_lanes(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), steps)
    assert not lanes._fits_lanes(nn.Sequential(nn.Linear(1000, 1000)), steps), "slower than one by one"


def test_every_candidate_is_in_half_of_the_shadows_and_every_shadow_has_the_victim_s_size(
    public: MembershipPublic,
) -> None:
    kept = membership(public, 6)
    assert (kept.sum(dim=0) == 3).all()
    assert (kept.sum(dim=1) == len(public.candidates) // 2).all()
    assert len({tuple(row.tolist()) for row in kept}) == 6
    sets = training_sets(public, kept)
    assert sets.shape == (6, public.trained_on)
    assert all(len(set(row.tolist())) == public.trained_on for row in sets)


def test_shadows_of_another_size_than_the_victim_are_refused(public: MembershipPublic) -> None:
    smaller = replace(public, reference=Labelled(public.reference.images[:-5], public.reference.labels[:-5]))
    with pytest.raises(ValueError, match="would train on 75 pictures, the victim did on 80"):
        training_sets(smaller, membership(smaller, 2))


def test_a_shadow_that_diverges_is_named(public: MembershipPublic) -> None:
    endless = Labelled(public.candidates.images * float("nan"), public.candidates.labels)
    with pytest.raises(ArithmeticError, match="shadow 0 diverged"):
        lanes.train_shadows(public, endless, torch.arange(40)[None])


def test_attacks_that_ask_for_as_many_shadows_share_one_artefact_and_other_candidates_have_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    attacks = ("lira", "rmia", "base", "shadow", "loss-threshold")
    names = {preparations(membership_cell(name))["shadows"].name for name in attacks}
    assert len(names) == 1
    others = [
        membership_cell("lira", settings={"shadows": 6}),
        membership_cell("lira", seed=1),
        membership_cell("lira", protocol={"candidates": 0.25}),
        membership_cell("lira", protocol={"epochs": 9}),
        membership_cell("lira", model=part("model", "linear")),
    ]
    assert len(names | {preparations(cell)["shadows"].name for cell in others}) == 6
    more = membership_cell("lira", targets=5, offset=3)
    assert preparations(more)["shadows"].name in names, "the victims of a cell have the same candidates"


def test_descending_leaves_the_global_stream_alone(public: MembershipPublic) -> None:
    network, before = copy.deepcopy(lanes.untrained(public, 0)), torch.get_rng_state()
    some = public.candidates
    descend(network, some.images, some.labels, torch.Generator().manual_seed(0), Training(2))
    assert torch.equal(before, torch.get_rng_state())
    assert not alike(network, lanes.untrained(public, 0))


def test_more_shadows_than_are_trained_at_a_time_begin_with_those_of_whoever_asks_for_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights: each block is trained for itself, and so is the first one alone."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    short = {"epochs": 2}
    few, many = (
        preparations(membership_cell("lira", settings={"shadows": count}, protocol=short))["shadows"]
        for count in (16, 18)
    )
    assert few.name in {need.name for need in many.needs}
    assert few.what == "training 16 shadows of mlp(width=16,depth=1)"
    assert [need.what.split(" shadows")[0] for need in many.needs] == ["training 16", "training 2 more"]
    made = fetch(many)
    assert made["kept"].shape == (18, 80)
    assert (made["kept"].sum(dim=0) == 9).all()
    assert all(torch.equal(made[name][:16], value) for name, value in fetch(few).items())
    assert not torch.equal(made["log_probabilities"][16], made["log_probabilities"][0]), "a start of its own"


def test_shadows_that_are_trained_one_by_one_are_artefacts_of_four() -> None:
    """So that a killed run keeps what is done, and workers share the rest."""
    ten = membership_cell("lira", settings={"shadows": 10}, model=part("model", "resnet20"))
    blocks = preparations(ten)["shadows"].needs
    assert [need.what.split(" shadows")[0] for need in blocks] == ["training 4", "training 4 more", "training 2 more"]


def test_a_defence_of_answers_trains_no_shadow_anew_and_one_of_the_network_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def name(*defenses: str) -> str:
        built = tuple(part("defense", one) for one in defenses)
        return preparations(membership_cell("lira", defense=built))["shadows"].name

    assert name() == name("round") == name("mask", "round")
    monkeypatch.setattr(Round, "stages", lambda self: ("training", "answer"))
    assert name() == name("mask")
    assert len({name(), name("round")}) == 2
    assert name("round") == name("mask", "round")


def test_a_forecast_of_shadows_is_near_what_they_take_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    cell = membership_cell("lira", settings={"shadows": 18}, protocol={"epochs": 40})
    told = forecast(cell, "cpu")
    assert told.seconds > 0
    assert not (tmp_path / "cache").exists(), "neither victims nor shadows are trained for it"
    (shadows,) = preparations(cell).values()
    assert set(told.first) == {one.what for one in (*shadows.needs, shadows)}
    started = time.perf_counter()
    fetch(shadows)
    taken = time.perf_counter() - started
    assert taken / 8 < sum(told.first.values()) < 12 * taken, "machines are busy"
    assert forecast(cell, "cpu").first == {}, "they are there"
