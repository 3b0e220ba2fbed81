"""Model `iwpc`: every coefficient and sign, the rounding of age, and the density of what is released."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import registry
from invbench.models.iwpc import IWPC

REFERENCE = {
    "age": 65,
    "height": 170,
    "weight": 70,
    "vkorc1": "G/G",
    "cyp2c9": "*1/*1",
    "race": "white",
    "inducer": False,
    "amiodarone": False,
}


def test_the_published_example_is_41_10_mg_a_week() -> None:
    root = 5.6044 - 0.2614 * 6 + 0.0087 * 170 + 0.0128 * 70
    assert IWPC().predict(REFERENCE) == pytest.approx(root, abs=1e-12)
    assert IWPC().predict(REFERENCE) ** 2 == pytest.approx(41.10, abs=0.005)


@pytest.mark.parametrize(
    ("name", "value", "effect"),
    [
        ("age", 75, -0.2614),
        ("height", 180, 0.087),
        ("weight", 80, 0.128),
        ("vkorc1", "A/G", -0.8677),
        ("vkorc1", "A/A", -1.6974),
        ("vkorc1", "unknown", -0.4854),
        ("cyp2c9", "*1/*2", -0.5211),
        ("cyp2c9", "*1/*3", -0.9357),
        ("cyp2c9", "*2/*2", -1.0616),
        ("cyp2c9", "*2/*3", -1.9206),
        ("cyp2c9", "*3/*3", -2.3312),
        ("cyp2c9", "unknown", -0.2188),
        ("race", "asian", -0.1092),
        ("race", "black", -0.2760),
        ("race", "missing or mixed", -0.1032),
        ("inducer", True, 1.1816),
        ("amiodarone", True, -0.5503),
    ],
)
def test_each_coefficient_is_the_published_one(name: str, value: object, effect: float) -> None:
    change = IWPC().predict({**REFERENCE, name: value}) - IWPC().predict(REFERENCE)
    assert change == pytest.approx(effect, abs=1e-12)


def test_effects_add_up() -> None:
    person = {
        "age": 82,
        "height": 150,
        "weight": 45,
        "vkorc1": "A/A",
        "cyp2c9": "*3/*3",
        "race": "asian",
        "inducer": True,
        "amiodarone": True,
    }
    assert IWPC().predict(person) == pytest.approx(1.8877, abs=1e-9)  # added by hand


def test_age_counts_by_whole_decades_up_to_the_ninth() -> None:
    by_age = {age: IWPC().predict({**REFERENCE, "age": age}) for age in (60, 65, 69, 70, 90, 99, 104)}
    assert by_age[60] == by_age[65] == by_age[69]
    assert by_age[69] - by_age[70] == pytest.approx(0.2614)
    assert by_age[90] == by_age[99] == by_age[104]


def test_an_unpublished_value_is_refused_with_the_published_ones() -> None:
    with pytest.raises(ValueError, match=r"vkorc1 must be one of G/G, A/G, A/A, unknown, not 'C/T'"):
        IWPC().predict({**REFERENCE, "vkorc1": "C/T"})


def test_a_negative_residual_is_refused() -> None:
    with pytest.raises(registry.BadSettings, match="at least 0"):
        registry.load("model", "iwpc").settings({"residual": -0.1})


def test_without_a_residual_the_bare_prediction_is_released() -> None:
    dose = IWPC(residual=0.0).output(REFERENCE, np.random.default_rng(0))
    assert dose == pytest.approx(41.1009, abs=1e-3)
    assert IWPC(residual=0.0).log_likelihood(dose, REFERENCE) == 0.0
    assert IWPC(residual=0.0).log_likelihood(dose * 1.001, REFERENCE) == -math.inf


def test_the_default_residual_is_one_root_milligram_a_week() -> None:
    rng = np.random.default_rng(1)
    doses = np.array([IWPC().output(REFERENCE, rng) for _ in range(4000)])
    error = doses.std() / math.sqrt(len(doses))
    assert abs(doses.mean() - (IWPC().predict(REFERENCE) ** 2 + 1.0)) < 4 * error  # E (m + e)^2 = m^2 + 1


@given(residual=st.floats(0.1, 4.0), weight=st.integers(35, 150), vkorc1=st.sampled_from(["G/G", "A/G", "A/A"]))
@settings(deadline=None, max_examples=25)
def test_the_density_of_the_root_integrates_to_one(residual: float, weight: int, vkorc1: str) -> None:
    person = {**REFERENCE, "age": 95, "cyp2c9": "*3/*3", "weight": weight, "vkorc1": vkorc1}  # small: both roots count
    model = IWPC(residual=residual)
    roots = np.linspace(0, 8 + 8 * residual, 4001)
    density = np.exp([model.log_likelihood(root**2, person) for root in roots])
    assert np.trapezoid(density, roots) == pytest.approx(1.0, abs=1e-5)


def test_the_density_is_that_of_the_released_doses() -> None:
    person = {**REFERENCE, "age": 85, "vkorc1": "A/A", "cyp2c9": "*3/*3"}
    model, rng = IWPC(residual=2.0), np.random.default_rng(2)
    roots = np.sqrt([model.output(person, rng) for _ in range(4000)])
    grid = np.linspace(0, 12, 2401)
    density = np.exp([model.log_likelihood(root**2, person) for root in grid])
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    for quantile in (0.5, 1.0, 2.0, 4.0):
        expected = np.interp(quantile, grid, cumulative)
        assert abs((roots < quantile).mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / len(roots))
