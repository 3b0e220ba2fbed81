"""What a client would measure of the honest model on the same batch, beside `d_snr`."""

from __future__ import annotations

from invbench.metrics._dominance import dominance
from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def d_snr_honest(honest_norms: Floats) -> Floats:
    """`dominance` of each example's gradient at the honest weights, `(clients, layers, B)`."""
    return dominance(honest_norms)


METRIC = Metric(
    column=Column(
        "d_snr_honest",
        "D-SNR of the model that an honest server would have given, on the same pictures",
        better="lower",
        decimals=2,
        tolerance=0.05,
        role="cost",
        title="D-SNR (honest)",
        least=0.0,
    ),
    games=("update",),
    inputs=("honest_norms",),
    values=d_snr_honest,
)
