"""Private pictures from many encodings of them under random signs (Carlini et al. 2021, arXiv 2011.05315).

An encoding of InstaHide is s * (w x_i + (1 - w) x_j), s a random sign a value. Its magnitude |w x_i + (1 - w) x_j| has
no sign to hide behind (their section 4.1). A picture that was mixed with itself leaves the same magnitudes whenever
that happens, so magnitudes that repeat are pictures |x_i|; every other encoding is then assigned to the pair and the
weight that explain it, and says of each value whether x_i and x_j have the same sign there. What is left is one sign a
value for all pictures together, which no encoding tells: `common_signs.py` chooses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from torch import Tensor

from invbench.inversion.exclusive import groups

REPEATED = 1e-4
"""Relative distance of two encodings of one picture, which float32 leaves apart by some 1e-6; and of a mixture from its
encoding."""
_WEIGHTS = torch.linspace(0.3, 0.7, 41, dtype=torch.float64)
"""Tried for a mixture of two, neither of which may weigh more than 0.65; then fitted."""
_FAR = 1e-2
"""Squared distance, of the encoding's own size, above which no weight nearby can fit: between two that are tried lies
0.005, which leaves 1e-4."""
_FITS = 5
_LOOKED_AT = 256
"""Values by which a weight is looked for; the fit is of all."""
_PROVED = 2
"""Other encodings that a picture which was seen alone only once must explain."""


def repeated(encodings: Tensor, most: int) -> Tensor:
    """Pictures `(N, n)` that several of the encodings `(M, n)` show alone, at most so many."""
    found = [members.mean(dim=0) for members in groups(encodings, REPEATED, 2)[:most]]
    return torch.stack(found) if found else encodings[:0]


@dataclass(frozen=True, eq=False)
class Unmixed:
    """Pictures `(N, n)` up to one sign a value for all of them together, and how many encodings they explain."""

    pictures: Tensor
    explained: int


@dataclass(frozen=True, eq=False)
class _Fit:
    """A mixture of pictures `pair`; `for_same` `(n,)`: by how much equal signs fit better than opposite ones."""

    pair: tuple[int, int]
    for_same: Tensor


def unmixed(encodings: Tensor, most: int) -> Unmixed | None:
    """At most so many pictures from the magnitudes of mixtures of two, `encodings` `(M, n)`; None where there is none.

    Of each value that pattern of signs is chosen that all encodings explain best, by squared distances.
    """
    magnitudes = repeated(encodings, most)
    if not len(magnitudes):
        return None
    rest = [one for one in encodings if not _is_one_of(one, magnitudes)]
    fits = [fit for one in rest if (fit := _explained(one, magnitudes)) is not None]
    while len(magnitudes) < most and (more := _another(rest, magnitudes, len(fits))) is not None:
        magnitudes = torch.cat([magnitudes, more[None]])
        rest = [one for one in rest if not _is_one_of(one, magnitudes)]
        fits = [fit for one in rest if (fit := _explained(one, magnitudes)) is not None]
    signs = _relative_signs(fits, len(magnitudes), magnitudes.shape[1])
    return Unmixed(signs * magnitudes, len(encodings) - len(rest) + len(fits))


def _another(rest: Sequence[Tensor], magnitudes: Tensor, explained: int) -> Tensor | None:
    """That unexplained encoding which, taken for a picture seen alone, explains most others; None where none does."""
    left = [one for one in rest if _explained(one, magnitudes) is None]
    best, most = None, _PROVED - 1
    for one in left:
        with_it = torch.cat([magnitudes, one[None]])
        count = sum(_explained(other, with_it, with_last=True) is not None for other in left if other is not one)
        if count > most:
            best, most = one, count
    return best


def _is_one_of(encoding: Tensor, magnitudes: Tensor) -> bool:
    return bool(((magnitudes - encoding).norm(dim=1) <= REPEATED * encoding.norm()).any())


def _explained(encoding: Tensor, magnitudes: Tensor, *, with_last: bool = False) -> _Fit | None:
    """The mixture of two that this encoding is, None where it is none; of those `with_last` picture alone, if asked."""
    for i, j in combinations(range(len(magnitudes)), 2):
        if with_last and j < len(magnitudes) - 1:
            continue
        for_same = _fitted(encoding, magnitudes[i], magnitudes[j])
        if for_same is not None:
            return _Fit((i, j), for_same)
    return None


def _fitted(encoding: Tensor, one: Tensor, other: Tensor) -> Tensor | None:
    """By how much equal signs fit better, `(n,)`, where some w one +- (1 - w) other has the encoding's magnitudes."""

    def distances(weight: Tensor, some: slice = slice(None)) -> tuple[Tensor, Tensor]:
        a, b = weight * one[some], (1 - weight) * other[some]
        return (encoding[some] - (a + b)).square(), (encoding[some] - (a - b).abs()).square()

    some = slice(0, None, max(1, len(encoding) // _LOOKED_AT))
    tried = torch.minimum(*distances(_WEIGHTS[:, None], some)).mean(dim=1)
    if float(tried.min()) > _FAR * float(encoding[some].square().mean()):
        return None
    weight = _WEIGHTS[tried.argmin()]
    for _ in range(_FITS):
        same, opposite = distances(weight)
        sign = torch.where(same <= opposite, 1.0, -1.0)
        outer = torch.where(sign > 0, 1.0, (weight * one - (1 - weight) * other).sign())
        slope = outer * (one - sign * other)  # encoding = outer * (w one + sign (1 - w) other)
        weight = (slope * (encoding - outer * sign * other)).sum() / slope.square().sum().clamp(min=1e-300)
    same, opposite = distances(weight)
    off = float(torch.minimum(same, opposite).sum().sqrt())
    return opposite - same if off <= REPEATED * float(encoding.norm()) else None


def _relative_signs(fits: Sequence[_Fit], pictures: int, values: int) -> Tensor:
    """Signs `(pictures, values)` of each picture relative to the first."""
    patterns = torch.tensor([(1.0, *rest) for rest in product((1.0, -1.0), repeat=pictures - 1)], dtype=torch.float64)
    scores = torch.zeros(len(patterns), values, dtype=torch.float64)
    for fit in fits:
        i, j = fit.pair
        scores += (patterns[:, i] * patterns[:, j])[:, None] * fit.for_same
    return patterns[scores.argmax(dim=0)].T
