"""Label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from invbench.core.training import Loss, Training
from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class LabelSmoothing(Defense):
    """Train on q'(k) = (1 - share) q(k) + share / K in the place of the label's q, K the number of classes.

    The cross-entropy with q' is (1 - share) times that with q plus share times that with the uniform distribution.
    Of a text every next token is a label.
    """

    share: float = parameter(0.1, above=0, below=1, help="probability that is spread evenly over all classes")

    def training(self, training: Training, context: Context) -> Training:
        return replace(training, loss=smoothed(training.loss, self.share))


def smoothed(loss: Loss, share: float) -> Loss:
    """The loss of class scores `(B, K)` and labels `(B,)`, with a share of it that of the uniform distribution."""

    def of_batch(scores: Tensor, labels: Tensor) -> Tensor:
        uniform = -scores.log_softmax(dim=1).mean(dim=1).mean()  # -sum over k of log p(k) / K
        return (1 - share) * loss(scores, labels) + share * uniform

    return of_batch
