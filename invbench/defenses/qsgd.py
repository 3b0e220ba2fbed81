"""QSGD (Alistarh et al. 2017, arXiv 1610.02132): stochastic levels of a bucket's L2 norm, sent in Elias' code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.defenses import VALUE, Context, Defense
from invbench.defenses._elias import elias_bits
from invbench.defenses._sending import whole_bytes
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class QSGD(Defense):
    """Round every value v of a bucket to ||bucket||_2 sign(v) l / levels, l one of the two levels next to it (3.1).

    The upper one with probability equal to the remainder, so that the mean is v. A bucket is `bucket` consecutive
    values of one tensor, the last may be shorter (section 4). At few levels nearly all values are below the first, so
    most are sent as zero and a few as many times larger: by lemma 3.1 the expected squared norm of n values grows by
    at most min(n / s^2, sqrt(n) / s) of it. `quantize` scales by the largest magnitude, as their implementation does.
    """

    redraws = True

    levels: int = parameter(16, at_least=1, at_most=2**15, help="levels s of a magnitude, 0 not counted")
    bucket: int = parameter(512, at_least=1, unit="values", help="how many values share one norm")

    def update(self, shared: Update, context: Context) -> Update:
        return tuple(self._quantised(tensor, context.generator) for tensor in shared)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """The same mean; step^2 / 6 where values spread over the levels, mean |v| step where most are below the first.

        The step is read off the values seen, which are multiples of it; where a later defence hid it, it is that of
        what is expected.
        """
        added = (self._variance(m, t).to(v) for m, v, t in zip(expected, variance, seen, strict=True))
        return expected, tuple(v + more for v, more in zip(variance, added, strict=True))

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """A norm a bucket, and the shorter of their two codes: all levels, or the gaps between those that are not 0.

        Each with a bit for its sign. What is no multiple of a level any more is as long as it was.
        """
        dense = sparse = norms = 0
        for tensor in shared:
            rows = self._buckets(tensor)
            step, found = self._steps(rows)
            if not bool((found | ~rows.any(dim=1)).all()):
                return before
            level = (rows.abs() / torch.where(found, step, 1.0)[:, None]).round().long()
            norms += len(rows)
            dense += int((elias_bits(level + 1) + 1).reshape(-1)[: tensor.numel()].sum())
            row, column = level.nonzero(as_tuple=True)
            first = torch.ones_like(row, dtype=torch.bool)
            first[1:] = row[1:] != row[:-1]
            gap = column + 1 - torch.where(first, 0, column.roll(1) + 1)
            sparse += int((elias_bits(gap) + 1 + elias_bits(level[row, column])).sum())
        return VALUE * norms + whole_bytes(min(dense, sparse))

    def _quantised(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        rows = self._buckets(tensor)
        norm = rows.norm(dim=1, keepdim=True)
        position = rows.abs() / torch.where(norm > 0, norm, 1.0) * self.levels  # in [0, s]
        below = position.floor()
        uniform = torch.rand(rows.shape, generator=generator, dtype=rows.dtype).to(rows.device)
        level = below + (uniform < position - below).to(rows.dtype)
        values: Tensor = rows.sign() * level / self.levels * norm
        return values.reshape(-1)[: tensor.numel()].reshape(tensor.shape).to(tensor.dtype)

    def _variance(self, expected: Tensor, seen: Tensor) -> Tensor:
        """What rounding adds to each coordinate, on average over its bucket."""
        mean, rows = self._buckets(expected), self._buckets(seen)
        step, found = self._steps(rows)
        step = torch.where(found, step, mean.norm(dim=1) / self.levels)
        sizes = self._buckets(torch.ones_like(seen)).sum(dim=1)  # the last bucket may be shorter
        magnitude = torch.where(found, rows.abs().sum(dim=1), mean.abs().sum(dim=1)) / sizes
        added = torch.minimum(step.square() / 6, magnitude * step)
        return added[:, None].expand_as(rows).reshape(-1)[: seen.numel()].reshape(seen.shape)

    def _buckets(self, tensor: Tensor) -> Tensor:
        """A tensor's values `(buckets, size)` in float64, zeros behind the last."""
        size = min(self.bucket, max(1, tensor.numel()))
        vector = tensor.reshape(-1).to(torch.float64)
        return torch.nn.functional.pad(vector, (0, -tensor.numel() % size)).reshape(-1, size)

    def _steps(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The largest step `(buckets,)` of which a bucket's values are multiples, up to float32; if there is one."""
        largest = rows.abs().amax(dim=1)
        least = rows.abs().where(rows != 0, torch.inf).amin(dim=1)
        step, found = torch.zeros_like(largest), torch.zeros_like(largest, dtype=torch.bool)
        for level in range(1, self.levels + 1):  # of the least value; nearly always 1
            open_ = ~found & (largest > 0) & (largest / least * level < self.levels + 0.5)
            if not bool(open_.any()):
                break
            ratio = rows[open_].abs() / (least[open_] / level)[:, None]
            off = (ratio - ratio.round()).abs() / ratio.clamp(min=1)
            fits = off.amax(dim=1) < 2.0**-22  # two values rounded to float32, one a multiple of the other
            step[open_] = torch.where(fits, least[open_] / level, 0.0)
            found[open_] = fits
        return step, found
