"""What a person's row may be, with the label that goes with it, and the answer that follows from a score of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.observation import AttributeGuess, Labelled, UpdateAttributeObservation

IMPOSSIBLE = -1e30
"""Log odds of a label that none of the attacker's own rows has."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows and labels that are tried, N pairs; of each the number of its `value` and its `prior` probability `(N,)`."""

    rows: Labelled
    value: Tensor
    prior: Tensor


def asked_of(seen: UpdateAttributeObservation) -> Asked:
    """Every candidate with the person's label, or with every label in turn where labels are hidden."""
    if seen.labels is not None:
        labels = seen.labels[:1].expand(len(seen.candidates))
        return Asked(Labelled(seen.candidates, labels), seen.value, seen.prior)
    classes, count = seen.public.classes, len(seen.candidates)
    labels = torch.arange(classes, device=seen.device).repeat_interleave(count)
    rows = Labelled(seen.candidates.repeat(classes, 1, 1, 1), labels)
    return Asked(rows, seen.value.repeat(classes), seen.prior.repeat(classes))


@dataclass(frozen=True, eq=False)
class LabelsOfRows:
    """Multinomial logistic regression of the attacker's own M rows: log odds `weights` `(classes, D + 1)`, bias last.

    One row more, shared evenly among the classes, so that no label is impossible.
    """

    weights: Tensor
    rows: int

    @classmethod
    def of(cls, seen: UpdateAttributeObservation) -> LabelsOfRows:
        """From the rows that the protocol gives the attacker."""
        own, classes = seen.public.reference, seen.public.classes
        assert own is not None
        inputs, labels = own.images.flatten(1).double().cpu(), own.labels.cpu()
        there = torch.bincount(labels, minlength=classes) > 0
        weights = torch.zeros(classes, inputs.shape[1] + 1, dtype=torch.float64)
        weights[:, -1] = IMPOSSIBLE
        weights[there] = _fitted(inputs, labels) if int(there.sum()) > 1 else 0.0
        return cls(weights.to(seen.device), len(labels))

    def logs(self, rows: Labelled) -> Tensor:
        """log P(label | row) of each pair `(N,)`, float64."""
        inputs = rows.images.flatten(1).to(self.weights)
        chances = (inputs @ self.weights[:, :-1].T + self.weights[:, -1]).softmax(dim=1)
        own = chances.gather(1, rows.labels[:, None])[:, 0]
        return ((self.rows * own + 1 / len(self.weights)) / (self.rows + 1)).log()


def _fitted(inputs: Tensor, labels: Tensor) -> Tensor:
    """Weights and bias of each class that is there, `(classes there, D + 1)`."""
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]  # late: it takes a while to load
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(max_iter=1000).fit(inputs.numpy(), labels.numpy())
    both = torch.cat([torch.from_numpy(found.coef_), torch.from_numpy(found.intercept_)[:, None]], dim=1).double()
    return torch.cat([torch.zeros_like(both), both]) if len(both) == 1 else both  # of two classes it has one row


def best_of_each(asked: Asked, scores: Tensor, values: int) -> Tensor:
    """The largest score of each value's rows `(values,)`."""
    least = torch.full((values,), -torch.inf, dtype=scores.dtype, device=scores.device)
    return least.scatter_reduce(0, asked.value, scores, "amax")


def posterior(asked: Asked, log_likelihoods: Tensor, values: int) -> AttributeGuess:
    """Probabilities of the values: likelihood times prior, summed over each value's rows."""
    shares = (log_likelihoods + asked.prior.log()).softmax(dim=0)
    found = torch.zeros(values, dtype=shares.dtype, device=shares.device).index_add(0, asked.value, shares)
    return AttributeGuess(probabilities=tuple(found.tolist()), evaluations=len(asked.value))
