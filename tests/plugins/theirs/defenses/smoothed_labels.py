"""Stage `training`: label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from torch.nn.functional import cross_entropy

from invbench.core.training import Training
from invbench.defenses import Context, Defense
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class SmoothedLabels(Defense):
    """The victim learns that every label may be wrong."""

    share: float = parameter(0.2, above=0, below=1, help="probability spread over all classes")

    def training(self, training: Training, context: Context) -> Training:
        return replace(training, loss=partial(cross_entropy, label_smoothing=self.share))
