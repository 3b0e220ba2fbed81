"""What holds for every registered defence, whatever it does."""

from __future__ import annotations

import pytest
import torch
from drawn_updates import same_bits, seeded, updates
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import registry
from invbench.defenses import Context, Defense, Stack, mean
from invbench.observation import Update

NAMES = registry.names("defense")


def built(name: str) -> Defense:
    """The defence with its defaults; a setting that must be given is 0.5, or the least whole number allowed."""
    part = registry.load("defense", name)
    given = {
        key: 0.5 if field.annotation is float else int(field.at_least or 1)
        for key, field in part.parameters.items()
        if field.required
    }
    return part.build(given, Defense)


def act(defense: Defense, update: Update, seed: int) -> Update:
    """The defence at each stage that takes gradients, the update and its double being two examples."""
    stack, context = Stack((defense,)), Context(seeded(seed))
    if stack.acts("per_example"):
        examples = [update, tuple(t + t for t in update)]
        update = mean(stack.at("per_example", examples, context))
    return stack.at("update", update, context)


@pytest.mark.parametrize("name", NAMES)
def test_every_defence_acts_somewhere(name: str) -> None:
    assert built(name).stages()


@pytest.mark.parametrize("name", NAMES)
@given(update=updates(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_shapes_types_and_the_input_are_kept_and_the_seed_decides(name: str, update: Update, seed: int) -> None:
    defense, before = built(name), tuple(t.clone() for t in update)
    shared = act(defense, update, seed)
    assert same_bits(update, before)
    assert [(t.shape, t.dtype, t.device) for t in shared] == [(t.shape, t.dtype, t.device) for t in update]
    assert all(t.isfinite().all() for t in shared)
    assert same_bits(act(defense, update, seed), shared)


@pytest.mark.parametrize("name", NAMES)
def test_the_global_random_stream_is_neither_read_nor_moved(name: str) -> None:
    update = (torch.randn(50, generator=seeded(1)), torch.randn(2, 3, generator=seeded(2)))
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), act(built(name), update, 7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same_bits(act(built(name), update, 7), first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_shares_what_a_cpu_shares_up_to_rounding(name: str) -> None:
    update = (torch.randn(500, generator=seeded(1)), torch.randn(20, 30, generator=seeded(2)))
    on_gpu = act(built(name), tuple(t.cuda() for t in update), 7)
    assert all(t.is_cuda for t in on_gpu)
    torch.testing.assert_close(tuple(t.cpu() for t in on_gpu), act(built(name), update, 7))
