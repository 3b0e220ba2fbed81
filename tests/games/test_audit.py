"""Game `audit`: who is in, what a training with canaries releases, and what its audits prove."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_cells import make_cell

from invbench.attacks.canary_score import CanaryScore
from invbench.cell import Cell
from invbench.core.private import Private
from invbench.core.training import Training
from invbench.games._audited import canaries_of, member_of, run
from invbench.games.audit import Audit
from invbench.matrix.errors import MatrixErrors
from invbench.observation import AuditGuess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.privacy.audit_family import GAUSSIAN
from invbench.sheets import sheet_of
from invbench.victims import architecture
from invbench.victims.canaries import NOTHING, SPIKE, rows, train_with_canaries

CPU = torch.device("cpu")
SMALL = {"name": "mlp", "width": 8, "depth": 1, "training_steps": 1}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def cell(folder: Path, noise: float | None = 4.0, canaries: int = 400, **said: Any) -> Cell:
    """One step over all canaries with such a noise multiplier, or without a defence."""
    beside = said.get("pictures", 0)
    private = "none" if noise is None else {"name": "dp-sgd", "noise": noise, "batch": canaries + beside}
    asked = {"attack": "canary-score", "model": SMALL, "defense": private, "targets": 1}
    model, axes = said.pop("model", {}), {key: said.pop(key) for key in ("defense", "targets") if key in said}
    protocol = {"name": "audit", "canaries": canaries, **said}
    return make_cell(folder, **{**asked, **axes, "model": SMALL | model, "protocol": protocol})


def scores(one: Cell) -> Any:
    """What the attack's answers are scored with."""
    deal = Audit().deal(one, CPU)
    return deal.score(CanaryScore().attack_all(deal.observations))


def test_without_noise_the_canaries_that_were_in_stand_alone_in_what_is_released(tmp_path: Path) -> None:
    one = cell(tmp_path, noise=0.0, norm=4.0, targets=2)
    deal = Audit().deal(one, CPU)
    for seen, member in zip(deal.observations, deal.member, strict=True):
        assert seen.gradient is not None
        assert seen.gradient.count_nonzero() == member.sum()
        answer = CanaryScore()(seen)
        np.testing.assert_allclose(answer.scores, member, rtol=1e-6)  # a norm of 4 clips is clipped to 1
        assert answer.middle == 0.5


def test_each_target_draws_its_own_bits_for_the_same_canaries(tmp_path: Path) -> None:
    one = cell(tmp_path, canaries=600)
    assert np.array_equal(canaries_of(one).places, np.unique(canaries_of(replace(one, offset=1)).places))
    assert len(canaries_of(one).places) == 600
    shares = [np.mean(member_of(one, number)) for number in range(40)]
    assert 0.49 < np.mean(shares) < 0.51
    assert (
        0.5 < np.std(shares) / (0.5 / np.sqrt(600)) < 1.5
    )  # as many as independent bits give, not half of them always
    assert abs(np.corrcoef([member_of(one, number) for number in range(2)])[0, 1]) < 0.15


def test_pictures_and_canaries_pass_one_clipping_and_one_sum() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    images, labels = torch.randn(2, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])
    places = torch.tensor([0, 0, 7, 30])
    examples = rows(places, torch.cat([images, torch.zeros(2, 12)]))
    private = Private(clip=0.5, noise=0.0, batch=4, seed=0)
    own = [network.state_dict()[name].clone() for name in network.state_dict()]
    expected = torch.zeros(39)
    for image, label in zip(images, labels, strict=True):
        loss = torch.nn.functional.cross_entropy(network(image[None]), label[None])
        whole = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(network.parameters()))])
        expected += whole * min(1.0, 0.5 / float(whole.norm()))
    expected[7] += 0.5
    told = torch.cat([labels, torch.tensor([SPIKE, NOTHING])])
    stream = torch.Generator().manual_seed(1)
    total = train_with_canaries(network, examples, told, stream, Training(1, private=private), (1, 3, 4), norm=2.0)
    assert total is not None
    torch.testing.assert_close(total.float(), expected / 4)
    assert any(not torch.equal(a, b) for a, b in zip(own, network.state_dict().values(), strict=True))


def test_a_training_as_claimed_is_not_refuted_and_one_with_a_quarter_of_the_noise_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, claim = cell(tmp_path, canaries=1500), GAUSSIAN.epsilon(0.25, 1e-5)
    found = scores(one)
    assert found["audited_epsilon_gaussian"][0][0] < claim
    assert found["audited_epsilon"][0][0] <= found["audited_epsilon_fdp"][0][0] < claim
    noised = Private.noised
    quarter = lambda self, sums, stream: noised(replace(self, noise=self.noise / 4), sums, stream)  # noqa: E731
    monkeypatch.setattr(Private, "noised", quarter)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "other"))
    assert scores(one)["audited_epsilon_gaussian"][0][0] > 3 * claim


def test_a_layer_without_noise_is_found_by_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noised = Private.noised

    def but_the_last(self: Private, sums: Any, stream: torch.Generator) -> Any:
        given, exact, last = noised(self, sums, stream), noised(replace(self, noise=0.0), sums, stream), [*sums][-2:]
        return {name: exact[name] if name in last else given[name] for name in given}

    monkeypatch.setattr(Private, "noised", but_the_last)
    np.savez(tmp_path / "pool.npz", images=_noise(12), labels=np.arange(12) % 3)
    every = sum(weights.numel() for weights in architecture(cell(tmp_path)).parameters())
    assert scores(cell(tmp_path, canaries=every))["audited_epsilon_gaussian"][0][0] < 2
    assert scores(cell(tmp_path, canaries=every, by_layer=True))["audited_epsilon_gaussian"][0][0] > 8


def test_more_steps_are_one_release_of_their_sum_and_sampled_ones_are_noted(tmp_path: Path) -> None:
    several = cell(tmp_path, noise=0.0, canaries=200, model={"training_steps": 3})
    assert set(np.round(scores(several)["score"][0], 5)) == {0.0, 3.0}
    assert Audit().public(several).draws == 3
    sampled = cell(tmp_path, canaries=200, defense={"name": "dp-sgd", "noise": 1, "batch": 20})
    assert Audit().public(sampled).draws == pytest.approx(0.1)
    assert any("sampled (q = 0.1)" in note for note in Audit().deal(sampled, CPU).notes)
    assert not any("sampled" in note for note in Audit().deal(several, CPU).notes)


def test_mislabelled_pictures_that_a_network_learned_by_heart_are_found(tmp_path: Path) -> None:
    model = {"width": 64, "training_steps": 150}
    np.savez(tmp_path / "pool.npz", images=_noise(80), labels=np.arange(80) % 4)
    one = cell(tmp_path, noise=None, canaries=80, kind="mislabelled", model=model)
    deal = Audit().deal(one, CPU)
    pictures = deal.observations[0].public.pictures
    assert pictures is not None
    assert (pictures.labels.numpy() != (np.arange(80) % 4)[deal.canaries.pictures]).all()
    record = play(one, "cpu").record
    assert record.scores["audited_epsilon"][0][0] > 1
    assert any("no defence of its training claims" in note for note in record.notes)
    assert any("their noises are not their own" in note for note in record.notes)
    assert record.controls["blind"]["audited_epsilon_gaussian"] == [[0.0]]


def test_what_is_claimed_stands_beside_the_bounds(tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    record = play(cell(tmp_path, canaries=60, targets=2), "cpu").record
    assert record.scores["epsilon"] == [[pytest.approx(1.0127, abs=1e-3)]] * 2  # by Renyi's orders; 0.9263 exactly
    assert {"audited_epsilon", "audited_epsilon_fdp", "audited_epsilon_gaussian"} < record.scores.keys()
    assert "epsilon" not in Audit().deal(cell(tmp_path, noise=0.0), CPU).limits()


def test_what_is_claimed_at_another_delta_is_said_not_to_be_comparable(tmp_path: Path) -> None:
    one = cell(tmp_path, canaries=50, delta=1e-6)
    notes = Audit().deal(one, CPU).notes
    assert any("dp-sgd claims epsilon at delta 1e-05, the audit bounds it at 1e-06" in note for note in notes)
    assert any("choice of settings by their results" in note for note in notes)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"noise": None}, "a dirac canary is a gradient of its own"),
        ({"canaries": 10_000}, "10000 dirac canaries need as many parameters"),
        ({"noise": None, "kind": "mislabelled", "canaries": 13}, "needs 13 pictures; npz(path=pool.npz) has 12"),
        ({"noise": None, "kind": "mislabelled", "canaries": 6, "by_layer": True}, "by_layer is of dirac canaries"),
        ({"noise": None, "kind": "mislabelled", "canaries": 6, "norm": 4.0}, "norm is of dirac canaries"),
        ({"defense": {"name": "gaussian", "std": 1}}, "gaussian acts at no stage of game audit"),
        ({"defense": {"name": "dp-sgd", "batch": 401}}, "batches of 401 on average, but there are 400"),
    ],
)
def test_what_cannot_be_audited_says_why(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    assert why in str(why_unsupported(cell(tmp_path, **said)))


def test_an_answer_is_a_score_a_canary(tmp_path: Path) -> None:
    (seen,) = Audit().trial(cell(tmp_path, canaries=5), CPU)
    assert seen.complaint(AuditGuess(scores=torch.zeros(5), middle=0.0)) is None
    assert seen.complaint(seen.nothing("why")) is None
    assert "scores must be (5,)" in str(seen.complaint(AuditGuess(scores=torch.zeros(4), middle=0.0)))
    assert "not finite" in str(seen.complaint(AuditGuess(scores=torch.full((5,), np.nan), middle=0.0)))
    assert "middle" in str(seen.complaint(AuditGuess(scores=torch.zeros(5), middle=1)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"delta": 1.0}, "audit: delta must be above 0, below 1, not 1"),
        ({"error": 0.5}, "audit: error must be above 0, below 0.5"),
        ({"guessed": 0.0}, "audit: guessed must be above 0"),
        ({"norm": 0.5}, "audit: norm must be at least 1"),
        ({"guesed": 0.5}, "audit has no 'guesed'; nearest: 'guessed'"),
    ],
)
def test_a_setting_that_is_none_is_refused(tmp_path: Path, said: dict[str, Any], place: str) -> None:
    with pytest.raises(MatrixErrors, match=re.escape(place)):
        cell(tmp_path, **said)


def test_the_columns_say_which_family_they_suppose() -> None:
    by_name = sheet_of("audit").by_name
    assert {by_name[name].role for name in by_name if "epsilon" in name} == {"limit"}
    assert "whatever the mechanism" in by_name["audited_epsilon"].help
    assert "Gaussian" in by_name["audited_epsilon_fdp"].help
    assert "Gaussian" in by_name["audited_epsilon_gaussian"].help


def test_the_artefact_of_a_run_depends_on_what_it_does_and_not_on_how_it_is_judged(tmp_path: Path) -> None:
    judged = ({}, {"delta": 1e-6}, {"error": 0.1}, {"guessed": 0.5}, {"surest": 0.5})
    names = {run(cell(tmp_path, **said), 0).name for said in judged}
    assert len(names) == 1
    assert run(cell(tmp_path, norm=2.0), 0).name not in names


def _noise(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 255, (count, 1, 8, 8)).astype(np.uint8)
