"""Chunks of lanes, and what happens where memory does not suffice for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, observe, victim

from invbench.matching.leakage import LeakageRecipe
from invbench.matching.programs import Programs
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.observation import Guess, UpdateObservation

ERRORS = {
    "GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: 9"),
}
RECIPES = {
    "adam": Recipe(iterations=6),
    "restarts": Recipe(iterations=6, restarts=2),
    "l-bfgs": LeakageRecipe(iterations=6, restarts=2, labels="joint"),
    "line search": LeakageRecipe(iterations=6, restarts=1, optimizer="lbfgs-wolfe", labels="known"),
}


def observed(count: int) -> list[UpdateObservation]:
    images, labels = digits(count)
    network = victim(images)
    return [observe(network, images[k : k + 1], labels[k : k + 1], seed=100 + k) for k in range(count)]


def memory_for(lanes: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Evaluations of more lanes fail; the list fills with the numbers of lanes that were asked for."""
    evaluate, asked = Programs.evaluate, []

    def limited(self: Programs, variables: Any, given: Any) -> Any:
        asked.append(len(variables))
        if len(variables) > lanes:
            raise error
        return evaluate(self, variables, given)

    monkeypatch.setattr(Programs, "evaluate", limited)
    return asked


def near(one: Guess, two: Guess) -> bool:
    return torch.allclose(one.images, two.images, rtol=0, atol=1e-3) and one.evaluations == two.evaluations


@pytest.mark.parametrize("device", ERRORS)
@pytest.mark.parametrize("name", RECIPES)
def test_lanes_for_which_memory_does_not_suffice_go_on_in_halves_to_the_same_answers(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = RECIPES[name].attack_all(observed(5))
    asked = memory_for(2, ERRORS[device], monkeypatch)
    guesses = RECIPES[name].attack_all(observed(5))
    assert all(near(one, two) for one, two in zip(guesses, expected, strict=True))
    assert max(asked) > 2
    assert {lanes for lanes in asked if lanes <= 2} == {1, 2}


def test_the_record_says_which_targets_lanes_were_split_and_from_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    memory_for(2, ERRORS["GPU"], monkeypatch)
    guesses = Recipe(iterations=3, lanes=3).attack_all(observed(5))
    split = "out of memory with 3 lanes at once: computed in smaller groups"
    assert [guess.notes for guess in guesses] == [(split,)] * 3 + [()] * 2


def test_one_lane_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = memory_for(0, ERRORS["CPU"], monkeypatch)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        Recipe(iterations=3).attack_all(observed(4))
    assert asked == [4, 2, 1]


def test_any_other_error_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = memory_for(2, RuntimeError("shapes do not match"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes"):
        Recipe(iterations=3).attack_all(observed(4))
    assert asked == [4]


def test_one_lane_and_sixteen_agree_in_distribution() -> None:
    """Sixteen targets as sixteen lanes and one by one, from the same starts.

    A lane's numbers may differ in the last bits with the company it keeps, so iterates drift apart over many steps.
    What the two reach may not: over the targets, the mean PSNR differs by less than a tenth of its standard error.
    """
    recipe, (truth, _) = Recipe(iterations=39), digits(16)
    reached = []
    for lanes in (1, 16):
        guesses = replace(recipe, lanes=lanes).attack_all(observed(16))
        reached.append(torch.from_numpy(psnr(torch.cat([guess.images for guess in guesses]), truth)))
    alone, together = reached
    assert alone.std() > 0.5
    assert (alone - together).mean().abs() < 0.1 * alone.std() / 4
    assert (alone - together).abs().max() < alone.std()  # and no target got another one's answer


def test_a_repeated_run_gives_the_same_bits_though_lanes_leave_and_graphs_take_over() -> None:
    recipe = LeakageRecipe(iterations=130, restarts=2, labels="joint", converged=1e-3, patience=20)
    once, again = recipe.attack_all(observed(6)), recipe.attack_all(observed(6))
    assert len({guess.evaluations for guess in once}) > 1
    for one, two in zip(once, again, strict=True):
        assert torch.equal(one.images, two.images)
        assert (one.evaluations, one.objective, one.notes) == (two.evaluations, two.objective, two.notes)
