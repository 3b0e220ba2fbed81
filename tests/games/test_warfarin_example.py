"""`examples/warfarin.yaml`: what it says of the paper's question holds on fewer people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from invbench import matrix
from invbench.core.attack import Attack
from invbench.games import Scores, game_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "warfarin.yaml"


def mean(scores: Scores, metric: str) -> float:
    return float(np.mean([value for target in scores[metric] for value in target]))


def test_race_alone_beats_the_marginal_attack_and_the_conditional_one_beats_race() -> None:
    found = {}
    for cell in matrix.load(EXAMPLE, ["targets=700"]).cells:
        deal = game_of(cell).deal(cell, torch.device("cpu"))
        scores = deal.score(cell.attack.build(Attack).attack_all(deal.observations))
        found[cell.dataset.short, cell.attack.short] = scores, deal.controls()
        assert 7.5 < mean(scores, "error") < 9.5  # mg/week
    assert len(found) == 6
    conditional, controls = found["warfarin(sensitive=vkorc1)", "map-inversion"]
    marginal, _ = found["warfarin(sensitive=vkorc1)", "map-inversion(prior=marginal)"]
    race = mean(controls["imputation"], "accuracy")
    assert mean(controls["mode"], "accuracy") + 0.1 < mean(marginal, "accuracy") < race - 0.02
    assert mean(conditional, "accuracy") > race + 0.03
    ranked, controls = found["warfarin(sensitive=cyp2c9)", "map-inversion"]
    assert mean(ranked, "macro_auc") > mean(controls["imputation"], "macro_auc") + 0.08
