"""Gaussian priors on normalised pictures, each by a square root of its covariance: what a posterior search assumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invbench.numbers.covariance import shrunk
from invbench.observation import Labelled, Public

FEWEST = 32
"""Pictures of an attacker's own below which no covariance is fitted on them."""
MOST_PIXELS = 4096
"""Of a picture whose covariance is fitted: its root is dense."""


@dataclass(frozen=True, eq=False)
class Prior:
    """Pictures of class k are N(mean_k, L L'), L a Kronecker product of lower triangular `roots`.

    `means` `(classes, C, H, W)`, or `(1, C, H, W)` where labels tell nothing. A picture is mean_k + L z with z standard
    normal, so `energy`, minus twice its log density up to a constant, is |z|^2.
    """

    name: str
    means: Tensor
    roots: tuple[Tensor, ...]

    def deviations(self, whitened: Tensor) -> Tensor:
        """L z `(B, C, H, W)` of z `(B, d)`; differentiable, fit for vmap."""
        found = whitened.reshape(-1, *(len(root) for root in self.roots))
        for axis, root in enumerate(self.roots, start=1):
            found = torch.tensordot(found, root.to(found), dims=([axis], [1])).movedim(-1, axis)
        return found.reshape(-1, *self.means.shape[1:])

    def centre(self, labels: Tensor) -> Tensor:
        """The mean of each picture `(B, C, H, W)`."""
        return self.means[labels] if len(self.means) > 1 else self.means.expand(len(labels), -1, -1, -1)

    def whitened(self, images: Tensor, labels: Tensor) -> Tensor:
        """z `(B, d)` of normalised pictures `(B, C, H, W)`, float64 on the CPU."""
        off = images.double().cpu() - self.centre(labels.cpu()).double()
        found = off.reshape(-1, *(len(root) for root in self.roots))
        for axis, root in enumerate(self.roots, start=1):
            first = found.movedim(axis, 0)
            solved = torch.linalg.solve_triangular(root, first.reshape(len(root), -1), upper=False)
            found = solved.reshape(first.shape).movedim(0, axis)
        return found.reshape(len(images), -1)

    def energy(self, images: Tensor, labels: Tensor) -> float:
        """|z|^2 of all pictures: about one a pixel where the prior is right."""
        return float(self.whitened(images, labels).square().sum())


def markov(public: Public, alike: float, colours: float) -> Prior:
    """Mean 0, variance 1; correlation `alike` to the power of the distance along each axis, `colours` of channels."""
    channels, height, width = public.image_shape
    coloured = torch.full((channels, channels), colours, dtype=torch.float64).fill_diagonal_(1.0)
    roots = (coloured, _correlation(height, alike), _correlation(width, alike))
    means = torch.zeros(1, *public.image_shape, dtype=torch.float64)
    return Prior(f"neighbours alike by {alike:g}", means, tuple(map(torch.linalg.cholesky, roots)))


def fitted(own: Labelled | None, public: Public, *, by_label: bool) -> Prior | None:
    """That of the attacker's own pictures; None where they are too few, or a picture has too many pixels.

    `by_label`: each class has a mean of its own, towards that of all by the weight of one picture, and the covariance
    is that about these means.
    """
    if own is None or len(own) < FEWEST or np.prod(public.image_shape) > MOST_PIXELS:
        return None
    rows = own.images.double().cpu().flatten(1)
    labels, average = own.labels.cpu(), rows.mean(dim=0)
    means = average[None]
    if by_label:
        means = torch.stack([_towards(rows[labels == label], average) for label in range(public.classes)])
    covariance = shrunk((rows - means[labels if by_label else torch.zeros_like(labels)]).numpy())
    root = torch.linalg.cholesky(torch.from_numpy(covariance))
    return Prior(f"fitted on {len(own)} pictures", means.reshape(-1, *public.image_shape), (root,))


def priors(public: Public, alike: Sequence[float], colours: float, *, by_label: bool) -> list[Prior]:
    """What a search chooses from: natural pictures of several smoothnesses, and the attacker's own."""
    own = fitted(public.reference, public, by_label=by_label)
    return [*([own] if own is not None else []), *(markov(public, one, colours) for one in alike)]


def _correlation(side: int, alike: float) -> Tensor:
    places = torch.arange(side, dtype=torch.float64)
    return torch.tensor(alike, dtype=torch.float64) ** (places[:, None] - places).abs()


def _towards(rows: Tensor, average: Tensor) -> Tensor:
    return (rows.sum(dim=0) + average) / (len(rows) + 1)
