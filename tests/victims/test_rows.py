"""Rows of a table as networks take them: encoding, classes of the target, who trains and who is attacked."""

from __future__ import annotations

from pathlib import Path

import made_tables
import numpy as np
import pytest

from invbench.data import Dataset
from invbench.data._table import Table
from invbench.data.warfarin import CYP2C9, VKORC1, Warfarin
from invbench.models.iwpc import IWPC
from invbench.victims.rows import DOSE, RowPool, pool_of_table, undosed


def table(file: Path, rows: list[dict[str, object]] | None = None, target: str = "dose") -> Table:
    made_tables.write(file, made_tables.people(80) if rows is None else rows)
    loaded = made_tables.part("dataset", "table", path=file, target=target, sensitive="gene").build(Dataset).load()
    assert isinstance(loaded, Table)
    return loaded


def of(pool: RowPool, name: str) -> np.ndarray:
    """Columns of an attribute, `(N, K)`."""
    places = [k for k, feature in enumerate(pool.columns.features) if feature.name == name]
    return pool.images[:, places, 0, 0]


def test_a_row_holds_every_attribute_but_the_target_and_categories_are_one_hot(tmp_path: Path) -> None:
    pool = pool_of_table(table(tmp_path / "t.csv"))
    assert pool.images.shape == (80, 2 + 1 + 2 + 3, 1, 1)
    assert {feature.name for feature in pool.columns.features} == {"race", "age", "smoker", "gene"}
    people = pool.table.people
    for name in ("race", "gene"):
        held = of(pool, name).argmax(axis=1)
        assert [pool.table.categories[name][k] for k in held] == [person[name] for person in people]
        assert (of(pool, name).sum(axis=1) == 1).all()
    ages = np.array([person["age"] for person in people])
    np.testing.assert_allclose(of(pool, "age")[:, 0], (ages - ages.min()) / np.ptp(ages), rtol=1e-6)


def test_a_missing_number_counts_as_the_mean(tmp_path: Path) -> None:
    rows = made_tables.people(40)
    ages = [row["age"] for row in rows[1:]]
    pool = pool_of_table(table(tmp_path / "t.csv", [{**rows[0], "age": ""}, *rows[1:]]))
    assert of(pool, "age")[0, 0] == pytest.approx((np.mean(ages) - min(ages)) / np.ptp(ages), rel=1e-6)


def test_a_third_of_the_training_rows_has_each_label_and_a_category_keeps_its_own(tmp_path: Path) -> None:
    pool = pool_of_table(table(tmp_path / "t.csv"))
    assert pool.classes == 3
    counts = np.bincount(pool.labels[pool.train], minlength=3)
    assert counts.min() >= counts.max() - 1
    doses = np.array([person["dose"] for person in pool.table.people])
    assert all(doses[pool.labels == low].max() < doses[pool.labels == low + 1].min() for low in (0, 1))
    named = pool_of_table(table(tmp_path / "u.csv", target="race"))
    assert [named.table.categories["race"][label] for label in named.labels] == [
        person["race"] for person in named.table.people
    ]


def test_half_of_the_rows_train_and_a_quarter_is_attacked(tmp_path: Path) -> None:
    pool = pool_of_table(table(tmp_path / "t.csv"))
    assert (len(pool.train), len(pool.targets)) == (40, 20)
    assert not set(pool.train) & set(pool.targets)
    inside = pool.images[pool.train][:, [k for k, f in enumerate(pool.columns.features) if f.value is None], 0, 0]
    number = pool.mean[[f.value is None for f in pool.columns.features].index(True)]
    assert inside[:, 0].mean() == pytest.approx(number, rel=1e-5)


def test_the_cohort_has_doses_by_the_published_formula_whatever_is_sensitive() -> None:
    one, other = (pool_of_table(Warfarin(sensitive=name).load()) for name in ("vkorc1", "cyp2c9"))
    people = Warfarin(sensitive="vkorc1").load().people
    doses = np.array([person[DOSE] for person in one.table.people])
    assert [person[DOSE] for person in other.table.people] == doses.tolist()
    off = np.sqrt(doses) - [IWPC().predict(person) for person in people]
    assert abs(off.mean()) < 0.05
    assert off.std() == pytest.approx(1.0, abs=0.05)
    assert one.table.categories["vkorc1"] == VKORC1
    assert other.table.categories["cyp2c9"] == CYP2C9
    assert one.content == Warfarin(sensitive="vkorc1").load().content
    assert np.array_equal(one.labels, other.labels)


def test_people_without_a_target_that_nobody_doses_are_refused() -> None:
    nobody = Table(({"gene": "CC"},), "gene", ("CC", "TT"), (), None)
    assert "holds no column" in str(undosed(nobody))
    assert undosed(Warfarin(sensitive="vkorc1").load()) is None
