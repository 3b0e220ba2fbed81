"""The wall: an attack needs its observation and nothing else, and no other observation than the one it answers.

Every attack answers four times: here, where game, data and truth are in memory; in a fresh process that is given the
pickled observations and never imports a game, a data set or a metric, which every test here holds it to; in another
order; one observation alone. `tests/plugins/test_contracts.py` asks the same of another package's attacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest
from contracts import Answers, answered, check_company, check_draws_alone, check_fresh_process, check_sealed, names

GROUPS = [names("attack")[k::8] for k in range(8)]
"""Asked together. The tests of one follow each other, so that another of pytest's processes does not ask it again."""
All = tuple[dict[str, list[Answers]], list[str]]
CHECKS: dict[str, Callable[[Sequence[Answers]], None]] = {
    "gives the same bits where game, data and truth do not exist": check_fresh_process,
    "does not depend on the other observations": check_company,
    "takes draws of its generator and nothing else": check_draws_alone,
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], All]:
    """All answers of a group, made when they are first asked for."""

    @cache
    def ask(group: int) -> All:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
            return answered(GROUPS[group], tmp_path_factory.mktemp("attacker"))

    return ask


@pytest.mark.parametrize(
    ("group", "name", "claim"),
    [(k, name, claim) for k, group in enumerate(GROUPS) for name in group for claim in CHECKS],
)
def test_an_attack(group: int, name: str, claim: str, asked: Callable[[int], All]) -> None:
    found, modules = asked(group)
    CHECKS[claim](found[name])
    check_sealed(modules)  # of all in its group
