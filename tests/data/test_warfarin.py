"""Data set `warfarin`: the cohort follows the published frequencies, and those agree with the real cohort."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invbench import registry
from invbench.data.warfarin import CYP2C9, DEMOGRAPHICS, VKORC1, Warfarin, hardy_weinberg

PEOPLE = Warfarin(sensitive="vkorc1").load().people
PRIOR = Warfarin(sensitive="vkorc1").load().prior
RACES = ("white", "asian", "black")


def within(share: float, expected: float, count: int, deviations: float = 4.0) -> bool:
    """Whether a share of `count` draws is that close to its expectation."""
    return abs(share - expected) <= deviations * math.sqrt(expected * (1 - expected) / count) + 1e-12


def test_five_thousand_people_the_same_on_every_load() -> None:
    assert len(PEOPLE) == 5000
    assert Warfarin(sensitive="cyp2c9", background="demographics").load().people == PEOPLE


def test_the_cohort_is_pinned_because_cell_ids_depend_on_it() -> None:
    content = "4af9e997d2070009ee3ecc6033fc0d496a82f1c8a9dd760575e52c701f7f6713"
    assert PEOPLE[0] == {
        "race": "asian",
        "age": 72,
        "height": 149,
        "weight": 49,
        "vkorc1": "A/A",
        "cyp2c9": "*1/*1",
        "inducer": False,
        "amiodarone": False,
    }
    assert Warfarin(sensitive="vkorc1").load().content == content


def test_content_changes_with_what_is_sensitive_and_what_is_granted() -> None:
    cohorts = [
        Warfarin(sensitive=s, background=b).load() for s in ("vkorc1", "cyp2c9") for b in ("all", "demographics")
    ]
    assert len({cohort.content for cohort in cohorts}) == 4


def test_nothing_is_unknown() -> None:
    for person in PEOPLE:
        assert set(person) == {*DEMOGRAPHICS, "vkorc1", "cyp2c9", "inducer", "amiodarone"}
        assert person["race"] in RACES
        assert person["vkorc1"] in VKORC1
        assert person["cyp2c9"] in CYP2C9
        assert 10 <= person["age"] <= 99
        assert 120 <= person["height"] <= 215
        assert 25 <= person["weight"] <= 300
        assert isinstance(person["inducer"], bool)
        assert isinstance(person["amiodarone"], bool)


@pytest.mark.parametrize("sensitive", ["vkorc1", "cyp2c9"])
def test_the_background_never_holds_the_sensitive_attribute(sensitive: Any) -> None:
    everything = Warfarin(sensitive=sensitive).load()
    assert set(everything.background) == set(PEOPLE[0]) - {sensitive}
    assert Warfarin(sensitive=sensitive, background="demographics").load().background == DEMOGRAPHICS
    assert everything.values == (VKORC1 if sensitive == "vkorc1" else CYP2C9)


def test_a_misspelt_genotype_is_refused_with_the_nearest() -> None:
    with pytest.raises(registry.BadSettings) as refused:
        registry.load("dataset", "warfarin").settings({"sensitive": "vkorc"})
    assert refused.value.problems[0].nearest == "vkorc1"
    with pytest.raises(registry.BadSettings, match="needs 'sensitive'"):
        registry.load("dataset", "warfarin").settings({})


def test_hardy_weinberg_by_hand() -> None:
    found = hardy_weinberg(0.2, 0.1)
    by_hand = {"*1/*1": 0.49, "*1/*2": 0.28, "*1/*3": 0.14, "*2/*2": 0.04, "*2/*3": 0.04, "*3/*3": 0.01}
    assert found == pytest.approx(by_hand)


def test_every_prior_sums_to_one() -> None:
    assert math.fsum(PRIOR.shares.values()) == pytest.approx(1)
    for by_race in PRIOR.table.values():
        for probabilities in by_race.values():
            assert math.fsum(probabilities.values()) == pytest.approx(1)
    assert math.fsum(PRIOR.marginal("cyp2c9").values()) == pytest.approx(1)


def test_a_marginal_weighs_the_races_by_their_shares() -> None:
    by_hand = 0.588 * 0.37 + 0.321 * 0.01 + 0.091 * 0.78
    assert PRIOR.marginal("vkorc1")["G/G"] == pytest.approx(by_hand)


def test_the_cohort_follows_its_prior() -> None:
    for race, share in PRIOR.shares.items():
        group = [p for p in PEOPLE if p["race"] == race]
        assert within(len(group) / len(PEOPLE), share, len(PEOPLE))
        for name, by_race in PRIOR.table.items():
            counts = Counter(p[name] for p in group)
            for value, probability in by_race[race].items():
                assert within(counts[value] / len(group), probability, len(group))


def test_genotypes_and_medicines_are_independent_within_a_race() -> None:
    for race in RACES:
        group = [p for p in PEOPLE if p["race"] == race]
        drawn = [np.array([list(PRIOR.table[name][race]).index(p[name]) for p in group]) for name in PRIOR.table]
        sizes = [np.array([p[name] for p in group]) for name in ("age", "height", "weight")]
        for i, first in enumerate(drawn):
            for other in [*drawn[i + 1 :], *sizes]:
                assert abs(np.corrcoef(first, other)[0, 1]) < 4.5 / math.sqrt(len(group))


@pytest.mark.parametrize(("race", "two", "three"), [("white", 0.256, 0.126), ("black", 0.049, 0.023)])
def test_carriers_of_cyp2c9_variants_are_those_of_limdi_2015(race: str, two: float, three: float) -> None:
    genotypes = PRIOR.table["cyp2c9"][race]
    assert sum(p for g, p in genotypes.items() if "*2" in g) == pytest.approx(two, abs=0.002)
    assert sum(p for g, p in genotypes.items() if "*3" in g) == pytest.approx(three, abs=0.002)


@pytest.mark.parametrize(("race", "carriers"), [("white", 0.602), ("black", 0.185)])
def test_vkorc1_carriers_agree_with_a_second_source(race: str, carriers: float) -> None:
    assert 1 - PRIOR.table["vkorc1"][race]["G/G"] == pytest.approx(carriers, abs=0.04)  # Limdi 2015, Table 1


def test_body_size_by_race_is_the_consortiums() -> None:
    for race, height, kilograms in [("white", 171.4, 84.8), ("asian", 160.9, 61.2), ("black", 170.9, 92.9)]:
        group = [p for p in PEOPLE if p["race"] == race]
        assert np.mean([p["height"] for p in group]) == pytest.approx(height, abs=1.5)
        assert np.mean([p["weight"] for p in group]) == pytest.approx(kilograms, abs=3.5)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> list[dict[str, Any]]:
    """The consortium's cohort with our names; its numbers are whitened."""
    vkorc1 = dict(zip(("CC", "CT", "TT"), VKORC1, strict=True))  # the other strand, 1173C>T
    cyp2c9 = {genotype.replace("*", "").replace("/", ""): genotype for genotype in CYP2C9}
    with (shared_data / "iwpc-warfarin-whitened.csv").open() as file:
        rows = list(csv.DictReader(file))
    decades = {age: decade for decade, age in enumerate(sorted({float(r["age"]) for r in rows}), start=1)}
    return [
        {
            "race": r["race"],
            "decade": decades[float(r["age"])],
            "height": float(r["height"]),
            "weight": float(r["weight"]),
            "vkorc1": vkorc1[r["vkorc1"]],
            "cyp2c9": cyp2c9[r["cyp2c9"]],
            "inducer": r["decr"] == "1",
            "amiodarone": r["amiodarone"] == "1",
        }
        for r in rows
    ]


@pytest.mark.parametrize(
    ("name", "bound"), [("vkorc1", 0.07), ("cyp2c9", 0.03), ("inducer", 0.005), ("amiodarone", 0.005)]
)
def test_published_frequencies_by_race_agree_with_the_real_cohort(
    real: list[dict[str, Any]], name: str, bound: float
) -> None:
    for race in RACES:
        counts = Counter(p[name] for p in real if p["race"] == race)
        for value, probability in PRIOR.table[name][race].items():
            assert probability == pytest.approx(counts[value] / counts.total(), abs=bound), (race, value)


def test_races_ages_and_sizes_agree_with_the_real_cohort(real: list[dict[str, Any]]) -> None:
    for race in RACES:
        ours = [p for p in PEOPLE if p["race"] == race]
        theirs = [p for p in real if p["race"] == race]
        assert len(ours) / len(PEOPLE) == pytest.approx(len(theirs) / len(real), abs=0.03)
        decades, real_decades = Counter(p["age"] // 10 for p in ours), Counter(p["decade"] for p in theirs)
        for decade in range(1, 10):
            assert decades[decade] / len(ours) == pytest.approx(real_decades[decade] / len(theirs), abs=0.06)
        for size in ("height", "weight"):  # whitened: in units of the whole cohort's deviation
            assert standing(ours, PEOPLE, size) == pytest.approx(standing(theirs, real, size), abs=0.2)


def standing(group: Any, everybody: Any, size: str) -> float:
    """How many standard deviations the group's mean lies from everybody's."""
    values = np.array([p[size] for p in everybody], dtype=float)
    return float((np.mean([p[size] for p in group]) - values.mean()) / values.std())
