"""BASE: the victim's confidence beside the shadows' mean confidence (Lassila et al. 2025, arXiv 2505.24089)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from invbench.registry import attack
from invbench.shadows.answers import ZEROS, Shadows, log_confidence
from invbench.shadows.attack import ShadowAttack


@attack(game="membership", versions_with=ZEROS)
@dataclass(frozen=True, kw_only=True)
class Base(ShadowAttack):
    """log p of the right class by the victim, less the log of its mean over the shadows.

    Half of the shadows were trained on a candidate, so the mean is the evidence P(x) of RMIA (Zarifzadeh et al. 2024,
    arXiv 2312.03262): RMIA with gamma 1 is the rank of this ratio among those of the other candidates.
    """

    def scores(self, own: Tensor, labels: Tensor, shadows: Shadows) -> Tensor:
        theirs = log_confidence(shadows.probabilities, labels, shadows.least)  # (K, N)
        return log_confidence(own, labels, shadows.least) - (theirs.logsumexp(dim=0) - math.log(len(theirs)))
