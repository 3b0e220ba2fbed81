"""Which of several searches that followed each other a target is answered from."""

from __future__ import annotations

from typing import Any, cast

import torch

from invbench.matching.answers import Best, Found, best_of
from invbench.matching.outcome import Outcome, Stop


def ended(objectives: list[float], name: str, diverged: int | None = None) -> Found:
    stopped = torch.tensor([Stop.DIVERGED if k == diverged else Stop.AT_REST for k in range(2)], dtype=torch.uint8)
    lane = Outcome(torch.zeros(2, 3), torch.tensor(objectives), torch.tensor([5, 7]), stopped)
    return Found(cast(Any, None), Best(lane, ([Stop.AT_REST], [Stop.AT_REST])), {"search": name})


def test_each_target_is_answered_from_its_nearest_end_and_its_evaluations_are_those_of_all() -> None:
    ends = [ended([0.1, 0.5], "code"), ended([0.2, 0.3], "layer 1"), ended([0.1, 0.4], "layer 2")]
    found = [best_of(ends, target) for target in range(2)]
    assert [one.facts["search"] for one in found] == ["code", "layer 1"], "of equals the earlier"
    assert [int(found[target].best.lane.evaluations[target]) for target in range(2)] == [15, 21]
    assert [len(found[target].best.stopped[target]) for target in range(2)] == [3, 3]
    assert ends[0].best.lane.evaluations.tolist() == [5, 7], "nothing was changed in place"


def test_an_end_that_diverged_loses_to_one_that_did_not() -> None:
    ends = [ended([0.9, 0.9], "code"), ended([0.1, 0.1], "weights", diverged=0)]
    assert [best_of(ends, target).facts["search"] for target in range(2)] == ["code", "weights"]
