"""The engine's wishes: off outside of any cell, its own inside, gone afterwards."""

from __future__ import annotations

import pytest

from invbench.core import engine


def test_nothing_is_compiled_unless_the_cell_asks_for_it() -> None:
    assert not engine.current().compiles
    with engine.using("off"):
        assert not engine.current().compiles
    with engine.using("on") as steps:
        assert engine.current() is steps
        assert steps.compiles
    assert not engine.current().compiles


def test_the_wish_ends_with_a_cell_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), engine.using("on"):
        _ = 1 / 0
    assert not engine.current().compiles


def test_time_spent_compiling_adds_up() -> None:
    with engine.using("on") as steps:
        with steps.compiling():
            sum(range(10**5))
        first = steps.compile_seconds
        with steps.compiling():
            sum(range(10**5))
    assert 0 < first < steps.compile_seconds
