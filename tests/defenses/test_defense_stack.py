"""Stages, stacks, and the way of a client's gradient through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from drawn_updates import length, same_bits, seeded, updates, values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invbench.defenses import STAGES, Batch, Context, Defense, Stack, flatten, mean
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.per_example_clip import PerExampleClip
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.sign import Sign
from invbench.defenses.top_k import TopK
from invbench.observation import Public, Update
from invbench.updates.client import observed_update


def never(what: str) -> Callable[[], Any]:
    def refuse(*_: Any, **__: Any) -> Any:
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
    assert Clip(norm=1.0).stages() == ("update",)
    assert PerExampleClip(norm=1.0).stages() == ("per_example",)
    assert set(Clip(norm=1.0).stages()) <= set(STAGES)


def test_a_defence_without_a_stage_acts_nowhere() -> None:
    class Idle(Defense):
        answer = "a setting of the same name as a stage"

    update = (torch.ones(2),)
    assert Idle().stages() == ()
    assert Stack((Idle(),)).at("update", update, Context(seeded(0))) is update


def test_public_parameters_are_every_setting_and_nothing_else() -> None:
    assert RandomK(fraction=0.2, rescale=True).public_parameters() == {"fraction": 0.2, "rescale": True}
    assert Quantize(bits=4).public_parameters() == {"bits": 4, "rounding": "stochastic"}
    assert Sign().public_parameters() == {}


@given(update=updates(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_stack_is_its_defences_one_after_the_other_on_one_stream(update: Update, seed: int) -> None:
    stack: list[Defense] = [Gaussian(std=1.0), RandomK(fraction=0.5), Gaussian(std=0.1)]
    step_by_step, generator = update, seeded(seed)
    for defense in stack:
        step_by_step = defense.update(step_by_step, Context(generator))
    assert same_bits(Stack(tuple(stack)).at("update", update, Context(seeded(seed))), step_by_step)


def test_the_order_of_the_list_decides() -> None:
    update = (torch.full((100,), 10.0),)
    clip, noise = Clip(norm=1.0), Gaussian(std=1.0)
    clipped_last = Stack(
        (
            noise,
            clip,
        )
    ).at("update", update, Context(seeded(0)))
    noised_last = Stack(
        (
            clip,
            noise,
        )
    ).at("update", update, Context(seeded(0)))
    assert length(clipped_last) <= 1 + 1e-6
    assert length(noised_last) > 5  # the norm of 100 standard normals is near 10


def test_top_k_before_noise_hides_what_was_kept_and_after_it_does_not() -> None:
    update = (torch.arange(1.0, 101.0),)
    dense = Stack(
        (
            TopK(fraction=0.1),
            Gaussian(std=1.0),
        )
    ).at("update", update, Context(seeded(0)))
    sparse = Stack(
        (
            Gaussian(std=1.0),
            TopK(fraction=0.1),
        )
    ).at("update", update, Context(seeded(0)))
    assert int((values(dense) != 0).sum()) == 100
    assert int((values(sparse) != 0).sum()) == 10


def small_round(stack: list[Defense], *, clients: int = 1, seed: int = 3) -> Update:
    """What a server sees of clients of a linear model with four examples in all."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    images, labels = torch.randn(4, 3, 1, 1), torch.tensor([0, 1, 1, 0])
    settings = {"clients": clients}
    public = replace(linear_public(network), batch_size=4 // clients, clients=clients, protocol_settings=settings)
    contexts = [Context(seeded(seed + client)) for client in range(clients)]
    return observed_update(public, network, images, labels, Stack(tuple(stack)), contexts)


def linear_public(network: nn.Module) -> Public:
    return Public(
        model="victim", network=network, image_shape=(3, 1, 1), classes=2, batch_size=4,
        labels="known", mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip


def test_stages_come_before_the_order_of_the_list() -> None:
    noise, clip = Gaussian(std=0.1), PerExampleClip(norm=0.01)
    one, other = small_round([noise, clip]), small_round([clip, noise])
    expected = noise.update(small_round([clip]), Context(seeded(3)))
    assert same_bits(one, other)
    torch.testing.assert_close(one, expected)


def test_gradients_of_examples_are_computed_only_where_a_defence_acts_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invbench.protocol._gradient.per_example_gradients", never("the examples' gradients"))
    assert length(small_round([Clip(norm=0.01)])) == pytest.approx(0.01, rel=1e-6)
    with pytest.raises(AssertionError, match="examples' gradients"):
        small_round([PerExampleClip(norm=1.0)])


def test_several_clients_are_averaged_each_behind_its_own_draws() -> None:
    both = small_round([])
    torch.testing.assert_close(small_round([], clients=2), both)  # halves of one batch: the same mean gradient
    noisy = [Gaussian(std=1.0)]
    assert values(small_round(noisy, clients=2)).std() < values(small_round(noisy)).std()


def test_an_aggregate_stage_sees_every_client_s_update_and_the_server_their_mean() -> None:
    heard: list[int] = []

    class Sum(Defense):
        def aggregate(self, updates: list[Update], context: Context) -> list[Update]:
            heard.append(len(updates))
            return [mean(updates)]

    torch.testing.assert_close(small_round([Sum()], clients=2), small_round([], clients=2))
    assert heard == [2]


def test_a_client_s_pictures_pass_the_stage_of_the_inputs_first() -> None:
    class Nothing(Defense):
        def inputs(self, batch: Batch, context: Context) -> Batch:
            return torch.zeros_like(batch[0]), batch[1]

    weight, bias = small_round([Nothing()])
    assert not weight.any()  # of a linear layer: error times input
    assert bias.any()


def test_the_mean_of_updates_is_taken_tensor_by_tensor() -> None:
    first, second = (torch.tensor([1.0]), torch.tensor([[2.0]])), (torch.tensor([3.0]), torch.tensor([[6.0]]))
    assert same_bits(mean([first, second]), (torch.tensor([2.0]), torch.tensor([[4.0]])))


@pytest.mark.parametrize("stack", [[], [Clip(norm=0.1)], [PerExampleClip(norm=0.1)]])
def test_no_autograd_graph_leads_from_the_update_back_to_the_pictures(stack: list[Defense]) -> None:
    shared = small_round(stack)
    assert all(not tensor.requires_grad and tensor.grad_fn is None for tensor in shared)
    assert length(shared) > 0


def test_the_stage_of_the_examples_runs_in_list_order() -> None:
    examples: list[Update] = [(torch.tensor([3.0, 4.0]),)]
    shared = Stack(
        (
            PerExampleClip(norm=2.0),
            PerExampleClip(norm=1.0),
        )
    ).at("per_example", examples, Context(seeded(0)))
    torch.testing.assert_close(shared[0], (torch.tensor([0.6, 0.8]),))
