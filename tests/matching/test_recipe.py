"""Targets and restarts as lanes: which answer is kept, and that no answer depends on the others."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import digits, noise_like, observe, public, victim

from invbench.core.progress import Progress, listening
from invbench.matching.answers import Best, take_better
from invbench.matching.leakage import LeakageRecipe
from invbench.matching.outcome import Outcome, Stop
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.models.lenet import LeNet
from invbench.observation import Guess, UpdateObservation

ADAM = Recipe(iterations=8)
JOINT_ADAM = Recipe(iterations=8, labels="joint", optimizer="adam", objective="l2", boxed=False, restarts=2)
LBFGS = LeakageRecipe(iterations=5, restarts=2, labels="joint")
PRIOR = LeakageRecipe(iterations=5, restarts=1, labels="idlg", tv=0.01, objective="layer-l2", boxed=True)
PLAIN = LeakageRecipe(iterations=5, restarts=3, labels="known", converged=0.0)
EVERY = {"adam": ADAM, "joint adam": JOINT_ADAM, "l-bfgs": LBFGS, "l-bfgs with a prior": PRIOR, "restarts": PLAIN}


def observed(count: int, *, batch: int = 1, seed: int = 0) -> list[UpdateObservation]:
    """Fresh observations of one victim; the k-th has the k-th stream of its own."""
    images, labels = digits(count * batch)
    network = victim(images, seed=seed)
    batches = zip(images.split(batch), labels.split(batch), strict=True)
    return [observe(network, pictures, given, seed=100 + k) for k, (pictures, given) in enumerate(batches)]


def same_bits(one: Guess, two: Guess) -> bool:
    return (
        torch.equal(one.images, two.images)
        and (one.evaluations, one.diverged, one.objective) == (two.evaluations, two.diverged, two.objective)
        and (one.labels is two.labels is None or torch.equal(one.labels, two.labels))  # type: ignore[arg-type]
    )


def near(one: Guess, two: Guess) -> bool:
    """Equal but for float32 rounding after a few steps."""
    return (
        torch.allclose(one.images, two.images, rtol=0, atol=1e-3)
        and one.evaluations == two.evaluations
        and one.objective == pytest.approx(two.objective, rel=1e-3, abs=1e-6)
        and one.labels.tolist() == two.labels.tolist()  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("name", EVERY)
def test_an_answer_does_not_change_when_observations_are_permuted_or_dropped(name: str) -> None:
    together = EVERY[name].attack_all(observed(4))
    assert not near(together[0], together[1])
    order = [2, 3, 0]
    fewer = EVERY[name].attack_all([observed(4)[k] for k in order])
    assert all(near(guess, together[k]) for guess, k in zip(fewer, order, strict=True))
    [alone] = EVERY[name].attack_all(observed(4)[1:2])
    assert near(alone, together[1])


@pytest.mark.parametrize("recipe", [PLAIN, LBFGS, replace(ADAM, restarts=2)])
def test_how_many_lanes_run_at_once_does_not_change_an_answer(recipe: Recipe) -> None:
    wide = recipe.attack_all(observed(3, batch=2))
    narrow = replace(recipe, lanes=2).attack_all(observed(3, batch=2))
    assert all(near(one, two) for one, two in zip(wide, narrow, strict=True))


@pytest.mark.parametrize(("numbers", "lanes"), [(1_000, 16), (20_000_000, 2), (10**9, 1)])
def test_of_a_large_model_fewer_lanes_run_at_once(numbers: int, lanes: int) -> None:
    [seen] = observed(1)
    assert Recipe()._chunk(replace(seen, update=(torch.zeros(1).expand(numbers),))) == lanes


def test_observations_of_several_global_models_are_answered_in_their_own_order() -> None:
    one, two = observed(4, seed=0), observed(4, seed=1)
    mixed = [one[0], one[1], two[2], one[3]]
    guesses = ADAM.attack_all(mixed)
    apart = ADAM.attack_all([*observed(2, seed=0)]), ADAM.attack_all([observed(4, seed=1)[2]])
    last = ADAM.attack_all([observed(4, seed=0)[3]])
    assert all(near(guess, other) for guess, other in zip(guesses, [*apart[0], *apart[1], *last], strict=True))
    assert ADAM.attack_all([]) == []


@pytest.mark.parametrize("name", EVERY)
def test_the_same_observation_gives_the_same_bits_whatever_else_was_drawn(name: str) -> None:
    once = EVERY[name].attack_all(observed(2))
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    again = EVERY[name].attack_all(observed(2))
    assert torch.equal(torch.get_rng_state(), before)  # and it draws nothing from there
    assert all(same_bits(one, two) for one, two in zip(once, again, strict=True))


def test_another_stream_is_another_start() -> None:
    [one] = ADAM.attack_all(observed(1))
    [seen] = observed(1)
    [two] = ADAM.attack_all([replace(seen, generator=torch.Generator().manual_seed(5))])
    assert not near(one, two)


def starts_of(recipe: Recipe, seen: UpdateObservation, count: int) -> list[Guess]:
    """What each of the first starts of one observation alone gives: they share its stream, one after the other."""
    alone = replace(recipe, restarts=1)
    return [alone.attack_all([seen])[0] for _ in range(count)]


@pytest.mark.parametrize("recipe", [Recipe(iterations=8, tv=0.3), replace(PLAIN, iterations=5)])
def test_of_all_restarts_the_least_objective_is_kept_and_every_evaluation_counts(recipe: Recipe) -> None:
    images, _ = digits(4)
    guesses = replace(recipe, restarts=3, lanes=1).attack_all(observed(4))
    misled = 0
    for k, (guess, seen) in enumerate(zip(guesses, observed(4), strict=True)):
        starts = starts_of(recipe, seen, 3)
        best = min(starts, key=objective_of)
        assert same_bits(replace(best, evaluations=guess.evaluations), guess)
        assert guess.evaluations == sum(start.evaluations for start in starts)
        misled += max(starts, key=lambda start: float(psnr(start.images, images[k : k + 1])[0])) is not best
    assert misled > 0  # somewhere the truth would have chosen another one


def objective_of(guess: Guess) -> float:
    assert guess.objective is not None
    return guess.objective


EASY = LeakageRecipe(iterations=3, restarts=4, labels="joint", converged=0.05)
"""Satisfied with so little that some starts of three steps converge and some do not."""


def one_target(*streams: int) -> list[UpdateObservation]:
    images, labels = digits(1)
    return [observe(victim(images), images, labels, seed=stream) for stream in streams]


def tolerance() -> float:
    return EASY.converged * sum(float(t.square().sum()) for t in one_target(0)[0].update)


def test_a_fresh_start_follows_only_where_the_last_one_did_not_converge() -> None:
    counts = []
    for stream in range(5):
        [guess] = EASY.attack_all(one_target(stream))
        [seen] = one_target(stream)
        starts = starts_of(EASY, seen, 1)
        while len(starts) < EASY.restarts and objective_of(starts[-1]) > tolerance():
            starts += starts_of(EASY, seen, 1)
        assert guess.evaluations == sum(start.evaluations for start in starts)
        best = min(starts, key=objective_of)
        assert same_bits(replace(best, evaluations=guess.evaluations), guess)
        counts.append(len(starts))
    assert min(counts) == 1
    assert any(1 < count < EASY.restarts for count in counts)


def test_a_target_that_converged_starts_no_more_while_others_do() -> None:
    once = replace(EASY, restarts=1).attack_all(one_target(*range(6)))
    twice = replace(EASY, restarts=2).attack_all(one_target(*range(6)))
    converged = [objective_of(guess) <= tolerance() for guess in once]
    assert any(converged)
    assert not all(converged)
    for first, both, done in zip(once, twice, converged, strict=True):
        assert (both.evaluations == first.evaluations) is done


@pytest.mark.parametrize(
    "changed",
    [
        *({"lr": 0.05}, {"tv": 0.5}, {"boxed": False}, {"decay": False}, {"objective": "l2"}),
        *({"optimizer": "adam"}, {"optimizer": "lbfgs"}, {"optimizer": "lbfgs-wolfe"}),
        *({"start": "small"}, {"schedule": "cosine"}),
    ],
    ids=lambda changed: "-".join(map(str, *changed.items())),
)
def test_every_part_of_a_recipe_is_used(changed: dict[str, Any]) -> None:
    recipe = Recipe(iterations=6)
    [plain], [other] = recipe.attack_all(observed(1)), replace(recipe, **changed).attack_all(observed(1))
    assert objective_of(plain) != pytest.approx(objective_of(other), rel=1e-3)


def test_memory_and_patience_reach_the_optimiser() -> None:
    recipe = LeakageRecipe(iterations=12, restarts=1, labels="known", converged=0.0)
    [whole], [short] = (replace(recipe, memory=memory).attack_all(observed(1)) for memory in (100, 1))
    assert not near(whole, short)
    [patient], [impatient] = (replace(recipe, patience=patience).attack_all(observed_noise()) for patience in (12, 2))
    assert patient.evaluations == 13
    assert impatient.evaluations < 13


def observed_noise() -> list[UpdateObservation]:
    images, labels = digits(1)
    return [observe(victim(images), images, labels, seed=100, defend=noise_like)]


def test_a_plateau_ends_a_lane_where_the_recipe_says_so() -> None:
    recipe = Recipe(iterations=30, lr=1e-6, boxed=False)
    [whole], [stopped] = recipe.attack_all(observed(1)), replace(recipe, plateau=4).attack_all(observed(1))
    assert (whole.evaluations, stopped.evaluations) == (31, 5)


def test_adam_too_stops_a_target_that_converged() -> None:
    recipe = Recipe(iterations=30, restarts=3, converged=0.9)
    [guess] = recipe.attack_all(observed(1))
    assert guess.evaluations < 30
    assert objective_of(guess) <= 0.9


def test_there_are_at_most_so_many_restarts() -> None:
    guesses = LeakageRecipe(iterations=3, restarts=5, labels="known").attack_all(observed(2))
    assert [guess.evaluations for guess in guesses] == [5 * 4, 5 * 4]


def test_converged_is_a_share_of_the_squared_norm_for_l2() -> None:
    recipe = LeakageRecipe(restarts=1, labels="known", iterations=100, converged=1e-2)
    for factor in (1.0, 10.0):
        images, labels = digits(1)
        network = victim(images)
        with torch.no_grad():
            network[-1].weight *= factor
        seen = observe(network, images, labels)
        [guess] = recipe.attack_all([seen])
        size = sum(float(t.square().sum()) for t in seen.update)
        assert guess.objective is not None
        assert 1e-6 * size < guess.objective <= 1e-2 * size


def test_for_the_other_objectives_converged_is_the_objective_itself() -> None:
    recipe = LeakageRecipe(restarts=1, labels="known", iterations=100, converged=1e-2, objective="cosine")
    images, labels = digits(1)
    tiny = observe(victim(images), images, labels, defend=lambda update: tuple(1e-3 * t for t in update))
    [guess] = recipe.attack_all([tiny])
    assert guess.objective is not None
    assert 1e-5 < guess.objective <= 1e-2


def test_a_guess_is_a_batch_of_pictures_in_unit_range_with_labels_and_what_it_cost() -> None:
    for recipe in (replace(ADAM, iterations=3), LBFGS):
        for guess in recipe.attack_all(observed(2, batch=3)):
            assert guess.images.shape == (3, 1, 8, 8)
            assert guess.images.dtype == torch.float32
            assert 0 <= guess.images.min() <= guess.images.max() <= 1
            assert guess.labels is not None
            assert guess.labels.shape == (3,)
            assert guess.objective is not None
            assert not guess.diverged


def test_given_labels_are_returned_as_they_are() -> None:
    _, labels = digits(6)
    guesses = ADAM.attack_all(observed(2, batch=3))
    assert [guess.labels.tolist() for guess in guesses if guess.labels is not None] == [
        labels[:3].tolist(),
        labels[3:].tolist(),
    ]


@pytest.mark.parametrize(
    "recipe", [Recipe(iterations=6, lr=1e30, objective="l2", boxed=False), replace(PLAIN, lr=1e30)]
)
def test_a_guess_whose_lanes_all_diverged_says_so_and_is_still_a_picture(recipe: Recipe) -> None:
    images, labels = digits(1)
    unbounded = victim(images, model=LeNet(activation="softplus"))
    [guess] = recipe.attack_all([observe(unbounded, images, labels)])
    assert guess.diverged
    assert torch.isfinite(guess.images).all()
    assert guess.objective is not None  # that of its best finite iterate


@pytest.mark.parametrize("recipe", [ADAM, LBFGS])
def test_where_no_value_is_finite_a_start_is_the_guess(recipe: Recipe) -> None:
    images, labels = digits(1)
    broken = observe(victim(images), images, labels, seed=9, defend=lambda update: tuple(t * torch.nan for t in update))
    [guess] = replace(recipe, restarts=1).attack_all([broken])
    assert guess.diverged
    assert guess.objective is None
    assert guess.evaluations == 1
    drawn = torch.randn(74 if recipe.labels == "joint" else 64, generator=torch.Generator().manual_seed(9))
    assert torch.equal(guess.images, broken.to_unit_range(drawn[:64].reshape(1, 1, 8, 8)))


def outcome(objective: float, *, diverged: bool, mark: float) -> Outcome:
    return Outcome(
        variables=torch.full((1, 3), mark),
        objective=torch.tensor([objective]),
        evaluations=torch.tensor([5]),
        stopped=torch.tensor([Stop.DIVERGED if diverged else Stop.AT_REST], dtype=torch.uint8),
    )


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_start_that_did_not_diverge_is_kept_before_one_that_did_and_that_before_one_without_a_value(
    first: int,
) -> None:
    nothing, lost, high, low = (math.inf, True), (0.1, True), (0.9, False), (0.5, False)
    ranked = [nothing, lost, high, low]
    for chosen in (range(first + 1), reversed(range(first + 1))):
        best = Best(outcome(math.inf, diverged=True, mark=-1.0), ([],))
        for number in chosen:
            objective, diverged = ranked[number]
            best = take_better(best, torch.tensor([0]), outcome(objective, diverged=diverged, mark=float(number)))
        assert best.lane.variables.tolist() == [[float(first)] * 3]
        assert best.lane.evaluations.tolist() == [5 + 5 * (first + 1)]
        assert best.lane.diverged.tolist() == [first < 2]
        assert len(best.stopped[0]) == first + 1


def test_a_recipe_cut_short_says_that_it_still_fell_and_one_that_converged_does_not() -> None:
    short = LeakageRecipe(iterations=12, restarts=2, labels="known", converged=1e-6)
    whole = replace(short, iterations=2000, restarts=8)
    [cut], [found] = short.attack_all(one_target(0)), whole.attack_all(one_target(0))
    assert cut.stopped == {"budget spent": 2}
    assert found.stopped["converged"] == 1
    assert "budget spent" not in found.stopped
    assert objective_of(found) < 0.1 * objective_of(cut)


def test_every_start_of_a_target_is_counted_by_why_it_stopped() -> None:
    for recipe in (ADAM, JOINT_ADAM, PLAIN, Recipe(iterations=8, optimizer="lbfgs-wolfe", restarts=2)):
        for guess in recipe.attack_all(observed(2)):
            assert sum(guess.stopped.values()) == recipe.restarts
            assert set(guess.stopped) <= {"converged", "at rest", "budget spent", "diverged"}


def test_one_target_that_diverges_leaves_the_others_as_they_are() -> None:
    seen = observed(3)
    spoilt = [seen[0], replace(seen[1], update=tuple(t * torch.inf for t in seen[1].update)), seen[2]]
    for recipe in (ADAM, PLAIN):
        guesses = recipe.attack_all(copy.deepcopy(spoilt))
        whole = recipe.attack_all(observed(3))
        assert [guess.diverged for guess in guesses] == [False, True, False]
        assert near(guesses[0], whole[0])
        assert near(guesses[2], whole[2])


def told(recipe: Recipe, seen: Sequence[UpdateObservation]) -> list[Progress]:
    heard: list[Progress] = []
    with listening(heard.append):
        recipe.attack_all(seen)
    return heard


@pytest.mark.parametrize("recipe", [replace(ADAM, restarts=2, lanes=4), replace(ADAM, lanes=1)])
def test_progress_counts_up_to_every_planned_step(recipe: Recipe) -> None:
    heard = told(recipe, observed(3))
    planned = 3 * recipe.restarts * recipe.iterations
    assert {(report.phase, report.total) for report in heard} == {("attack", planned)}
    done = [report.done for report in heard]
    assert done == sorted(set(done))
    assert done[-1] == planned
    assert all(report.objective is not None for report in heard)


def test_the_trial_is_two_steps_of_one_start_and_says_how_much_longer_the_whole_takes() -> None:
    recipe = LeakageRecipe(iterations=9, restarts=2, labels="known")
    short, factor = recipe.trial()
    assert short == replace(recipe, iterations=2, restarts=1, converged=0.0)
    [trial], [whole] = short.attack_all(observed(1)), recipe.attack_all(observed(1))
    assert trial.evaluations == 3
    assert factor * trial.evaluations == 2 * 10 >= whole.evaluations


def test_what_its_labels_need_is_what_a_recipe_needs() -> None:
    [seen] = observed(1)
    four = public(seen.model, (1, 8, 8), batch=4, labels="hidden")
    assert Recipe().unsupported(seen.public) is None
    assert LBFGS.unsupported(four) is None
    reasons: list[Any] = [Recipe().unsupported(four), PRIOR.unsupported(four)]
    assert reasons == [
        "the protocol hides the labels, and idlg needs batch_size 1, not 4; "
        "`labels: ilrg` reads how many there are of each class, `labels: joint` seeks them as well",
        "idlg needs batch_size 1, not 4",
    ]


def test_a_recipe_for_known_labels_reads_them_off_the_gradient_where_they_are_hidden() -> None:
    images, labels = digits(2)
    network = victim(images)
    batches = zip(images.split(1), labels.split(1), strict=True)
    hidden = [observe(network, picture, label, seed=100 + n, hidden=True) for n, (picture, label) in enumerate(batches)]
    assert all(same_bits(a, b) for a, b in zip(ADAM.attack_all(hidden), ADAM.attack_all(observed(2)), strict=True))
