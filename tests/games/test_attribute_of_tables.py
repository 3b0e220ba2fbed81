"""Game `attribute` on rows of a file: the split, what crosses the wall, the controls, and what cannot be played."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_tables import GENES, SHARES, cell, part, people, write

from invbench import matrix
from invbench.attacks.map_inversion import MapInversion
from invbench.cell import Cell
from invbench.games import Scores
from invbench.games._people import counted, split
from invbench.games.attribute import Attribute, AttributeDeal
from invbench.play.playing import play

PEOPLE = 400
HELD_OUT = 100


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "people.csv", people(PEOPLE))


def deal(cell: Cell) -> AttributeDeal:
    return Attribute().deal(cell, torch.device("cpu"))


def attacked(played: AttributeDeal, **settings: Any) -> Scores:
    return played.score([MapInversion(**settings)(seen) for seen in played.observations])


def mean(scores: Scores, metric: str) -> float:
    return float(np.mean([value for target in scores[metric] for value in target]))


def test_three_quarters_train_and_the_others_are_held_out_by_the_seed() -> None:
    training, held_out = split(4819, 0)
    assert (len(training), len(held_out)) == (3614, 1205)
    assert sorted(training + held_out) == list(range(4819))
    assert split(4819, 0) == (training, held_out)
    assert split(4819, 1)[1] != held_out


@pytest.mark.parametrize("who", ["held-out", "training"])
def test_targets_are_people_of_their_side_and_nothing_sensitive_crosses(file: Path, who: str) -> None:
    protocol = part("protocol", "release", people=who)
    played = deal(cell(file, protocol=protocol, targets=5, offset=3))
    training, held_out = split(PEOPLE, 0)
    assert list(played.people) == (training if who == "training" else held_out)[3:8]
    rows = people(PEOPLE)
    for seen, row in zip(played.observations, played.people, strict=True):
        assert set(seen.attributes) == {"race", "age", "smoker"}
        assert (seen.attributes["age"], seen.output) == (rows[row]["age"], rows[row]["dose"])
        assert "gene" not in seen.attributes


def test_attacker_and_frequencies_know_no_row_held_out(file: Path) -> None:
    before = deal(cell(file, targets=HELD_OUT))
    rows = people(PEOPLE)
    for row in before.people:
        rows[row]["gene"] = "TT" if rows[row]["gene"] == "CC" else "CC"
    after = deal(cell(write(file, rows), targets=HELD_OUT))
    for one, two in zip(before.observations, after.observations, strict=True):
        assert (one.attributes, one.output) == (two.attributes, two.output)
        assert MapInversion()(one).probabilities == MapInversion()(two).probabilities
    assert before.controls()["mode"]["accuracy"] != after.controls()["mode"]["accuracy"]


@pytest.mark.parametrize("model", ["ridge", "tree"])
def test_the_attack_beats_every_control_where_the_model_fits(file: Path, model: str) -> None:
    played = deal(cell(file, model=part("model", model), targets=HELD_OUT))
    controls = played.controls()
    assert set(controls) == {"mode", "imputation", "classifier"}
    for metric in ("accuracy", "macro_auc"):
        strongest = max(mean(scores, metric) for scores in controls.values())
        assert mean(attacked(played), metric) > strongest + 0.15


def test_a_conditional_prior_is_better_than_a_marginal_one(file: Path) -> None:
    played = deal(cell(write(file, people(PEOPLE, noise=2.0)), targets=HELD_OUT))
    conditional, marginal = (mean(attacked(played, prior=prior), "accuracy") for prior in ("conditional", "marginal"))
    assert conditional > marginal + 0.05
    assert mean(played.controls()["imputation"], "accuracy") > marginal  # a good score without the model


def test_the_classifier_sees_the_known_attributes_and_no_output(file: Path) -> None:
    played = deal(cell(file, targets=HELD_OUT))
    assert played.classified is not None
    for said, seen in zip(played.classified, played.observations, strict=True):
        assert (
            max(GENES, key=lambda gene: said[gene])
            == max(zip(SHARES[str(seen.attributes["race"])], GENES, strict=True))[1]
        )
    told = people(PEOPLE)
    for row in told:
        row["dose"] = row["age"] / 7
    assert deal(cell(write(file, told), targets=HELD_OUT)).classified == played.classified


def test_unknown_attributes_are_summed_out(file: Path) -> None:
    protocol = part("protocol", "release", unknown=("race", "smoker"))
    played = deal(cell(file, protocol=protocol, targets=HELD_OUT))
    seen = played.observations[0]
    assert set(seen.attributes) == {"age"}
    totals = dict.fromkeys(GENES, 0.0)
    for race in SHARES:
        for smoker in ("0", "1"):
            for gene in GENES:
                guess = {"race": race, "smoker": smoker, "gene": gene}
                chance = math.prod(
                    seen.prior.given(name, dict(list(guess.items())[:k]))[guess[name]] for k, name in enumerate(guess)
                )
                totals[gene] += chance * math.exp(seen.model.log_likelihood(seen.output, {**seen.attributes, **guess}))
    expected = [total / sum(totals.values()) for total in totals.values()]
    guess = MapInversion()(seen)
    assert list(guess.probabilities) == pytest.approx(expected)
    assert guess.evaluations == 2 * 2 * 3
    accuracy = mean(attacked(played), "accuracy")
    assert mean(attacked(deal(cell(file, targets=HELD_OUT))), "accuracy") > accuracy
    assert accuracy > mean(played.controls()["mode"], "accuracy")


def test_an_unknown_number_takes_the_middles_of_ten_parts(file: Path) -> None:
    protocol = part("protocol", "release", unknown=("age",))
    played = deal(cell(file, protocol=protocol, targets=3))
    assert MapInversion()(played.observations[0]).evaluations == 3 * 10
    ages = sorted(people(PEOPLE)[row]["age"] for row in split(PEOPLE, 0)[0])
    shares = played.observations[0].prior.given("age", {})
    assert list(shares.values()) == [0.1] * 10
    assert list(shares) == pytest.approx(np.quantile(ages, np.arange(0.05, 1, 0.1)).tolist())


def test_frequencies_are_counts_smoothed_towards_the_group_around(file: Path) -> None:
    made = cell(file)
    table = Attribute().public(made) and made.dataset.build(object).load()  # type: ignore[attr-defined]
    training = split(PEOPLE, 0)[0]
    prior = counted(table, training)
    rows = [table.people[row] for row in training]
    counts = Counter(row["gene"] for row in rows)
    marginal = prior.marginal("gene")
    assert marginal == pytest.approx({gene: (counts[gene] + 1 / 3) / 301 for gene in GENES})
    levels = dict(prior.levels["gene"])
    assert next(iter(levels)) == "race"  # what tells most comes first
    assert levels["smoker"] >= 100  # what tells nothing is smoothed away
    north = Counter(row["gene"] for row in rows if row["race"] == "north")
    given = prior.given("gene", {"race": "north"})
    total = sum(north.values()) + levels["race"]
    assert given == pytest.approx({gene: (north[gene] + levels["race"] * marginal[gene]) / total for gene in GENES})
    assert prior.given("gene", {"race": "nowhere"}) == pytest.approx(marginal)


def test_categories_that_training_has_not_are_told_and_do_no_harm(file: Path) -> None:
    rows, held_out = people(PEOPLE), split(PEOPLE, 0)[1]
    rows[held_out[0]] |= {"race": "west", "gene": "XX"}
    rows[held_out[1]] |= {"race": "", "age": ""}
    for model in ("ridge", "tree"):
        played = deal(cell(write(file, rows), model=part("model", model), targets=HELD_OUT))
        notes = [note for note in played.notes if "no training row has" in note]
        assert notes == ["race: no training row has missing, west", "gene: no training row has XX"]
        scores, controls = attacked(played), played.controls()
        assert scores["accuracy"][0] == [0.0]
        assert all(math.isfinite(v) for one in (scores, *controls.values()) for [v] in one["accuracy"])


def test_a_target_in_words_is_classified(file: Path) -> None:
    rows = people(PEOPLE, noise=0.1)
    for row in rows:
        row["level"] = "low" if (dose := row.pop("dose")) < 2 else "middle" if dose < 4 else "high"
    for model in ("ridge", "tree"):
        played = deal(cell(write(file, rows), target="level", model=part("model", model), targets=HELD_OUT))
        assert {score for [score] in attacked(played)["error"]} == {0.0, 1.0}
        assert isinstance(played.observations[0].output, str)
        strongest = max(mean(scores, "accuracy") for scores in played.controls().values())
        assert mean(attacked(played), "accuracy") > strongest + 0.1


def test_leaf_counts_are_granted_by_the_protocol(file: Path) -> None:
    tree = part("model", "tree", leaf_rows=1, max_depth=30)
    kinds = {
        access: part("protocol", "release", people="training", access=access) for access in ("black-box", "leaf-counts")
    }
    found = {access: deal(cell(file, model=tree, protocol=kind, targets=100)) for access, kind in kinds.items()}
    assert found["leaf-counts"].public.leaf_counts
    answers = {access: [MapInversion()(seen).probabilities for seen in of.observations] for access, of in found.items()}
    assert answers["black-box"] != answers["leaf-counts"]


def test_an_overfitted_tree_gives_away_those_that_trained_it(file: Path) -> None:
    tree = part("model", "tree", leaf_rows=1, max_depth=30)
    leaks = {}
    for who in ("training", "held-out"):
        played = deal(cell(file, model=tree, protocol=part("protocol", "release", people=who), targets=HELD_OUT))
        leaks[who] = mean(attacked(played), "accuracy")
        assert (mean(attacked(played), "error") < 0.01) is (who == "training")
    assert leaks["training"] > leaks["held-out"] + 0.05


def test_a_private_regression_leaks_less_and_costs_error(file: Path) -> None:
    bare = deal(cell(file, targets=HELD_OUT))
    defended = deal(cell(file, defense=(part("defense", "functional-mechanism", epsilon=0.1),), targets=HELD_OUT))
    assert mean(attacked(defended), "accuracy") < mean(attacked(bare), "accuracy") - 0.1
    assert mean(attacked(defended), "error") > 2 * mean(attacked(bare), "error")
    again = deal(cell(file, defense=(part("defense", "functional-mechanism", epsilon=0.1),), targets=HELD_OUT))
    assert attacked(again) == attacked(defended)
    assert defended.controls() == bare.controls()


PRIVATE = ("functional-mechanism", "output-perturbation")
UNPLAYABLE: dict[str, tuple[dict[str, Any], str]] = {
    "published": ({"model": part("model", "iwpc")}, "iwpc is published with its own attributes"),
    "no target": (
        {"dataset": part("dataset", "warfarin", sensitive="vkorc1")},
        "ridge is trained, and warfarin has no target to train it on",
    ),
    "pictures": ({"model": part("model", "lenet")}, "needs a model of people's attributes; lenet takes images"),
    "too few": ({"targets": 99, "offset": 2}, "needs 101 people (99 from number 2 on), its rows held out are 100"),
    "leaves": (
        {"protocol": part("protocol", "release", access="leaf-counts")},
        "ridge has no leaves whose counts could be granted",
    ),
    "unknown": (
        {"protocol": part("protocol", "release", unknown=("rase",))},
        "unknown: 'rase' is none of the attributes that the attacker is given; nearest: 'race'",
    ),
    "of another game": (
        {"defense": (part("defense", "clip", norm=1.0),)},
        "defence clip acts at no stage of game attribute; these do: functional-mechanism, output-perturbation",
    ),
    "of a tree": (
        {"model": part("model", "tree"), "defense": (part("defense", "functional-mechanism", epsilon=1.0),)},
        "defence functional-mechanism acts on a regression of least squares; tree is none",
    ),
    "of words": (
        {"target": "race", "defense": (part("defense", "output-perturbation", epsilon=1.0),)},
        "defence output-perturbation acts on a regression; the target race is a category",
    ),
    "twice": (
        {"defense": tuple(part("defense", one, epsilon=1.0) for one in PRIVATE)},
        "functional-mechanism and output-perturbation: each makes the whole regression private by itself",
    ),
}


@pytest.mark.parametrize("why", UNPLAYABLE)
def test_what_cannot_be_played_says_why(file: Path, why: str) -> None:
    said, reason = UNPLAYABLE[why]
    assert str(Attribute().unsupported(cell(file, **said))).startswith(reason)


@pytest.mark.parametrize("defense", PRIVATE)
def test_a_missing_number_is_refused_behind_a_private_regression(tmp_path: Path, defense: str) -> None:
    """It counts as the training rows' mean, so that one row moves others, by what no sensitivity allows for."""
    rows = people(40)
    rows[3]["age"] = ""
    said: dict[str, Any] = {"targets": 5, "defense": (part("defense", defense, epsilon=1.0),)}
    reason = Attribute().unsupported(cell(write(tmp_path / "people.csv", rows), **said))
    assert str(reason).startswith(f"defence {defense}: where age is missing it counts as the mean of the training rows")
    assert Attribute().unsupported(cell(tmp_path / "people.csv", targets=5)) is None
    assert Attribute().unsupported(cell(write(tmp_path / "whole.csv", people(40)), **said)) is None


def test_too_many_combinations_are_refused(tmp_path: Path) -> None:
    numbers = {f"n{k}": 0.5 for k in range(5)}
    rows = [{**row, **{name: value + i / 7 for name, value in numbers.items()}} for i, row in enumerate(people(30))]
    file = write(tmp_path / "people.csv", rows)
    protocol = part("protocol", "release", unknown=tuple(numbers))
    reason = Attribute().unsupported(cell(file, protocol=protocol, targets=2))
    assert reason == "unknown: 100,000 combinations of values a person; at most 10,000"


def test_a_published_model_s_people_trained_nothing_and_need_frequencies() -> None:
    warfarin = {"dataset": part("dataset", "warfarin", sensitive="vkorc1"), "model": part("model", "iwpc")}
    for granted, reason in (
        ({"people": "training"}, "iwpc is published: none of these people trained it"),
        ({"unknown": ("height",)}, "unknown: of 'height' no frequencies are published"),
    ):
        made = cell(Path("x.csv"), **warfarin, protocol=part("protocol", "release", **granted))
        assert str(Attribute().unsupported(made)).startswith(reason)
    unknown_race = cell(Path("x.csv"), **warfarin, protocol=part("protocol", "release", unknown=("race",)))
    assert Attribute().unsupported(unknown_race) is None
    (seen,) = deal(Cell(**{**vars(unknown_race), "targets": 1})).observations
    assert MapInversion()(seen).evaluations == 3 * 3


def test_axes_that_the_game_got_later_are_no_part_of_an_id_at_their_defaults(tmp_path: Path) -> None:
    text = """
dataset: {name: warfarin, sensitive: vkorc1}
targets: 300
include:
  - {attack: map-inversion, model: iwpc}
  - {attack: map-inversion, model: iwpc, defense: none, protocol: release}
  - {attack: map-inversion, model: iwpc, protocol: {name: release, unknown: [cyp2c9]}}
  - {attack: {name: map-inversion, prior: marginal}, model: iwpc}
"""
    (tmp_path / "m.yaml").write_text(text)
    plain, unknown, marginal = matrix.load(tmp_path / "m.yaml").cells  # the first two are one
    assert plain.id == "7690800b120c8204"  # as computed before the game had a protocol
    assert (plain.settings["defense"], plain.settings["protocol"]) == (None, None)
    assert (plain.names["defense"], plain.names["protocol"]) == ("none", "release")
    assert unknown.settings["protocol"] == unknown.protocol.key  # type: ignore[union-attr]
    assert marginal.settings["attack"] == {"name": "map-inversion", "prior": "marginal"}
    assert len({plain.id, unknown.id, marginal.id}) == 3


def test_a_cell_of_a_table_is_played_to_a_record(file: Path, tmp_path: Path) -> None:
    text = """
dataset: {name: table, path: people.csv, target: dose, sensitive: gene}
targets: 20
grid:
  attack: map-inversion
  model: [ridge, tree]
  defense: [none, {name: functional-mechanism, epsilon: 1}]
  protocol: [release, {name: release, access: leaf-counts}]
"""
    (tmp_path / "m.yaml").write_text(text)
    cells = matrix.load(tmp_path / "m.yaml").cells
    assert len(cells) == 8
    record = play(cells[0], "cpu").record
    assert record.status == "ok", record.reason
    assert set(record.scores) == {"accuracy", "macro_auc", "error"}
    assert set(record.controls) == {"mode", "imputation", "classifier"}


def test_observations_of_a_trained_model_can_be_sent_away(file: Path) -> None:
    for model in ("ridge", "tree"):
        (seen,) = deal(cell(file, model=part("model", model), targets=1)).observations
        assert MapInversion()(pickle.loads(pickle.dumps(seen))) == MapInversion()(seen)
