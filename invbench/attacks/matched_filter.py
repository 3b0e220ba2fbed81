"""The likelihood ratio of a picture's gradient in an update against a Gaussian background: a matched filter.

Not published for membership in one round; the linear scores of Li, Li and Ribeiro 2023 (arXiv 2111.00430) are what it
becomes where the background is white.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.core import progress
from invbench.observation import BatchMembershipObservation, Failed, MembershipGuess, Public
from invbench.registry import attack, parameter
from invbench.updates.background import Whitened
from invbench.updates.one_model import by_weights
from invbench.updates.others import Others, no_background
from invbench.updates.single import Layers, rows_of, sum_of_batch

IMPOSSIBLE = -1e30
"""Score of a candidate of whose label, which is known, the batch has no picture."""


@attack(game="batch-membership", version=2)
@dataclass(frozen=True, kw_only=True)
class MatchedFilter(Attack[Public, BatchMembershipObservation, MembershipGuess]):
    """How much likelier the sum S of a batch's B gradients is with the candidate's g in it than without.

    Others are independent with mean mu and covariance C, both from M pictures of the attacker's own, and known noise N
    is on S. With r = S - B mu and d = g - mu the score is

        log N(r; d, A1) - log N(r; 0, A1) = d' A1^-1 r - d' A1^-1 d / 2,   A1 = (B - 1)(1 + (B - 1) / M) C + N

    where (B - 1) / M is what the error of mu adds. That the batch without g has a picture more would make the second
    covariance A0 = B (1 + B / M) C + N, which adds the same to all of a round and moves rounds against each other by
    as much as C is wrong: that ratio ranks as well within rounds and far worse over several. Of one picture A1 is N
    alone, and there it is taken. N holds the declared noise and float32's rounding; a clip's factor is what it is
    expected to be.

    `by_label`: where the protocol grants labels, mu and C are those given the label, a candidate takes the place of a
    picture of its own label, and log(n_c / (B p_c)) is added for the n_c pictures of it that the batch has.

    Each candidate is judged alone. `joint: true` is another question: the whole batch is among the candidates, so
    S = sum_j a_j g_j is a linear system, solved for 0 <= a_j <= 1 by least squares under C + N.
    """

    layers: Layers = parameter("all", help="of which parameters: all, or those of the last layer")
    by_label: bool = parameter(True, help="mean and covariance given the labels, where they are known")
    joint: bool = parameter(False, help="all candidates at once, which the whole batch is among")

    def unsupported(self, public: Public) -> str | None:
        return no_background(public, self.layers)

    def attack_all(self, observations: Sequence[BatchMembershipObservation]) -> list[MembershipGuess]:
        """The background of one global model is estimated once."""
        answers = list[MembershipGuess]()
        for group in by_weights(observations):
            others = None
            for seen in group:
                try:
                    whole = sum_of_batch(seen, self.layers)
                    others = others or Others.of(seen, self.layers, by_label=self._conditions(seen))
                    answers.append(self._answer(others, seen, whole / others.scale))
                except Failed as failure:
                    answers.append(seen.nothing(str(failure)))
                progress.report("attack", len(answers), len(observations))
        return answers

    def _conditions(self, seen: BatchMembershipObservation) -> bool:
        return self.by_label and seen.labels is not None

    def _answer(self, others: Others, seen: BatchMembershipObservation, whole: Tensor) -> MembershipGuess:
        left = (whole - others.mean_of_sum(seen.labels))[None]  # r
        scores = self._joint(others, seen, left) if self.joint else self._alone(others, seen, left)
        return MembershipGuess(scores=scores.cpu(), evaluations=len(seen.candidates))

    def _alone(self, others: Others, seen: BatchMembershipObservation, left: Tensor) -> Tensor:
        known, none = others.without, others.whole if others.pictures == 1 else others.without
        r1, r0 = known.whitened(left), none.whitened(left)
        ratios = [log_ratio(known.whitened(d), r1, r0) for d in self._centred(others, seen)]
        found = torch.cat(ratios) + (none.log_determinant - known.log_determinant) / 2
        if self._conditions(seen):
            assert seen.labels is not None
            found = found + others.log_odds(seen.labels, seen.candidates.labels)
        return found.clamp(min=IMPOSSIBLE)

    def _joint(self, others: Others, seen: BatchMembershipObservation, left: Tensor) -> Tensor:
        white = others.one.whitened(torch.cat([*self._centred(others, seen)]))
        return shares(white.times(white), white.times(others.one.whitened(left))[:, 0])

    def _centred(self, others: Others, seen: BatchMembershipObservation) -> Iterator[Tensor]:
        """d of the candidates, some at a time."""
        start = 0
        for rows in rows_of(seen, seen.candidates, self.layers):
            yield rows.double() - others.mean_of(seen.candidates.labels[start : start + len(rows)])
            start += len(rows)


def log_ratio(d: Whitened, r1: Whitened, r0: Whitened) -> Tensor:
    """log N(r; d, A1) - log N(r; 0, A) of each candidate `(N,)`, but for the determinants.

    `d`, `r1`: whitened by A1, the covariance of the others alone, `r0` by A.
    """
    distance = d.squares() - 2 * d.times(r1)[:, 0] + r1.squares()
    return (r0.squares() - distance) / 2


def shares(gram: Tensor, products: Tensor) -> Tensor:
    """a in [0, 1] that minimises a' Q a / 2 - b' a, of Q `(N, N)` and b `(N,)`, on the CPU."""
    from scipy.optimize import lsq_linear  # type: ignore[import-untyped]  # late: it takes a while to load

    jitter = 1e-12 * max(float(gram.diagonal().mean()), torch.finfo(torch.float64).tiny)
    root = torch.linalg.cholesky(gram.cpu() + jitter * torch.eye(len(gram), dtype=torch.float64))
    aim = torch.linalg.solve_triangular(root, products.cpu()[:, None], upper=False)[:, 0]
    return torch.from_numpy(lsq_linear(root.T.numpy(), aim.numpy(), bounds=(0, 1)).x)
