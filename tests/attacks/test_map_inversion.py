"""Attack `map-inversion`: the exact posterior, against hand-made numbers and a brute-force sum."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench.attacks.map_inversion import MapInversion
from invbench.data.warfarin import CYP2C9, DEMOGRAPHICS, VKORC1, Warfarin
from invbench.models.iwpc import IWPC
from invbench.observation import AttributeObservation, AttributePublic, Failed

TABLE = Warfarin(sensitive="vkorc1").load()
WHITE = {
    "race": "white",
    "age": 65,
    "height": 170,
    "weight": 70,
    "cyp2c9": "*1/*1",
    "inducer": False,
    "amiodarone": False,
}


def observation(
    known: dict[str, Any], output: float, *, sensitive: str = "vkorc1", residual: float = 1.0, seed: int = 0
) -> AttributeObservation:
    public = AttributePublic(
        model="iwpc",
        sensitive=sensitive,
        values=VKORC1 if sensitive == "vkorc1" else CYP2C9,
        background=tuple(known),
        prior=TABLE.prior,
    )
    generator = torch.Generator().manual_seed(seed)
    return AttributeObservation(
        public=public, attributes=known, output=output, model=IWPC(residual=residual), generator=generator
    )


def brute_force(seen: AttributeObservation, residual: float) -> list[float]:
    """Sum over every person the prior allows, in plain probabilities, with the dose's density written out."""
    race, known = seen.attributes["race"], seen.attributes
    table = seen.public.prior.table
    totals = dict.fromkeys(seen.public.values, 0.0)
    root = math.sqrt(seen.output)
    for vkorc1, p_vkorc1 in table["vkorc1"][race].items():
        for cyp2c9, p_cyp2c9 in table["cyp2c9"][race].items():
            for inducer, p_inducer in table["inducer"][race].items():
                for amiodarone, p_amiodarone in table["amiodarone"][race].items():
                    person = {"vkorc1": vkorc1, "cyp2c9": cyp2c9, "inducer": inducer, "amiodarone": amiodarone}
                    if any(known.get(name, value) != value for name, value in person.items()):
                        continue
                    mean = IWPC().predict({**known, **person})
                    density = sum(math.exp(-((r - mean) ** 2) / (2 * residual**2)) for r in (root, -root))
                    totals[person[seen.public.sensitive]] += p_vkorc1 * p_cyp2c9 * p_inducer * p_amiodarone * density
    return [total / sum(totals.values()) for total in totals.values()]


def test_the_posterior_of_one_person_by_hand() -> None:
    # Roots 6.411, 5.5433, 4.7136 for G/G, A/G, A/A; 25 mg/week is root 5; published shares 37, 48, 15 %.
    weights = [0.37 * 0.36954, 0.48 * 0.86278, 0.15 * 0.95981]
    guess = MapInversion()(observation(WHITE, 25.0))
    assert list(guess.probabilities) == pytest.approx([w / sum(weights) for w in weights], abs=1e-4)
    assert guess.evaluations == 3


@given(
    race=st.sampled_from(["white", "asian", "black"]),
    age=st.integers(10, 99),
    weight=st.integers(35, 150),
    dose=st.floats(0.0, 120.0),
    residual=st.floats(0.3, 3.0),
    sensitive=st.sampled_from(["vkorc1", "cyp2c9"]),
)
@settings(deadline=None, max_examples=40)
def test_the_unknown_attributes_are_summed_out_exactly(
    race: str, age: int, weight: int, dose: float, residual: float, sensitive: str
) -> None:
    known = {"race": race, "age": age, "height": 165, "weight": weight}
    seen = observation(known, dose, sensitive=sensitive, residual=residual)
    guess = MapInversion()(seen)
    assert guess.evaluations == 3 * 6 * 2 * 2
    assert math.fsum(guess.probabilities) == pytest.approx(1.0, abs=1e-12)
    assert list(guess.probabilities) == pytest.approx(brute_force(seen, residual), rel=1e-6, abs=1e-9)


def test_both_roots_of_the_dose_count() -> None:
    small = {**WHITE, "race": "asian", "age": 95, "height": 140, "weight": 35, "amiodarone": True, "cyp2c9": "*3/*3"}
    seen = observation(small, 1.0, residual=1.0)
    both = MapInversion()(seen).probabilities
    means = [IWPC().predict({**small, "vkorc1": v}) for v in VKORC1]
    priors = TABLE.prior.table["vkorc1"]["asian"].values()
    one = [p * math.exp(-((1 - m) ** 2) / 2) for p, m in zip(priors, means, strict=True)]
    assert list(both) == pytest.approx(brute_force(seen, 1.0), rel=1e-9)
    assert max(abs(b - o / sum(one)) for b, o in zip(both, one, strict=True)) > 0.005


def test_the_prior_is_that_of_the_persons_own_race() -> None:
    black = MapInversion()(observation({**WHITE, "race": "black"}, 30.0)).probabilities
    asian = MapInversion()(observation({**WHITE, "race": "asian"}, 30.0)).probabilities
    assert black[0] > 0.5
    assert asian[2] > 0.5


def test_a_flat_prior_leaves_the_likelihood() -> None:
    flat = dict.fromkeys(VKORC1, 1 / 3)
    prior = dataclasses.replace(TABLE.prior, table={**TABLE.prior.table, "vkorc1": {"white": flat}})
    seen = observation(WHITE, 25.0)
    seen = dataclasses.replace(seen, public=dataclasses.replace(seen.public, prior=prior))
    weights = [0.36954, 0.86278, 0.95981]
    assert list(MapInversion()(seen).probabilities) == pytest.approx([w / sum(weights) for w in weights], abs=1e-4)


def test_a_value_that_the_prior_excludes_gets_no_probability() -> None:
    certain = {"white": {"G/G": 0.0, "A/G": 0.5, "A/A": 0.5}}
    prior = dataclasses.replace(TABLE.prior, table={**TABLE.prior.table, "vkorc1": certain})
    seen = observation(WHITE, 41.1)
    guess = MapInversion()(dataclasses.replace(seen, public=dataclasses.replace(seen.public, prior=prior)))
    assert guess.probabilities[0] == 0
    assert guess.evaluations == 2


@pytest.mark.parametrize("residual", [0.0, 1e-9])
@pytest.mark.parametrize("genotype", VKORC1)
def test_the_bare_prediction_gives_the_genotype_away(residual: float, genotype: str) -> None:
    dose = IWPC().predict({**WHITE, "vkorc1": genotype}) ** 2
    known = {name: WHITE[name] for name in DEMOGRAPHICS}
    guess = MapInversion()(observation(known, dose, residual=residual))
    assert guess.probabilities[VKORC1.index(genotype)] == pytest.approx(1.0)


def test_an_output_that_nothing_explains_is_a_failure_scored_as_knowing_nothing() -> None:
    seen = observation(WHITE, 500.0, residual=0.0)
    with pytest.raises(Failed, match="no value"):
        MapInversion()(seen)
    assert seen.nothing("why").probabilities == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert seen.nothing("why").notes == ("why",)


def test_an_output_far_from_every_prediction_still_has_an_answer() -> None:
    guess = MapInversion()(observation(WHITE, 1e6, residual=0.01))
    assert guess.probabilities == (1.0, 0.0, 0.0)


def test_one_answer_does_not_depend_on_the_others_nor_on_the_random_stream() -> None:
    doses = [5.0, 20.0, 35.0, 60.0]
    together = MapInversion().attack_all([observation(WHITE, dose) for dose in doses])
    backwards = MapInversion().attack_all([observation(WHITE, dose, seed=7) for dose in reversed(doses)])
    alone = [MapInversion()(observation(WHITE, dose)) for dose in doses]
    assert together == alone == backwards[::-1]
