"""The engine's wishes: off outside of any cell, its own inside, gone afterwards."""

from __future__ import annotations

import pytest

from invbench.core import execution


def test_nothing_is_compiled_unless_the_cell_asks_for_it() -> None:
    assert not execution.current().compiles
    with execution.using(execution.Settings("off")):
        assert not execution.current().compiles
    with execution.using(execution.Settings("on")) as steps:
        assert execution.current() is steps
        assert steps.compiles
    assert not execution.current().compiles


def test_the_wish_ends_with_a_cell_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), execution.using(execution.Settings("on")):
        _ = 1 / 0
    assert not execution.current().compiles


def test_time_spent_compiling_adds_up() -> None:
    with execution.using(execution.Settings("on")) as steps:
        with steps.compiling():
            sum(range(10**5))
        first = steps.compile_seconds
        with steps.compiling():
            sum(range(10**5))
    assert 0 < first < steps.compile_seconds
