"""Peak memory: what the block takes is counted, what the process did before it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from invbench.core.memory import peak_memory

CPU = torch.device("cpu")
MB = 10**6


@pytest.fixture(autouse=True)
def _measurable() -> None:
    """The system must let a process start its own high-water mark anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not tell a process's peak memory")


def filled(megabytes: int) -> np.ndarray:
    """An array whose every page was written."""
    return np.ones(megabytes * MB // 8)


def small_pieces(megabytes: int) -> list[np.ndarray]:
    """The same in pieces of 10 kB, which an allocator does not give back one by one."""
    return [np.ones(1250) for _ in range(megabytes * 100)]


def test_what_the_block_holds_is_counted_in_megabytes() -> None:
    with peak_memory(CPU) as peak:
        assert peak.mb is None
        held = filled(200)
    assert peak.mb == pytest.approx(200, rel=0.2)
    assert held[-1] == 1


def test_what_the_block_gives_back_before_it_ends_is_counted() -> None:
    with peak_memory(CPU) as peak:
        filled(200)
        filled(100)
    assert peak.mb == pytest.approx(200, rel=0.2)


def test_what_was_freed_before_is_not_counted() -> None:
    filled(500)
    with peak_memory(CPU) as peak:
        held = filled(50)
    assert peak.mb == pytest.approx(50, abs=20)
    assert held[0] == 1


def test_what_is_still_held_from_before_is_not_counted() -> None:
    before = filled(200)
    with peak_memory(CPU) as peak:
        held = filled(50)
    assert peak.mb == pytest.approx(50, abs=20)
    assert before[0] == held[0]


def test_pieces_freed_before_do_not_hide_those_of_the_block() -> None:
    small_pieces(150)
    with peak_memory(CPU) as peak:
        held = small_pieces(150)
    assert peak.mb == pytest.approx(150, rel=0.2)
    assert held[0][0] == 1


def test_a_tensor_counts_like_an_array() -> None:
    with peak_memory(CPU) as peak:
        held = torch.ones(25 * MB, dtype=torch.float64)
    assert peak.mb == pytest.approx(200, rel=0.2)
    assert held[0] == 1


def test_an_idle_block_takes_next_to_nothing() -> None:
    with peak_memory(CPU) as peak:
        pass
    assert 0 <= peak.mb < 5


def test_an_error_inside_comes_out() -> None:
    with pytest.raises(ZeroDivisionError), peak_memory(CPU):
        raise ZeroDivisionError
