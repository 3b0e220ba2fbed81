"""How likely each canary of an audit was in: the two scores of Steinke, Nasr and Jagielski (2023, 2305.08846)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from invbench.attacks import Attack
from invbench.observation import AuditGuess, AuditObservation, AuditPublic, log_probabilities
from invbench.registry import attack


@attack(game="audit")
@dataclass(frozen=True, kw_only=True)
class CanaryScore(Attack[AuditPublic, AuditObservation, AuditGuess]):
    """Dirac canaries (algorithm 2): the released gradients, summed over the steps, along the canary's own.

    In units of what one that is in adds: around its number of draws if it was in, around 0 if not; the middle lies
    between. Mislabelled ones (section 5): the trained model's log-probability of the wrong label; the middle is the
    scores' median, for half of the canaries are in.
    """

    def __call__(self, seen: AuditObservation) -> AuditGuess:
        public = seen.public
        if public.coordinates is not None and seen.gradient is not None:
            scores = seen.gradient.cpu().double()[public.coordinates] / public.step
            return AuditGuess(scores=scores, middle=public.draws / 2, evaluations=1)
        assert public.pictures is not None
        assert seen.model is not None
        found = log_probabilities(seen.model, public.pictures.images)
        scores = found.gather(1, public.pictures.labels[:, None])[:, 0]
        scores = torch.nan_to_num(scores, neginf=torch.finfo(scores.dtype).min)
        return AuditGuess(scores=scores, middle=float(scores.median()), evaluations=public.count)
