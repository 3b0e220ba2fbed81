"""How a client could tell that its model was crafted (Garov et al. 2024, arXiv 2306.03013, section 4)."""

from __future__ import annotations

from invbench.metrics._dominance import dominance
from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def d_snr(crafted_norms: Floats) -> Floats:
    """`dominance` of each example's gradient at the weights that clients were given, `(clients, layers, B)`."""
    return dominance(crafted_norms)


METRIC = Metric(
    column=Column(
        "d_snr",
        "of a malicious server: how far one picture outweighs the others of its batch in the gradient of some layer, as"
        " a client could check; low is no proof of honesty, for some attacks spread over all pictures, and one that has"
        " a layer to itself, which is infinite, counts as 1e9, so that a mean of 2.5e8 is one such of four",
        better="lower",
        decimals=2,
        tolerance=0.05,
        role="cost",
        title="D-SNR",
        least=0.0,
    ),
    games=("update",),
    inputs=("crafted_norms",),
    values=d_snr,
)
