"""How well a candidate's gradient agrees with an update (Li, Li and Ribeiro 2023, arXiv 2111.00430)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.observation import BatchMembershipObservation, MembershipGuess, Public
from invbench.registry import attack, parameter
from invbench.updates.single import Layers, no_single_gradients, rows_of, sum_of_batch

Score = Literal["cosine", "inner-product", "difference"]


def agreement(rows: Tensor, whole: Tensor, score: Score) -> Tensor:
    """`(N,)` of gradients g `(N, n)` and the sum S `(n,)` of those of the batch.

    `cosine`: <S, g> / |S| |g|. `inner-product`: <S, g>. `difference`: |S|^2 - |S - g|^2 = 2 <S, g> - |g|^2, positive
    for members where gradients of different pictures are nearly orthogonal. S is the sum: with the mean in its place
    the difference is little but -|g|^2 from batch 3 on.
    """
    inner, squared = rows @ whole, rows.square().sum(dim=1)
    if score == "inner-product":
        return inner
    if score == "difference":
        return 2 * inner - squared
    cosine: Tensor = inner / (squared.sqrt() * whole.norm()).clamp_min(torch.finfo(rows.dtype).tiny)
    return cosine


@attack(game="batch-membership")
@dataclass(frozen=True, kw_only=True)
class GradientAlignment(Attack[Public, BatchMembershipObservation, MembershipGuess]):
    """The cosine, the inner product or the gradient difference of each candidate's gradient and the update.

    Each candidate is judged alone, with its own label. The published attack takes the change of a client's whole epoch
    for one gradient; so does this one, where a protocol takes several steps.
    """

    score: Score = parameter("cosine", help="how a gradient and the update are compared")
    layers: Layers = parameter("all", help="of which parameters: all, or those of the last layer")

    def unsupported(self, public: Public) -> str | None:
        return no_single_gradients(public, self.layers)

    def __call__(self, seen: BatchMembershipObservation) -> MembershipGuess:
        whole = sum_of_batch(seen, self.layers)
        scores = [agreement(rows.double(), whole, self.score) for rows in rows_of(seen, seen.candidates, self.layers)]
        return MembershipGuess(scores=torch.cat(scores).cpu(), evaluations=len(seen.candidates))
