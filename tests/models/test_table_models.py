"""Models `ridge` and `tree`: scikit-learn's answers, their stated error, and what new values count as."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import GENES, people, write
from sklearn.linear_model import Ridge as Theirs  # type: ignore[import-untyped]
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # type: ignore[import-untyped]

from invbench.data.table import TableFile
from invbench.models import Rows
from invbench.models.ridge import Ridge
from invbench.models.tree import Tree


def rows_of(folder: Path, target: str = "dose", made: list[dict[str, Any]] | None = None) -> Rows:
    sensitive = "race" if target == "gene" else "gene"
    file = write(folder / "people.csv", made or people(300))
    table = TableFile(path=file, target=target, sensitive=sensitive).load()
    features = tuple(name for name in table.people[0] if name != target)
    return Rows(table.people, target, features, table.categories)


def design(rows: Rows) -> np.ndarray:
    """Scaled as `ridge` scales, with its column of ones, written out."""
    ages = np.array([person["age"] for person in rows.people])
    age = (2 * ages - ages.max() - ages.min()) / (ages.max() - ages.min())
    columns = [np.ones(len(ages))]
    for name in rows.features:
        values = rows.categories.get(name)
        columns += [age] if values is None else [np.array([p[name] == v for p in rows.people], float) for v in values]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("alpha", [0.5, 50.0])
def test_ridge_predicts_what_scikit_learn_predicts(tmp_path: Path, alpha: float) -> None:
    rows = rows_of(tmp_path)
    dose = np.array([person["dose"] for person in rows.people])
    middle, half = (dose.max() + dose.min()) / 2, (dose.max() - dose.min()) / 2
    theirs = Theirs(alpha=alpha, fit_intercept=False).fit(design(rows), (dose - middle) / half)
    expected = theirs.predict(design(rows)) * half + middle
    ours = Ridge(alpha=alpha).fit(rows)
    assert [ours.predict(person) for person in rows.people] == pytest.approx(expected.tolist(), abs=1e-9)
    rmse = math.sqrt(np.mean((expected - dose) ** 2))
    person = rows.people[0]
    density = math.exp(-0.5 * ((2.0 - ours.predict(person)) / rmse) ** 2) / (rmse * math.sqrt(2 * math.pi))
    assert math.exp(ours.log_likelihood(2.0, person)) == pytest.approx(density)
    assert ours.error(2.0, person) == abs(2.0 - ours.predict(person))


@pytest.mark.parametrize("target", ["dose", "gene"])
def test_a_tree_predicts_what_scikit_learn_predicts(tmp_path: Path, target: str) -> None:
    rows = rows_of(tmp_path, target)
    kind = DecisionTreeRegressor if target == "dose" else DecisionTreeClassifier
    numbers = [person[name] for person in rows.people for name in rows.features if name not in rows.categories]
    plain = np.array(numbers).reshape(len(rows.people), -1)  # trees do not mind the scale, but columns keep their order
    columns, place = [], 0
    for name in rows.features:
        values = rows.categories.get(name)
        if values is None:
            columns.append(plain[:, place])
            place += 1
        else:
            columns += [np.array([p[name] == v for p in rows.people], float) for v in values]
    x, y = np.stack(columns, axis=1), [person[target] for person in rows.people]
    theirs = kind(max_depth=4, min_samples_leaf=5, random_state=0).fit(x, y).predict(x).tolist()
    ours = Tree(max_depth=4).fit(rows)
    found = [ours.predict(person) for person in rows.people]
    assert found == (pytest.approx(theirs) if target == "dose" else theirs)


@pytest.mark.parametrize("model", [Ridge(), Tree()])
def test_a_classifier_states_its_confusion_matrix(tmp_path: Path, model: Ridge | Tree) -> None:
    rows = rows_of(tmp_path, "gene")
    fitted = model.fit(rows)
    said = [fitted.predict(person) for person in rows.people]
    assert set(said) <= set(GENES)
    person, label = rows.people[0], fitted.predict(rows.people[0])
    for true in GENES:
        both = sum(s == label and p["gene"] == true for s, p in zip(said, rows.people, strict=True))
        share = (both + 1 / 3) / (said.count(label) + 1)
        assert math.exp(fitted.log_likelihood(true, person)) == pytest.approx(share)
        assert fitted.error(true, person) == float(true != label)


def test_a_missing_number_counts_as_the_mean_and_a_new_category_as_the_average_one(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    fitted, person = Ridge().fit(rows), dict(rows.people[0])
    mean = float(np.mean([p["age"] for p in rows.people]))
    assert fitted.predict({**person, "age": None}) == pytest.approx(fitted.predict({**person, "age": mean}))
    shares = [sum(p["race"] == race for p in rows.people) / len(rows.people) for race in ("north", "south")]
    both = [fitted.predict({**person, "race": race}) for race in ("north", "south")]
    assert fitted.predict({**person, "race": "west"}) == pytest.approx(np.dot(shares, both))
    grown = Tree().fit(rows)
    assert grown.predict({**person, "age": None}) == grown.predict({**person, "age": mean})
    assert math.isfinite(grown.predict({**person, "race": "west"}))


def test_leaf_counts_by_hand(tmp_path: Path) -> None:
    # One question, gene CC or not: 10 CC (8 ill), 20 CT and 10 TT (6 of them ill).
    made = [{"gene": "CC", "ill": "yes" if k < 8 else "no"} for k in range(10)]
    made += [{"gene": "CT" if k < 20 else "TT", "ill": "yes" if k < 6 else "no"} for k in range(30)]
    table = TableFile(path=write(tmp_path / "p.csv", made), target="ill", sensitive="gene").load()
    grown = Tree(max_depth=1).fit(Rows(table.people, "ill", ("gene",), table.categories))
    shares = {gene: math.exp(grown.log_counts("yes", {"gene": gene}, "gene")) for gene in GENES}
    # 2 labels share one more row; the leaf of CT admits TT as well.
    assert shares == pytest.approx({"CC": 8.5 / 11, "CT": 6.5 / 31, "TT": 6.5 / 31})
    assert math.exp(grown.log_likelihood("yes", {"gene": "CC"})) == pytest.approx(8.5 / 11)


def test_leaf_counts_of_a_regression_weigh_the_density_by_how_many_went_there(tmp_path: Path) -> None:
    made = [
        {"race": "north" if k < 30 else "south", "gene": "CC" if k % 3 else "TT", "dose": 0.5 + (k < 30) + 0.01 * k}
        for k in range(40)
    ]
    table = TableFile(path=write(tmp_path / "p.csv", made), target="dose", sensitive="gene").load()
    grown = Tree(max_depth=1).fit(Rows(table.people, "dose", ("race", "gene"), table.categories))
    person = {"race": "north", "gene": "CC"}
    leaf = grown.log_counts(1.6, person, "gene") - grown.log_likelihood(1.6, person)
    assert leaf == pytest.approx(math.log(30 / 40))  # no question asks for the gene: all 40 admit it


@pytest.mark.parametrize("model", [Ridge(), Tree()])
def test_rows_that_all_have_one_target_train_a_model_that_says_it(tmp_path: Path, model: Ridge | Tree) -> None:
    rows = rows_of(tmp_path)
    alike = Rows([{**person, "dose": 2.5} for person in rows.people], rows.target, rows.features, rows.categories)
    assert model.fit(alike).predict(rows.people[0]) == pytest.approx(2.5)
