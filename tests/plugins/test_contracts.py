"""The contracts of every part hold for another package's: asked by the same functions, with the package installed."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from contracts import (
    Answers,
    alike,
    answered,
    cells_of,
    check_company,
    check_draws_alone,
    check_fresh_process,
    check_sealed,
)
from defense_contract import built, check_global_stream, check_stage, seeded
from installed import PARTS, entry, install, installed
from small_cells import MLP, make_cell

from invbench import registry
from invbench.defenses import STAGES
from invbench.defenses import mean as mean_of
from invbench.games import game_of
from invbench.guide import catalogue
from invbench.observation import Update
from invbench.play.playing import play
from invbench.updates.simulation import gradient_of, simulate

NOSY = '''
"""Looks at who else is attacked."""

from dataclasses import dataclass

from theirs.observation import MembershipAnswer

from invbench.core.attack import Attack
from invbench.registry import attack


@attack(game="presence")
@dataclass(frozen=True, kw_only=True)
class Nosy(Attack):
    """Each candidate's confidence, the larger the more victims there are."""

    def attack_all(self, observations):
        right = [seen.oracle(seen.images)[range(len(seen.labels)), seen.labels] for seen in observations]
        return [MembershipAnswer(scores=one * len(right)) for one in right]
'''
KNOWING = '''
"""Knows whose stream it is given."""

from dataclasses import dataclass

from theirs.attacks.confidence import Confidence
from invbench.registry import attack


@attack(game="presence")
@dataclass(frozen=True, kw_only=True)
class Knowing(Confidence):
    """Could draw what others drew."""

    def __call__(self, seen):
        assert seen.generator.initial_seed() >= 0
        return super().__call__(seen)
'''
PEEKING = '''
"""Reaches behind the wall."""

from dataclasses import dataclass

import theirs.games.presence

from theirs.attacks.confidence import Confidence
from invbench.registry import attack


@attack(game="presence")
@dataclass(frozen=True, kw_only=True)
class Peeking(Confidence):
    """Holds the game in its hands."""
'''
ATTACKS = ("confidence", "random-search", "shadows")
DRAWN = (torch.randn(50, generator=seeded(1)), torch.randn(2, 3, generator=seeded(2)))


@pytest.fixture(scope="module", autouse=True)
def _theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("theirs") / "site"
    with installed(install(site, more={"attacks/nosy": NOSY, "attacks/peeking": PEEKING, "attacks/knowing": KNOWING})):
        yield


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, _theirs: None) -> tuple[dict[str, list[Answers]], list[str]]:
    return answered(ATTACKS, tmp_path_factory.mktemp("attacker"))


def test_no_attack_of_the_package_is_left_out() -> None:
    assert registry.plugin_names("attack") == {*ATTACKS, "nosy", "peeking", "knowing"}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gives_the_same_bits_where_game_data_and_truth_do_not_exist(
    name: str, answers: tuple[dict[str, list[Answers]], list[str]]
) -> None:
    check_fresh_process(answers[0][name])


@pytest.mark.parametrize("name", ATTACKS)
def test_an_answer_does_not_depend_on_the_other_observations(
    name: str, answers: tuple[dict[str, list[Answers]], list[str]]
) -> None:
    check_company(answers[0][name])


def test_the_attacker_had_no_use_for_what_stands_behind_the_wall(
    answers: tuple[dict[str, list[Answers]], list[str]],
) -> None:
    check_sealed(answers[1])


def test_an_attack_that_looks_at_its_company_or_behind_the_wall_is_found(tmp_path: Path) -> None:
    found, modules = answered(["nosy", "peeking", "knowing"], tmp_path)
    check_fresh_process(found["nosy"])
    check_draws_alone(found["nosy"])
    with pytest.raises(AssertionError, match="read its generator's initial_seed"):
        check_draws_alone(found["knowing"])
    with pytest.raises(AssertionError, match="depends on the others"):
        check_company(found["nosy"])
    with pytest.raises(AssertionError, match=r"theirs\.games\.presence"):
        check_sealed(modules)


def test_every_part_has_a_page_and_what_has_settings_a_schema() -> None:
    for part in PARTS:
        kind, name = entry(part).split(".", 1)
        kind = {"data": "datasets", "protocol": "protocols"}.get(kind, kind)
        if kind != "sheets":
            page = catalogue.page(kind, name)
            assert page.text
        if kind not in ("sheets", "metrics"):
            said = catalogue.schema(kind, name)["properties"]
            assert set(said) == {"name", *(row[0] for row in page.settings)}


def test_who_is_a_member_does_not_cross_the_wall() -> None:
    for cell in cells_of("confidence"):
        deal = game_of(cell).deal(cell, torch.device("cpu"))
        for seen, member in zip(deal.observations, deal.member, strict=True):
            crossed = pickle.dumps(seen)
            assert member.tobytes() not in crossed
            assert pickle.dumps(member).find(member.tobytes()) > 0  # it would have been found


def test_a_client_draws_for_itself_which_half_of_its_batch_it_shares(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack="random-search", model=MLP, batch_size=2, protocol="half-batch", targets=6)
    deal, again = (game_of(cell).deal(cell, torch.device("cpu")) for _ in range(2))
    kept = []
    for seen, same, truth in zip(deal.observations, again.observations, deal.truths, strict=True):
        assert alike(seen.update, same.update), "the draw follows from the cell's settings"
        mean, std = seen.channel_constants()
        pictures = (torch.from_numpy(truth.images) - mean) / std
        alone = [gradient_of(seen.model)(pictures[k : k + 1], seen.labels[k : k + 1]) for k in range(2)]
        kept.append(tuple(close(one, seen.update) for one in alone))
        whole = simulate(seen.public, seen.model, pictures, seen.labels)
        assert close(whole, mean_of(alone)), "who does not know the draw takes the whole batch"
    assert set(kept) == {(True, False), (False, True)}


def close(one: Update, two: Update) -> bool:
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))


def test_a_victim_answers_no_more_than_its_budget(tmp_path: Path) -> None:
    asked = {"name": "access", "candidates": 10, "queries": 9}
    model = {"name": "tiny", "trained": True, "training_steps": 5}
    cell = make_cell(tmp_path, dataset="few-digits", model=model, attack="confidence", protocol=asked)
    record = play(cell, "cpu").record
    assert record.notes == ("needs 10 queries, 9 are left (2 of 2 targets)",)
    assert {score for target in record.scores["score"] for score in target} == {0.0}


def test_every_stage_has_a_defence_and_each_keeps_its_contract() -> None:
    acting = {name: built(name).stages() for name in sorted(registry.plugin_names("defense"))}
    assert sorted(stage for stages in acting.values() for stage in stages) == sorted(STAGES)
    for name, stages in acting.items():
        for stage in stages:
            check_stage(built(name), stage, DRAWN, 7)
            check_global_stream(built(name), stage, DRAWN)
