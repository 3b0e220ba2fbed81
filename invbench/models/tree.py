"""A decision tree of a table (Breiman et al. 1984, by scikit-learn), which may be released with its leaves' counts.

A category that no training row has is none of those that a node asks for, and a missing number counts as the training
rows' mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from invbench.core.regression import Regression
from invbench.models import Rows, TableLearner, TableModel, as_it_is
from invbench.models._tables import Confusion, Feature, Gaussian, features_of, matrix_of
from invbench.registry import model, parameter


@model(data="table")
@dataclass(frozen=True, kw_only=True)
class Tree(TableLearner):
    """A tree of binary splits: of a number by squared error, of labels by Gini impurity."""

    max_depth: int = parameter(6, at_least=1, at_most=30, help="questions to a leaf at most")
    leaf_rows: int = parameter(5, at_least=1, unit="rows", help="training rows at a leaf at least")
    has_leaves = True

    def fit(self, rows: Rows, defended: Callable[[Regression], Regression] = as_it_is) -> Grown:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # type: ignore[import-untyped]

        features = features_of(rows)
        x = matrix_of(features, rows.people)
        labels = rows.categories.get(rows.target)
        truth = [person[rows.target] for person in rows.people]
        kind = DecisionTreeRegressor if labels is None else DecisionTreeClassifier
        # Of equally good splits scikit-learn draws one: the same on every run.
        fitted = kind(max_depth=self.max_depth, min_samples_leaf=self.leaf_rows, random_state=0).fit(x, truth)
        predicted = fitted.predict(x).tolist()
        if labels is None:
            errors: Gaussian | Confusion = Gaussian(float(np.sqrt(np.mean((np.array(predicted) - truth) ** 2))))
        else:
            errors = Confusion.counted(labels, truth, predicted)
        return Grown(features, _nodes(fitted, x, truth), labels, errors)


@dataclass(frozen=True)
class Node:
    """A question, to `left` where feature number `feature` is at most `threshold`; at a leaf `left` is -1.

    `rows`: training rows that came here. `counts`: of a classifier, how many of them have each label; `mean`: of a
    regression, their mean target.
    """

    feature: int
    threshold: float
    left: int
    right: int
    rows: int
    counts: Mapping[str, int]
    mean: float


@dataclass(frozen=True, eq=False)
class Grown(TableModel):
    """A trained tree; its first node is the root."""

    features: tuple[Feature, ...]
    nodes: tuple[Node, ...]
    labels: tuple[str, ...] | None
    errors: Gaussian | Confusion

    def predict(self, attributes: Mapping[str, Any]) -> Any:
        """The leaf's mean, or its commonest label (of several the first)."""
        leaf = self._leaf(attributes)
        return leaf.mean if self.labels is None else max(self.labels, key=lambda label: leaf.counts[label])

    def log_likelihood(self, output: Any, attributes: Mapping[str, Any]) -> float:
        return self.errors.log(output, self.predict(attributes))

    def error(self, output: Any, attributes: Mapping[str, Any]) -> float:
        return self.errors.off(output, self.predict(attributes))

    def log_counts(self, output: Any, attributes: Mapping[str, Any], sensitive: str) -> float:
        """Log of the share of rows that end at this leaf with this output, of those that the sensitive value admits.

        Fredrikson et al. 2015, section 4, white box with counts: with p_i the share of rows at path i and phi_i(v)
        whether path i admits the value v, the likelihood of what is known is sum over i in S of p_i phi_i(v) / sum over
        all j of p_j phi_j(v), S being the paths that agree with what is known and with the output. (The paper is cited
        from memory: it could not be opened here.) Of a classifier the rows at a leaf are those with that label, and
        one more, shared evenly among labels; of a regression all, times the density of the output.
        """
        leaf = self._leaf(attributes)
        admitted = self._admitted(0, sensitive, attributes[sensitive])
        if self.labels is None:
            return math.log(leaf.rows / admitted) + self.errors.log(output, leaf.mean)
        return math.log((leaf.counts[output] + 1 / len(self.labels)) / (admitted + 1))

    def _leaf(self, attributes: Mapping[str, Any]) -> Node:
        node = self.nodes[0]
        while node.left >= 0:
            node = self.nodes[self._next(node, attributes)]
        return node

    def _next(self, node: Node, attributes: Mapping[str, Any]) -> int:
        value = np.float32(self.features[node.feature].of(attributes))  # as scikit-learn compares
        return node.left if value <= node.threshold else node.right

    def _admitted(self, number: int, sensitive: str, value: Any) -> int:
        """Training rows at the leaves below a node whose path asks nothing that this value answers otherwise."""
        node = self.nodes[number]
        if node.left < 0:
            return node.rows
        if self.features[node.feature].name == sensitive:
            return self._admitted(self._next(node, {sensitive: value}), sensitive, value)
        return self._admitted(node.left, sensitive, value) + self._admitted(node.right, sensitive, value)


def _nodes(fitted: Any, x: Any, truth: list[Any]) -> tuple[Node, ...]:
    """scikit-learn's tree as nodes; counts are taken of the rows themselves."""
    tree = fitted.tree_
    paths = fitted.decision_path(x).tocsc()
    found = []
    for k in range(tree.node_count):
        here = [truth[row] for row in paths.indices[paths.indptr[k] : paths.indptr[k + 1]]]
        counts = {label: here.count(label) for label in getattr(fitted, "classes_", ())}
        leaf = tree.children_left[k] < 0
        mean = float(np.mean(here)) if not counts else math.nan
        found.append(
            Node(
                feature=int(tree.feature[k]),
                threshold=float(tree.threshold[k]),
                left=-1 if leaf else int(tree.children_left[k]),
                right=-1 if leaf else int(tree.children_right[k]),
                rows=len(here),
                counts=counts,
                mean=mean,
            )
        )
    return tuple(found)
