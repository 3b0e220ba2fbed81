"""The wall: an attack needs its observation and nothing else, and no other observation than the one it answers.

Every attack answers four times: here, where game, data and truth are in memory; in a fresh process that is given the
pickled observations and never imports a game, a data set or a metric; in another order; one observation alone.
`tests/plugins/test_contracts.py` asks the same of another package's attacks.
"""

from __future__ import annotations

import pytest
from contracts import Answers, answered, check_company, check_draws_alone, check_fresh_process, check_sealed, names

NAMES = names("attack")
All = tuple[dict[str, list[Answers]], list[str]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> All:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return answered(NAMES, tmp_path_factory.mktemp("attacker"))


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_gives_the_same_bits_where_game_data_and_truth_do_not_exist(name: str, answers: All) -> None:
    check_fresh_process(answers[0][name])


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_the_other_observations(name: str, answers: All) -> None:
    check_company(answers[0][name])


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_takes_draws_of_its_generator_and_nothing_else(name: str, answers: All) -> None:
    check_draws_alone(answers[0][name])


def test_the_attacker_had_no_use_for_what_stands_behind_the_wall(answers: All) -> None:
    check_sealed(answers[1])
