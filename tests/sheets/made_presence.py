"""A made-up game of somebody else: a sheet with an AUC, two true positive rates and a cost; records of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from invbench.store import Record

SHEET = '''
"""Game `presence`: who was in the training set."""

from invbench.numbers.columns import Column
from invbench.numbers.ranking import Auc, TruePositiveRate
from invbench.numbers.sheet import Layout, Noun, Sheet

SHEET = Sheet(
    columns=(
        Column("auc", "area under the ROC curve", title="AUC", statistic=Auc()),
        Column("tpr_at_fpr_0.1", "members found at a tenth of false alarms", statistic=TruePositiveRate(at=0.1)),
        Column("tpr_at_fpr_0.001", "members found at a thousandth", statistic=TruePositiveRate(at=0.001)),
        Column("queries", "questions asked", better="lower", decimals=0, tolerance=5, role="cost"),
    ),
    item=Noun("candidate", "candidates"),
    layout=Layout(metrics=("auc", "tpr_at_fpr_0.1", "queries")),
    controls=("loss",),
    legend=("Half of the candidates are members.",),
)
'''
CANDIDATES = 80
NAMES: dict[str, Any] = {
    **{"game": "presence", "dataset": "digits", "attack": "lira", "model": "lenet", "batch_size": None},
    **{"defense": None, "protocol": None, "seed": 0},
}


def membership_record(strength: float = 2.0, queries: float = 100.0, **names: Any) -> Record:
    """A cell whose members score `strength` standard deviations above the others; the control knows nothing."""
    named = NAMES | names
    drawn = np.random.default_rng(0)
    member = (np.arange(CANDIDATES) % 2).astype(float)
    score, guess = drawn.normal(0, 1, CANDIDATES) + strength * member, drawn.normal(0, 1, CANDIDATES)
    items = [member.tolist()]
    return Record(
        id=hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16],
        status="ok",
        names=named,
        settings={"game": "presence", "attack": {"name": named["attack"]}, "seed": named["seed"]},
        targets=1,
        images=CANDIDATES,
        scores={"score": [score.tolist()], "member": items, "queries": [[queries]]},
        controls={"loss": {"score": [guess.tolist()], "member": items}},
        dataset={"name": "digits", "hash": "ab" * 32, "path": None},
    )
