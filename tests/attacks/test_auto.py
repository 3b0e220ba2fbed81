"""Attack `auto`: the exact part wins where it can, else the likeliest search; never judged by the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_updates import digits, noise_like, observe, photographs, pooled, public, victim
from small_cells import plugged
from torch import Tensor, nn
from torch.nn import functional

from invbench import registry
from invbench.attacks.auto import Auto
from invbench.defenses import Context, Defense
from invbench.defenses import Stack as Defended
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.models import ImageModel
from invbench.models.convnet import ConvNet
from invbench.models.lenet import LeNet
from invbench.models.mlp import MLP
from invbench.observation import Guess, PublicDefense, UpdateObservation
from invbench.peeling.referee import best_guess, judge
from invbench.updates import likelihood

Stack = list[tuple[str, dict[str, Any]]]
CLAIMS_ALL = """
from dataclasses import dataclass

from invbench.registry import attack


@attack(game="update", closed_form="certified")
@dataclass(frozen=True, kw_only=True)
class ClaimsAll:
    def __call__(self, seen):
        return seen.nothing("none")
"""


def pictures(count: int) -> tuple[Tensor, Tensor]:
    images, labels = photographs(count)
    return functional.avg_pool2d(images, 2), labels


def observed(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    stack: Sequence[tuple[str, dict[str, Any]]] = (),
    *,
    hidden: bool = True,
) -> UpdateObservation:
    parts = [registry.load("defense", name).build(settings, Defense) for name, settings in stack]
    context, defenses = Context(torch.Generator().manual_seed(5)), Defended(tuple(parts))
    defend = lambda update: defenses.at("update", update, context)  # noqa: E731
    seen = observe(network, images, labels, hidden=hidden, defend=defend)
    declared = tuple(PublicDefense(name, settings) for name, settings in stack)
    return replace(seen, public=replace(seen.public, defenses=declared))


def kinked() -> tuple[UpdateObservation, Tensor]:
    """A victim that is not peeled: max pooling."""
    images, labels = photographs(1)
    return observed(victim(images, model=ConvNet(width=4)), images, labels), images


def same(one: Guess, two: Guess) -> bool:
    return torch.equal(one.images, two.images) and one.facts == two.facts and one.evaluations == two.evaluations


def test_where_peel_is_exact_it_wins_and_nothing_else_is_tried() -> None:
    images, labels = pictures(1)
    [guess] = Auto().attack_all([observed(victim(images), images, labels)])
    assert psnr(guess.images, images)[0] > 80
    assert guess.facts["certified"] is True
    assert guess.facts["part"] == "peel"
    assert list(guess.facts["parts"]) == ["peel"]
    assert guess.evaluations < 10
    assert guess.labels is not None
    assert guess.labels.tolist() == labels.tolist()


def test_where_no_closed_form_applies_a_search_answers_within_the_budget() -> None:
    seen, images = kinked()
    for evaluations in (1, 7, 12):
        [guess] = Auto(evaluations=evaluations).attack_all([seen])
        assert guess.facts["part"] == "short search"
        assert not guess.facts.get("certified", False)
        assert 0 < guess.evaluations <= evaluations + 1  # the last step's picture is evaluated once more
        assert guess.images.shape == images.shape


def test_a_batch_of_a_smooth_network_is_sought_under_strong_total_variation_too_within_the_budget() -> None:
    images, labels = pictures(2)
    seen = observed(victim(images, model=LeNet()), images, labels)
    [guess] = Auto(evaluations=90).attack_all([seen])
    assert set(guess.facts["parts"]) == {"short search", "strong search"}
    assert guess.evaluations <= 90 + len(guess.facts["parts"])
    judged = {part: numbers["surprise"] for part, numbers in guess.facts["parts"].items()}
    assert guess.facts["part"] == min(judged, key=lambda part: judged[part])


def test_what_a_search_finds_on_a_smooth_chain_is_polished_until_it_is_exact() -> None:
    images, labels = photographs(1)
    images = functional.adaptive_avg_pool2d(images, 8)
    network = pooled(6)
    [guess] = Auto().attack_all([observed(network, images, labels)])
    assert guess.facts["part"] == "polish"
    assert guess.facts["certified"] is True
    assert psnr(guess.images, images)[0] > 80
    assert "polish" in dict(Auto().parts(public(network, (3, 8, 8))))  # the forecast counts it


def test_no_picture_is_simulated_twice_and_a_record_says_why_polishing_gave_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulated: list[tuple[float, ...]] = []
    simulator = likelihood.simulator

    def counted(*public: Any, **more: Any) -> Any:
        simulate = simulator(*public, **more)

        def one(images: Tensor, given: Tensor, *known: Any) -> Any:
            simulated.append((*images.flatten().tolist(), *given.tolist()))
            return simulate(images, given, *known)

        return one

    monkeypatch.setattr(likelihood, "simulator", counted)
    images, labels = photographs(1)
    seen = observed(pooled(6), functional.adaptive_avg_pool2d(images, 8), labels)
    loud = (PublicDefense("gaussian", {"std": 10.0}),)  # so much noise that any picture explains what is seen
    for declared in ((), loud):
        [guess] = Auto(evaluations=5).attack_all([replace(seen, public=replace(seen.public, defenses=declared))])
        assert len(simulated) == len(set(simulated)) > 1
        simulated.clear()
    assert guess.facts["parts"]["polish"]["failed"] == "the likeliest answer explains the update already"


def test_a_failed_closed_form_says_why_and_a_loser_keeps_its_notes() -> None:
    images, labels = pictures(1)
    seen = observed(victim(images), images, labels)
    [guess] = Auto(evaluations=2).attack_all([replace(seen, update=tuple(torch.zeros_like(t) for t in seen.update))])
    assert "the update is zero" in guess.facts["parts"]["peel"]["failed"]
    noted = judge("noted", Guess(images=1 - images, labels=labels, notes=("in smaller groups",)), seen)
    best = best_guess([judge("truth", Guess(images=images, labels=labels), seen), noted])
    assert best.facts["part"] == "truth"
    assert best.notes == ()
    assert best.facts["parts"]["noted"]["notes"] == ["in smaller groups"]


def test_it_counts_why_the_lanes_of_all_its_searches_stopped() -> None:
    seen, _ = kinked()
    [guess] = Auto(evaluations=5).attack_all([seen])
    assert guess.stopped == {"budget spent": 1}
    [judged] = [judge("a", replace(guess, stopped=stopped), seen) for stopped in ({"at rest": 1},)]
    other = judge("b", replace(guess, stopped={"at rest": 2, "converged": 1}), seen)
    assert best_guess([judged, other]).stopped == {"at rest": 3, "converged": 1}


def test_closed_forms_that_certify_come_first_and_those_of_other_packages_not_at_all(tmp_path: Path) -> None:
    seen = public(MLP(width=8).build((3, 8, 8), 10), (3, 8, 8))
    before = [name for name, _ in Auto(evaluations=1).parts(seen)]
    kinds = [registry.load("attack", name).facts["closed_form"] for name in before[: before.index("short search")]]
    assert kinds == sorted(kinds, key=["certified", "plain"].index)
    assert kinds[0] == "certified"
    with plugged(tmp_path, {"attacks.aaa": CLAIMS_ALL}):
        assert "aaa" in registry.names("attack")
        assert registry.load("attack", "aaa").facts["closed_form"] == "certified"
        assert [name for name, _ in Auto(evaluations=1).parts(seen)] == before


def test_the_long_searches_share_what_the_others_leave() -> None:
    seen, _ = kinked()
    for evaluations, names in (
        (200, ["short search"]), (500, ["short search", "long search"]),
        (1000, ["short search", "long search", "light search"]),
    ):  # fmt: skip
        found = dict(Auto(evaluations=evaluations).parts(seen.public))
        assert list(found) == names
        assert evaluations - 1 <= sum(part.iterations for part in found.values()) <= evaluations


def test_how_a_network_is_searched_follows_from_its_layers_and_the_batch() -> None:
    def names(model: ImageModel, count: int) -> list[str]:
        images, labels = pictures(count)
        parts = Auto(evaluations=3000).parts(observed(victim(images, model=model), images, labels).public)
        return [name for name, _ in parts if name.endswith("search")]

    assert names(LeNet(), 1) == ["short search", "line search", "long search"]
    assert names(LeNet(), 2) == ["short search", "strong search", "long search"]
    assert names(LeNet(activation="relu"), 1) == ["short search", "long search", "light search"]
    assert names(LeNet(activation="relu"), 2) == ["short search", "long search"]
    assert names(MLP(), 2) == ["short search", "light search", "layer search"]


def test_hidden_labels_of_a_batch_are_found_with_the_pictures() -> None:
    images, labels = pictures(2)
    [guess] = Auto(evaluations=5).attack_all([observed(victim(images), images, labels)])
    assert guess.images.shape == images.shape
    assert guess.labels is not None
    assert guess.labels.shape == (2,)


def test_the_referee_prefers_the_true_picture_to_a_worse_one() -> None:
    images, labels = pictures(1)
    for stack in ([], [("gaussian", {"std": 1e-3})], [("clip", {"norm": 0.1})], [("top-k", {"fraction": 0.3})]):
        seen = observed(victim(images), images, labels, stack)
        noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
        guesses = {"truth": images, "noisy": noisy, "grey": torch.full_like(images, 0.5)}
        tried = [judge(name, Guess(images=picture, labels=labels), seen) for name, picture in guesses.items()]
        assert best_guess(tried).facts["part"] == "truth"
        assert best_guess(tried[::-1]).facts["part"] == "truth"
        wrong = judge("wrong label", Guess(images=images, labels=(labels + 1) % 10), seen)
        assert best_guess([wrong, tried[0]]).facts["part"] == "truth"


def test_an_answer_without_pictures_labels_or_sense_loses() -> None:
    images, labels = pictures(1)
    seen = observed(victim(images), images, labels)
    grey = judge("grey", Guess(images=torch.full_like(images, 0.5), labels=labels), seen)
    for nothing, why in (
        (seen.nothing("no idea"), {"failed": "no idea"}),
        (Guess(images=images), {}),
        (Guess(images=torch.full_like(images, torch.nan), labels=labels, notes=("odd",)), {"notes": ["odd"]}),
    ):
        judged = judge("nothing", nothing, seen)
        assert best_guess([judged, grey]).facts["part"] == "grey"
        assert best_guess([judged]).facts["parts"] == {"nothing": {"misfit": None, "surprise": None} | why}


def test_the_answer_is_the_same_bit_for_bit() -> None:
    def answer() -> Guess:
        [guess] = Auto(evaluations=5).attack_all([kinked()[0]])
        return guess

    assert same(answer(), answer())


def test_exact_answers_do_not_depend_on_the_other_observations() -> None:
    images, labels = pictures(3)
    network = victim(images)
    pairs = zip(images.split(1), labels.split(1), strict=True)
    seen = [observed(network, image, label) for image, label in pairs]
    hopeless = replace(seen[1], update=noise_like(seen[1].update))
    together = Auto(evaluations=2).attack_all([seen[0], hopeless, seen[2]])
    assert [guess.facts.get("certified", False) for guess in together] == [True, False, True]
    back = Auto(evaluations=2).attack_all([seen[2], seen[0]])
    assert same(together[0], back[1])
    assert same(together[2], back[0])


@pytest.mark.parametrize(
    "stack",
    [
        [("sign", {})],
        [("per-example-clip", {"norm": 0.1})],
        [("quantize", {"bits": 2})],
        [("random-k", {"fraction": 0.1})],
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 2])
def test_behind_any_defence_there_is_an_answer(batch: int, stack: Stack) -> None:
    images, labels = pictures(batch)
    [guess] = Auto(evaluations=3).attack_all([observed(victim(images), images, labels, stack, hidden=False)])
    assert guess.images.shape == images.shape
    assert guess.facts["part"] in guess.facts["parts"]


@pytest.mark.parametrize("value", [0.0, 1e30, torch.nan, torch.inf])
def test_a_hostile_update_gives_a_guess_and_no_traceback(value: float) -> None:
    images, labels = pictures(1)
    seen = observed(victim(images), images, labels)
    [guess] = Auto(evaluations=3).attack_all(
        [replace(seen, update=tuple(torch.full_like(t, value) for t in seen.update))]
    )
    assert not guess.facts.get("certified", False)
    assert guess.images.isfinite().all()


def test_it_does_not_judge_a_mean_over_clients_behind_defences_of_whole_updates() -> None:
    images, labels = pictures(2)
    two = observe(victim(images), images, labels, clients=2).public
    loud = (PublicDefense("gaussian", {"std": 0.01}),)
    assert Auto().unsupported(two) is None
    assert "2 clients' are averaged" in (Auto().unsupported(replace(two, defenses=loud)) or "")
    assert Auto().unsupported(replace(two, clients=1, defenses=loud)) is None


def test_behind_noise_the_posterior_is_sought_and_knowing_of_the_noise_is_no_harm() -> None:
    images, labels = digits(2)
    network = victim(images, model=LeNet(activation="tanh", start="pytorch"))
    seen = observed(network, images, labels, [("gaussian", {"std": 0.02})], hidden=False)
    naive = replace(seen, public=replace(seen.public, defenses=()))
    told, untold = (Auto(evaluations=200).attack_all([one])[0] for one in (seen, naive))
    assert list(told.facts["parts"]) == ["short search", "posterior search"]
    assert told.facts["part"] == "posterior search"
    assert told.evaluations <= 200 + len(told.facts["parts"]) + 4
    flat = float(psnr(torch.full_like(images, 0.5), images).mean())
    assert float(psnr(told.images, images).mean()) > max(flat, float(psnr(untold.images, images).mean()))
    quiet = observed(network, images, labels, [("gaussian", {"std": 0.02}), ("sign", {})], hidden=False)
    assert "posterior search" not in dict(Auto().parts(quiet.public)), "what follows the noise has no slope"


def test_behind_signs_its_searches_compare_signs_and_one_that_does_not_know_compares_lengths() -> None:
    images, labels = pictures(1)
    seen = observed(victim(images), images, labels, [("sign", {})], hidden=False)
    searches = [step.alone for step in Auto().steps(seen.public) if isinstance(step.alone, Recipe)]
    naive = [step.alone for step in Auto().steps(replace(seen.public, defenses=())) if isinstance(step.alone, Recipe)]
    assert {search.objective for search in searches} == {"declared"}
    assert "declared" not in {search.objective for search in naive}
