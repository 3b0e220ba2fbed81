"""One threshold on the loss, the same for every candidate (Yeom et al. 2018, arXiv 1709.01604, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from invbench.registry import attack
from invbench.shadows.answers import ZEROS, Shadows, log_confidence
from invbench.shadows.attack import ShadowAttack


@attack(game="membership", versions_with=ZEROS)
@dataclass(frozen=True, kw_only=True)
class LossThreshold(ShadowAttack):
    """Members are those with a small cross-entropy: the score is log p of the right class.

    Yeom et al. take the mean loss of the training set, which they suppose known, as the threshold; here it is the best
    one on shadow models. The scores, and all that is read from their order, need none.
    """

    def scores(self, own: Tensor, labels: Tensor, shadows: Shadows) -> Tensor:
        return log_confidence(own, labels, shadows.least)
