"""What holds for every registered defence at every stage it acts at (`defense_contract.py`)."""

from __future__ import annotations

import pytest
import torch
from defense_contract import act, built, check_global_stream, check_stage, seeded, value_at
from drawn_updates import updates
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import registry
from invbench.defenses import Round, Stage
from invbench.observation import Update

NAMES = registry.names("defense")


def here(name: str, stage: Stage) -> bool:
    """Whether it can act here: what sums updates may need a package that is not installed."""
    try:
        return stage != "aggregate" or bool(built(name).of_round(Round(1, clients=3)))
    except ValueError:
        return False


ACTING = [(name, stage) for name in NAMES for stage in built(name).stages() if here(name, stage)]


@pytest.mark.parametrize("name", NAMES)
def test_every_defence_acts_somewhere(name: str) -> None:
    assert built(name).stages()


@pytest.mark.parametrize(("name", "stage"), [one for one in ACTING if one[1] != "training"])
@given(update=updates(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_shapes_types_and_the_input_are_kept_and_the_seed_decides(
    name: str, stage: Stage, update: Update, seed: int
) -> None:
    check_stage(built(name), stage, update, seed)


@pytest.mark.parametrize("name", [name for name, stage in ACTING if stage == "training"])
def test_a_training_is_changed_and_the_seed_decides(name: str) -> None:
    for seed in (0, 1):
        check_stage(built(name), "training", (), seed)


@pytest.mark.parametrize(("name", "stage"), ACTING)
def test_the_global_random_stream_is_neither_read_nor_moved(name: str, stage: Stage) -> None:
    check_global_stream(
        built(name), stage, (torch.randn(50, generator=seeded(1)), torch.randn(2, 3, generator=seeded(2)))
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "stage"), [one for one in ACTING if one[1] in ("per_example", "update", "aggregate")])
def test_a_gpu_shares_what_a_cpu_shares_up_to_rounding(name: str, stage: Stage) -> None:
    update = (torch.randn(500, generator=seeded(1)), torch.randn(20, 30, generator=seeded(2)))
    on_cpu = act(built(name), stage, value_at(stage, update), 7)
    on_gpu = act(built(name), stage, value_at(stage, tuple(t.cuda() for t in update)), 7)
    updates_of = [(on_cpu, on_gpu)] if stage == "update" else list(zip(on_cpu, on_gpu, strict=True))
    for cpu, gpu in updates_of:
        assert all(t.is_cuda for t in gpu)
        torch.testing.assert_close(tuple(t.cpu() for t in gpu), cpu)
