"""A classifier of updates tells batches with a property from those without (Melis et al. 2019, arXiv 1805.04049)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.core import progress
from invbench.inversion.own_updates import own_updates
from invbench.observation import DIVERGED, BatchPropertyObservation, PropertyGuess, Public, Update
from invbench.registry import attack, parameter
from invbench.updates.one_model import by_weights

LONGEST = 5000
"""Entries of a fully connected layer that are features one by one; of a longer one each unit's largest is."""


@attack(game="batch-property")
@dataclass(frozen=True, kw_only=True)
class PropertyClassifier(Attack[Public, BatchPropertyObservation, PropertyGuess]):
    """Algorithm 3: updates of batches of the attacker's own rows, with the property and without, teach a classifier.

    Features as in the authors' code: magnitudes of weights' entries (of a long layer the largest of each unit, of a
    convolution the largest of each kernel), no biases, the whole of length 1. The score is the classifier's probability
    that the batch has the property. The authors' forest has 100 trees with leaves of at least 5 batches; they report
    logistic regression, too. Batches of their own are made at the global weights of the round, behind the declared
    defences; their several rounds are one here.
    """

    classifier: Literal["forest", "logistic"] = parameter("forest", help="what is taught: random forest, or regression")
    batches: int = parameter(200, at_least=10, unit="batches", help="with the property, and as many without")
    trees: int = parameter(100, at_least=1, unit="trees", help="of a random forest")

    def attack_all(self, observations: Sequence[BatchPropertyObservation]) -> list[PropertyGuess]:
        """A classifier is taught once for all rounds of one global model that are about the same value."""
        answers = list[PropertyGuess]()
        for group in by_weights(observations):
            taught = dict[int, Any]()
            for seen in group:
                if seen.asked not in taught:
                    taught[seen.asked] = self._taught(seen)
                features = _features(seen.update)
                if not np.isfinite(features).all():
                    answers.append(seen.nothing(DIVERGED))
                else:
                    score = float(taught[seen.asked].predict_proba(features[None])[0, 1])
                    answers.append(PropertyGuess(score=score, evaluations=2 * self.batches))
                progress.report("attack", len(answers), len(observations))
        return answers

    def _taught(self, seen: BatchPropertyObservation) -> Any:
        from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]  # late: it takes a while
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
        from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
        from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

        own = seen.public.reference
        assert own is not None
        batches, holds = drawn(seen, self.batches)
        features = np.stack([_features(update) for update in own_updates(seen, own, batches)])
        if self.classifier == "forest":
            forest = RandomForestClassifier(
                self.trees, min_samples_leaf=5, min_samples_split=5, random_state=0, n_jobs=1
            )
            return forest.fit(features, holds)
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, holds)


def drawn(seen: BatchPropertyObservation, each: int) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """Batches of the attacker's own rows, `(2 each, pictures)` by index, and which of them hold the value asked about.

    Drawn with replacement, from a stream of the value alone; a client's rows are anywhere in a batch.
    """
    stream, has = torch.Generator().manual_seed(seen.asked), (seen.own_value == seen.asked).cpu()
    with_it, without = has.nonzero()[:, 0], (~has).nonzero()[:, 0]
    holds, size, found = np.arange(2 * each) % 2 == 1, seen.public.pictures, []
    for held in holds:
        holders = seen.holders if held else 0
        chosen = [
            some[torch.randint(len(some), (count,), generator=stream)]
            for some, count in ((with_it, holders), (without, size - holders))
            if count
        ]
        found.append(torch.cat(chosen)[torch.randperm(size, generator=stream)])
    return torch.stack(found), holds


def _features(update: Update | Sequence[Tensor]) -> npt.NDArray[np.float64]:
    """Features `(n,)` of an update, its L2 norm 1."""
    found = []
    for tensor in (one.detach().abs().double().cpu() for one in update if one.dim() > 1):
        if tensor.dim() > 2:
            tensor = tensor.flatten(2).amax(dim=2)
        elif tensor.numel() > LONGEST:
            tensor = tensor.amax(dim=1)
        found.append(tensor.flatten())
    row = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)
    scaled: npt.NDArray[np.float64] = (row / row.norm().clamp_min(torch.finfo(torch.float64).tiny)).numpy()
    return scaled
