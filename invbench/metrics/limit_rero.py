"""How likely any attack names the right one of several candidates (Hayes et al. 2023, arXiv 2302.07225)."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def limit_rero(reconstruction: Floats) -> Floats:
    """The bound that `invbench/privacy/reconstruction.py` found `(N,)`; NaN where it is 1 and bounds nothing."""
    return np.where(reconstruction < 1, reconstruction, np.nan)


METRIC = Metric(
    column=Column(
        "limit_rero",
        "probability with which whoever knows all other records names the right one of equally likely candidates, at"
        " most (of `matched`, or of `identified` where known labels and a guess for each picture count), by the"
        " defences' guarantee",
        better="lower",
        decimals=4,
        tolerance=1e-3,
        role="limit",
        title="limit (ReRo)",
        least=0.0,
        most=1.0,
    ),
    games=("update", "informed"),
    inputs=("reconstruction",),
    values=limit_rero,
)
