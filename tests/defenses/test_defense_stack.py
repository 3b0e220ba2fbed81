"""Stages, stacks, and the way of a client's gradient through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from drawn_updates import length, same_bits, seeded, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invbench.defenses import (
    STAGES,
    UpdateDefense,
    apply_per_example,
    apply_update,
    defended,
    flatten,
    mean,
    public_parameters,
    stages,
)
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.per_example_clip import PerExampleClip
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.sign import Sign
from invbench.defenses.top_k import TopK
from invbench.observation import Update
from invbench.protocol.fedsgd import gradient, per_example_gradients


def never(what: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise AssertionError(f"{what} was computed though nothing needs it")

    return refuse


@given(update=updates())
@settings(deadline=None, max_examples=50)
def test_flatten_and_restore_are_inverse_bit_for_bit(update: Update) -> None:
    vector, restore = flatten(update)
    assert vector.shape == (sum(t.numel() for t in update),)
    assert same_bits(restore(vector), update)


def test_restored_tensors_have_memory_of_their_own() -> None:
    vector, restore = flatten((torch.ones(3), torch.ones(2, 2)))
    restored = restore(vector)
    restored[0].zero_()
    assert vector.sum() == 7
    assert restored[0].untyped_storage().nbytes() == 12


def test_an_update_of_two_types_keeps_them() -> None:
    update = (torch.tensor([1.5, 2.0]), torch.tensor([1 / 3], dtype=torch.float64))
    vector, restore = flatten(update)
    assert vector.dtype == torch.float64
    assert same_bits(restore(vector), update)


def test_the_stages_of_a_defence_are_its_methods() -> None:
    assert stages(Clip(norm=1.0)) == ("update",)
    assert stages(PerExampleClip(norm=1.0)) == ("per_example",)
    assert set(stages(Clip(norm=1.0))) <= set(STAGES)


def test_a_defence_without_a_stage_acts_nowhere() -> None:
    class Idle:
        answer = "a setting of the same name as a stage"

    update = (torch.ones(2),)
    assert stages(Idle()) == ()
    assert apply_update([Idle()], update, seeded(0)) is update


def test_public_parameters_are_every_setting_and_nothing_else() -> None:
    assert public_parameters(RandomK(fraction=0.2, rescale=True)) == {"fraction": 0.2, "rescale": True}
    assert public_parameters(Quantize(bits=4)) == {"bits": 4, "rounding": "stochastic"}
    assert public_parameters(Sign()) == {}


@given(update=updates(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_stack_is_its_defences_one_after_the_other_on_one_stream(update: Update, seed: int) -> None:
    stack: list[UpdateDefense] = [Gaussian(std=1.0), RandomK(fraction=0.5), Gaussian(std=0.1)]
    step_by_step, generator = update, seeded(seed)
    for defense in stack:
        step_by_step = defense.update(step_by_step, generator)
    assert same_bits(apply_update(stack, update, seeded(seed)), step_by_step)


def test_the_order_of_the_list_decides() -> None:
    update = (torch.full((100,), 10.0),)
    clip, noise = Clip(norm=1.0), Gaussian(std=1.0)
    clipped_last = apply_update([noise, clip], update, seeded(0))
    noised_last = apply_update([clip, noise], update, seeded(0))
    assert length(clipped_last) <= 1 + 1e-6
    assert length(noised_last) > 5  # the norm of 100 standard normals is near 10


def test_top_k_before_noise_hides_what_was_kept_and_after_it_does_not() -> None:
    update = (torch.arange(1.0, 101.0),)
    dense = apply_update([TopK(fraction=0.1), Gaussian(std=1.0)], update, seeded(0))
    sparse = apply_update([Gaussian(std=1.0), TopK(fraction=0.1)], update, seeded(0))
    assert int((values(dense) != 0).sum()) == 100
    assert int((values(sparse) != 0).sum()) == 10


def test_stages_come_before_the_order_of_the_list() -> None:
    examples: list[Update] = [(torch.tensor([30.0, 0.0]),), (torch.tensor([0.0, 40.0]),)]
    noise, clip = Gaussian(std=0.1), PerExampleClip(norm=1.0)
    one = defended(lambda: examples, never("the batch's gradient"), [noise, clip], seeded(3))
    other = defended(lambda: examples, never("the batch's gradient"), [clip, noise], seeded(3))
    expected = noise.update((torch.tensor([0.5, 0.5]),), seeded(3))
    assert same_bits(one, other)
    torch.testing.assert_close(one, expected)


def test_gradients_of_examples_are_computed_only_where_a_defence_acts_on_them() -> None:
    update = (torch.tensor([3.0, 4.0]),)
    refused = never("the examples' gradients")
    shared = defended(refused, lambda: update, [Clip(norm=1.0)], seeded(0))
    torch.testing.assert_close(shared, (torch.tensor([0.6, 0.8]),))


def test_without_defences_the_gradient_itself_is_shared() -> None:
    update = (torch.randn(5, generator=seeded(0)),)
    assert same_bits(defended(never("examples"), lambda: update, [], seeded(0)), update)


def test_the_mean_of_updates_is_taken_tensor_by_tensor() -> None:
    first, second = (torch.tensor([1.0]), torch.tensor([[2.0]])), (torch.tensor([3.0]), torch.tensor([[6.0]]))
    assert same_bits(mean([first, second]), (torch.tensor([2.0]), torch.tensor([[4.0]])))


@pytest.mark.parametrize("stack", [[], [Clip(norm=0.1)], [PerExampleClip(norm=0.1)]])
def test_no_autograd_graph_leads_from_the_update_back_to_the_pictures(stack: list[object]) -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    images, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 1, 0])
    weights = dict(network.named_parameters())
    shared = defended(
        lambda: per_example_gradients(network, weights, {}, images, labels),
        lambda: gradient(network, weights, {}, images, labels),
        stack,
        seeded(0),
    )
    assert all(not tensor.requires_grad and tensor.grad_fn is None for tensor in shared)
    assert length(shared) > 0


def test_the_stage_of_the_examples_runs_in_list_order() -> None:
    examples: list[Update] = [(torch.tensor([3.0, 4.0]),)]
    shared = apply_per_example([PerExampleClip(norm=2.0), PerExampleClip(norm=1.0)], examples, seeded(0))
    torch.testing.assert_close(shared[0], (torch.tensor([0.6, 0.8]),))
