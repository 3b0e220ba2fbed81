"""How far one example outweighs the others of its batch in a client's gradient."""

from __future__ import annotations

import numpy as np

from invbench.metrics._images import Floats

INFINITE = 1e9
"""In the place of infinity, which no JSON has: one example alone has a gradient in some layer."""


def dominance(norms: Floats) -> Floats:
    """Disaggregation signal-to-noise ratio of norms `(clients, layers, B)`, the largest of any client, `(1,)`.

    max_i n_i / sum of the others, over a client's examples i, and of that the largest over layers (Garov et al. 2024,
    arXiv 2306.03013, section 4): 1 / (B - 1) where all examples weigh the same. A layer without gradients tells
    nothing; NaN where no layer tells anything, where norms are not finite, and of one example.
    """
    if norms.shape[-1] < 2 or not np.isfinite(norms).all():
        return np.full(1, np.nan)
    ordered = np.sort(norms, axis=-1)
    most, others = ordered[..., -1], ordered[..., :-1].sum(axis=-1)
    finite = others > most / INFINITE
    ratios = np.divide(most, others, out=np.full(most.shape, INFINITE), where=finite)[most > 0]
    return np.full(1, ratios.max() if ratios.size else np.nan)
