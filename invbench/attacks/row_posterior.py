"""The posterior of an attribute given an update, with the rest of the batch as a Gaussian background.

Not published for attributes; the priors are those of Fredrikson et al. 2014 (USENIX Security, pp. 17-32), the
likelihood is the one of a matched filter (`updates/others.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.core import progress
from invbench.observation import AttributeGuess, Failed, Public, UpdateAttributeObservation
from invbench.registry import attack, parameter
from invbench.updates.one_model import by_weights
from invbench.updates.others import Others, no_background
from invbench.updates.rows import LabelsOfRows, asked_of, posterior
from invbench.updates.simulation import hidden_scale, stack_of
from invbench.updates.single import Layers, rows_of, sum_of_batch


@attack(game="update-attribute")
@dataclass(frozen=True, kw_only=True)
class RowPosterior(Attack[Public, UpdateAttributeObservation, AttributeGuess]):
    """P(v | S, known) ~ sum over rows x of value v that agree with what is known, of P(x) P(y | x) N(S; g_x + m, A).

    S: the sum of the batch's B gradients. The others are independent, m = (B - 1) mu, and A = (B - 1)(1 + (B - 1) / M)
    C + N, with mean mu and covariance C from M rows of the attacker's own (given the label, where labels are known) and
    N the declared noise and float32's rounding. P(x): the published priors. P(y | x): how likely the person's label is,
    by a logistic regression on the attacker's own rows; hidden labels are summed out. So where the update says nothing
    it falls back to what is known without it, which the best cosine does not.
    """

    layers: Layers = parameter("all", help="of which parameters: all, or those of the last layer")

    def unsupported(self, public: Public) -> str | None:
        if (why := no_background(public, self.layers) or hidden_scale(public)) is not None:
            return why
        stages = [(defense.hides_scale, defense.stages()) for defense in stack_of(public).defenses]
        if any(hides and "per_example" not in acts for hides, acts in stages):
            return "compares lengths, and a declared defence scales an update by what only the client knows"
        return None

    def attack_all(self, observations: Sequence[UpdateAttributeObservation]) -> list[AttributeGuess]:
        """The background of one global model is estimated once."""
        answers = list[AttributeGuess]()
        for group in by_weights(observations):
            others, labels = None, None
            for seen in group:
                try:
                    whole = sum_of_batch(seen, self.layers)
                    others = others or Others.of(seen, self.layers, by_label=seen.labels is not None)
                    labels = labels or LabelsOfRows.of(seen)
                    answers.append(self._answer(others, labels, seen, whole / others.scale))
                except Failed as failure:
                    answers.append(seen.nothing(str(failure)))
                progress.report("attack", len(answers), len(observations))
        return answers

    def _answer(
        self, others: Others, labels: LabelsOfRows, seen: UpdateAttributeObservation, whole: Tensor
    ) -> AttributeGuess:
        asked = asked_of(seen)
        gradients = torch.cat([*rows_of(seen, asked.rows, self.layers)]).double()
        left = (whole - others.mean_of_sum(seen.labels))[None]  # S - B mu
        centred = gradients - others.mean_of(asked.rows.labels)  # g - mu
        squares = others.without.whitened(left - centred).squares()
        return posterior(asked, labels.logs(asked.rows) - squares / 2, len(seen.values))
