"""Game `attribute`: what crosses the wall, how guesses are scored, and what the attack reads from the output."""

from __future__ import annotations

import gc
import math
from collections import Counter
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from invbench import registry
from invbench.attacks.map_inversion import MapInversion
from invbench.cell import Cell, Choice
from invbench.data.warfarin import CYP2C9, DEMOGRAPHICS, VKORC1, Warfarin
from invbench.games.attribute import Attribute, AttributeDeal, Scores
from invbench.metrics import macro_auc
from invbench.models import iwpc
from invbench.models.iwpc import IWPC
from invbench.observation import AttributeGuess

PEOPLE = Warfarin(sensitive="vkorc1").load().people


def cell(
    *,
    sensitive: str = "vkorc1",
    background: str = "all",
    residual: float = 1.0,
    targets: int = 400,
    offset: int = 0,
    seed: int = 0,
    attack: tuple[tuple[str, Any], ...] = (),
    model: Choice | None = None,
    dataset: Choice | None = None,
) -> Cell:
    return Cell(
        game="attribute",
        attack=Choice("attack", "map-inversion", attack),
        model=model or Choice("model", "iwpc", (("residual", residual),)),
        dataset=dataset or Choice("dataset", "warfarin", (("sensitive", sensitive), ("background", background))),
        data_hash="",
        normalisation=None,
        batch_size=None,
        defense=None,
        protocol=None,
        targets=targets,
        offset=offset,
        seed=seed,
    )


def stage(**settings: Any) -> AttributeDeal:
    return Attribute().deal(cell(**settings), torch.device("cpu"))


def attacked(played: AttributeDeal) -> Scores:
    return played.score([MapInversion()(seen) for seen in played.observations])


def mean(scores: Scores, metric: str) -> float:
    return float(np.mean([[v for v in target if v is not None] for target in scores[metric]]))


def reachable(start: object) -> set[int]:
    """Identities of everything an observation leads to, code apart."""
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen and not isinstance(thing, type | ModuleType | FunctionType):
            seen[id(thing)] = thing
            waiting += gc.get_referents(thing)
    return set(seen)


@pytest.mark.parametrize("sensitive", ["vkorc1", "cyp2c9"])
@pytest.mark.parametrize("background", ["all", "demographics"])
def test_an_observation_holds_the_background_and_no_truth(sensitive: str, background: str) -> None:
    played = stage(sensitive=sensitive, background=background, targets=5)
    assert {id(played.truth), id(played.observations[0])} <= reachable(played)  # the walk finds what is there
    granted = set(DEMOGRAPHICS) if background == "demographics" else set(PEOPLE[0]) - {sensitive}
    for number, seen in enumerate(played.observations):
        assert dict(seen.attributes) == {name: PEOPLE[number][name] for name in granted}
        found = reachable(seen)
        assert not found & {id(played), id(played.truth), id(PEOPLE), id(PEOPLE[number])}


def test_the_attackers_model_is_a_fresh_copy() -> None:
    played = stage(targets=2)
    assert played.observations[0].model == played.observations[1].model == IWPC()
    assert played.observations[0].model is not played.observations[1].model


def test_two_attacks_and_two_secrets_face_the_same_outputs() -> None:
    outputs = [seen.output for seen in stage(targets=5).observations]
    assert [seen.output for seen in stage(targets=5, attack=(("other", 1),)).observations] == outputs
    assert [seen.output for seen in stage(targets=5, sensitive="cyp2c9").observations] == outputs
    assert [seen.output for seen in stage(targets=5, background="demographics").observations] == outputs
    assert [seen.output for seen in stage(targets=5, seed=1).observations] != outputs


def test_a_persons_output_and_stream_do_not_depend_on_who_else_is_attacked() -> None:
    late, early = stage(targets=1, offset=3).observations[0], stage(targets=5).observations[3]
    assert (late.attributes, late.output) == (early.attributes, early.output)
    assert late.generator.initial_seed() == early.generator.initial_seed()


def test_attackers_streams_differ_by_person_attack_and_seed() -> None:
    played = [stage(targets=2), stage(targets=2, attack=(("other", 1),)), stage(targets=2, seed=1)]
    assert len({seen.generator.initial_seed() for p in played for seen in p.observations}) == 6


def test_the_output_is_the_dose_of_the_person_with_the_stated_error() -> None:
    played = stage(residual=0.5, targets=2000)
    errors = []
    for number, seen in enumerate(played.observations):
        errors.append((math.sqrt(seen.output) - IWPC().predict(PEOPLE[number])) / 0.5)
    assert abs(np.mean(errors)) < 4 / math.sqrt(2000)
    assert np.std(errors) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(
    ("sensitive", "background", "margin"),
    [("vkorc1", "all", 0.25), ("vkorc1", "demographics", 0.1), ("cyp2c9", "all", 0.1)],
)
def test_the_attack_beats_both_controls_where_the_model_fits_well(
    sensitive: str, background: str, margin: float
) -> None:
    played = stage(sensitive=sensitive, background=background, residual=0.25, targets=1000)
    scores, controls = attacked(played), played.controls()
    for control in ("mode", "imputation"):
        assert mean(scores, "accuracy") > mean(controls[control], "accuracy") + margin
        assert mean(scores, "macro_auc") > mean(controls[control], "macro_auc") + 0.1


def test_at_the_default_residual_the_attack_still_leaks_more_than_imputation() -> None:
    played = stage(targets=2000)
    leak = mean(attacked(played), "accuracy") - mean(played.controls()["imputation"], "accuracy")
    assert leak > 0.04


def test_a_useless_model_leaves_imputation() -> None:
    played = stage(residual=1e5, targets=300)
    guesses = [MapInversion()(seen) for seen in played.observations]
    for seen, guess in zip(played.observations, guesses, strict=True):
        own = seen.public.prior.table["vkorc1"][seen.attributes["race"]]
        assert list(guess.probabilities) == pytest.approx(list(own.values()), abs=1e-3)
    assert played.score(guesses)["accuracy"] == played.controls()["imputation"]["accuracy"]


@pytest.mark.parametrize("sensitive", ["vkorc1", "cyp2c9"])
@pytest.mark.parametrize("residual", [0.0, 1e-4])
def test_the_bare_prediction_makes_the_attack_perfect(sensitive: str, residual: float) -> None:
    assert mean(attacked(stage(sensitive=sensitive, residual=residual)), "accuracy") == 1.0


@pytest.mark.parametrize(("sensitive", "background"), [("vkorc1", "all"), ("cyp2c9", "demographics")])
def test_the_posterior_is_calibrated(sensitive: str, background: str) -> None:
    played = stage(sensitive=sensitive, background=background, targets=1500)
    guesses = [MapInversion()(seen) for seen in played.observations]
    probabilities = np.array([guess.probabilities for guess in guesses])
    confidence = probabilities.max(axis=1)
    error = math.sqrt((confidence * (1 - confidence)).sum()) / len(guesses)
    assert abs(mean(played.score(guesses), "accuracy") - confidence.mean()) < 3.5 * error
    for value, column in enumerate(probabilities.T):
        spread = math.sqrt((column * (1 - column)).sum()) / len(guesses)
        assert abs((played.truth == value).mean() - column.mean()) < 3.5 * spread + 1e-3


@pytest.mark.parametrize("genotype", ["A/G", "A/A"])
def test_a_wrong_sign_in_the_attackers_model_costs_accuracy(genotype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    played = stage(residual=0.5, targets=1000)
    right = mean(attacked(played), "accuracy")
    vkorc1 = dict(iwpc.EFFECTS["vkorc1"])
    vkorc1[genotype] *= -1
    monkeypatch.setattr(iwpc, "EFFECTS", {**iwpc.EFFECTS, "vkorc1": vkorc1})
    assert mean(attacked(played), "accuracy") < right - 0.1


def test_controls_read_no_output() -> None:
    played, other = stage(targets=300), stage(targets=300, residual=3.0, seed=5)
    assert played.controls() == other.controls()


def test_the_mode_is_one_answer_for_all_and_ranks_nobody() -> None:
    played = stage(targets=500)
    mode = played.controls()["mode"]
    commonest = max(VKORC1, key=lambda value: played.public.prior.marginal("vkorc1")[value])
    assert [score for [score] in mode["accuracy"]] == [float(p["vkorc1"] == commonest) for p in PEOPLE[:500]]
    assert mean(mode, "macro_auc") == pytest.approx(0.5)


def test_imputation_says_the_commonest_of_the_persons_race() -> None:
    commonest = {"white": "A/G", "asian": "A/A", "black": "G/G"}
    scores = stage(targets=500).controls()["imputation"]["accuracy"]
    assert [score for [score] in scores] == [float(p["vkorc1"] == commonest[p["race"]]) for p in PEOPLE[:500]]


def test_scores_are_one_value_a_person_and_their_mean_is_the_macro_auc() -> None:
    played = stage(targets=200)
    guesses = [MapInversion()(seen) for seen in played.observations]
    scores = played.score(guesses)
    assert {len(target) for metric in scores.values() for target in metric} == {1}
    assert len(scores["accuracy"]) == len(scores["macro_auc"]) == 200
    area = macro_auc(np.array([guess.probabilities for guess in guesses]), played.truth)
    assert mean(scores, "macro_auc") == pytest.approx(area)


def test_of_equal_probabilities_the_first_value_counts() -> None:
    played = stage(targets=50)
    scores = played.score([AttributeGuess(probabilities=(0.4, 0.4, 0.2))] * 50)
    assert [score for [score] in scores["accuracy"]] == [float(p["vkorc1"] == "G/G") for p in PEOPLE[:50]]


def test_the_area_is_empty_where_there_is_nobody_to_rank_against() -> None:
    scores = attacked(stage(targets=1))
    assert scores["macro_auc"] == [[None]]
    assert scores["accuracy"] in ([[0.0]], [[1.0]])


def test_values_too_rare_to_rank_are_noted() -> None:
    counts = Counter(p["cyp2c9"] for p in PEOPLE[:200])
    assert 1 in counts.values()
    rare = ", ".join(genotype for genotype in CYP2C9 if counts[genotype] < 2)
    assert any(note.endswith(f"of these people have: {rare}") for note in stage(sensitive="cyp2c9", targets=200).notes)
    assert not any("macro_auc" in note for note in stage(targets=400).notes)


@pytest.mark.parametrize("bad", [(0.5, 0.5), (0.2, 0.8, math.nan)])
def test_a_malformed_guess_is_refused(bad: tuple[float, ...]) -> None:
    played = stage(targets=2)
    with pytest.raises(ValueError, match="2 guesses of 3 finite probabilities"):
        played.score([AttributeGuess(probabilities=bad)] * 2)


def test_a_missing_guess_is_refused() -> None:
    played = stage(targets=2)
    with pytest.raises(ValueError, match="2 guesses"):
        played.score([AttributeGuess(probabilities=(1.0, 0.0, 0.0))])


def test_arrays_hold_guesses_and_truth() -> None:
    played = stage(sensitive="cyp2c9", targets=4, offset=10)
    guesses = [MapInversion()(seen) for seen in played.observations]
    arrays = played.arrays(guesses)
    assert arrays["probabilities"].shape == (4, 6)
    assert tuple(arrays["values"]) == CYP2C9
    assert [CYP2C9[k] for k in arrays["truth"]] == [p["cyp2c9"] for p in PEOPLE[10:14]]
    assert list(arrays["people"]) == [10, 11, 12, 13]
    assert list(arrays["output"]) == [seen.output for seen in played.observations]


def test_more_people_than_the_cohort_has_is_unsupported_with_both_counts() -> None:
    assert Attribute().unsupported(cell(targets=5000)) is None
    reason = Attribute().unsupported(cell(targets=10, offset=4995))
    assert reason is not None
    assert "5005" in reason
    assert "5000" in reason


def test_the_parts_are_found_by_name() -> None:
    game = registry.load("game", "attribute")
    assert game.build({}) == Attribute()
    assert game.facts["data"] == "table"
    assert game.facts["axes"] == ("attack", "model", "defense")
    assert (game.facts["protocol"], game.facts["later"]) == ("release", ("defense", "protocol"))
    assert registry.load("attack", "map-inversion").facts["game"] == "attribute"
    names = cell(residual=0.5, sensitive="cyp2c9").names
    assert (names["attack"], names["model"]) == ("map-inversion", "iwpc(residual=0.5)")
    assert names["dataset"] == "warfarin(sensitive=cyp2c9)"


def test_pictures_are_unsupported() -> None:
    on_pictures = Attribute().unsupported(cell(dataset=Choice("dataset", "natural")))
    by_pictures = Attribute().unsupported(cell(model=Choice("model", "lenet")))
    assert on_pictures is not None
    assert "natural" in on_pictures
    assert by_pictures is not None
    assert "lenet" in by_pictures
