"""What can be said of candidates for membership without asking a model: by their pixels alone."""

from __future__ import annotations

import numpy as np

from invbench.scoring.controls import Array

_INVERSE_PENALTY = 1e-3  # of standardised pixels, of which there are more than pictures


def pixels_alone(candidates: Array, reference: Array) -> Array:
    """How little each candidate looks like pictures that are surely no members, `(N,)`: a logistic regression's logit.

    Candidates `(N, C, H, W)` are told from the reference `(M, C, H, W)` by their pixels. Members and other candidates
    are drawn alike, so this is chance; where it is not, an attack's success need not be the model's doing (Das et al.
    2024, arXiv 2406.16201).
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    rows = np.concatenate([candidates, reference]).reshape(len(candidates) + len(reference), -1).astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6)
    is_candidate = np.arange(len(rows)) < len(candidates)
    told = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=1000).fit(rows, is_candidate)
    logits: Array = told.decision_function(rows[: len(candidates)])
    return logits
