"""A short recipe: what inverting-gradients reaches in thousands of steps, in a few hundred.

Found on untrained ReLU networks (`benchmarks/matching.py` holds the comparison). The sign of a gradient has no scale,
so five times the published step crosses the box within a few, and the step decay that follows does the rest. Total
variation is that of breaching's published settings (0.2, which averages both directions: 0.1 here).
"""

from __future__ import annotations

from invbench.matching.recipe import Recipe

FAST = Recipe(iterations=200, lr=0.5, tv=0.1)
