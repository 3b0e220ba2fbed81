"""Group consistency: several restarts of one batch, drawn to what they agree on (Yin et al. 2021, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from invbench.matching.adam import Pull

Register = Callable[[Tensor, Tensor], Tensor]
"""From a picture `(C, H, W)` and another, the first as it fits the second best."""

LARGEST = 8
"""A shift is at most one over this of a picture's side."""


def as_it_is(picture: Tensor, to: Tensor) -> Tensor:
    """No registration: the paper's lazy consensus."""
    return picture


def towards_consensus(
    shape: tuple[int, ...], labels: Tensor, weight: float, begin: int, every: int, register: Register
) -> Pull:
    """Adam's pull `weight * sum_b |x_gb - E_b|` of each restart g to the consensus E of all (equations 11 and 12).

    The paper has one norm; here each picture b has its own, so that one that has settled does not hold the others.
    E is found anew every `every` steps from step `begin` on and is a constant between. `shape`: `(B, C, H, W)`;
    `labels` `(B,)`, the same of every restart; variables behind the pixels are left alone. One restart alone is drawn
    nowhere.
    """
    held: dict[str, Tensor] = {}
    pixels = math.prod(shape)

    def pull(step: int, variables: Tensor, lanes: Tensor) -> tuple[Tensor, Tensor]:
        slopes, values = torch.zeros_like(variables), torch.zeros_like(variables[:, 0])
        if step < begin or len(lanes) < 2:
            return slopes, values
        pictures = variables[:, :pixels].reshape(len(lanes), *shape)
        if not held or (step - begin) % every == 0 or len(held["lanes"]) != len(lanes):
            held.update(lanes=lanes, agreed=consensus(pictures, labels, register))
        apart = pictures - held["agreed"]
        lengths = apart.flatten(2).norm(dim=2)  # (restarts, B)
        away = apart / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)[..., None, None, None]
        return weight * pad(away.flatten(1), (0, variables.shape[1] - pixels)), weight * lengths.sum(dim=1)

    return pull


def consensus(pictures: Tensor, labels: Tensor, register: Register) -> Tensor:
    """What restarts `(R, B, C, H, W)` agree on, in each one's own order of pictures; same shape.

    The mean of the restarts, then the mean of the pictures registered to that. Two pictures of one label may have
    changed places between restarts: they are compared in the order that fits the first restart best.
    """
    orders = torch.stack([_order(pictures[0], own, labels) for own in pictures])  # (R, B)
    ordered = torch.stack([own[order] for own, order in zip(pictures, orders, strict=True)])
    mean = ordered.mean(dim=0)
    moved = [[register(one, to) for one, to in zip(own, mean, strict=True)] for own in ordered]
    agreed = torch.stack([torch.stack(of_restart) for of_restart in moved]).mean(dim=0)
    return torch.stack([agreed[order.argsort()] for order in orders])


def _order(first: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """`(B,)`: for each picture of the first restart the place of its like in the other, of the same label."""
    order = torch.arange(len(labels), device=first.device)
    for label in set(labels.tolist()):
        places = torch.nonzero(labels == label).flatten()
        if len(places) > 1:
            order[places] = places[_assigned(torch.cdist(first[places].flatten(1), other[places].flatten(1)))]
    return order


def _assigned(distances: Tensor) -> Tensor:
    """The column of each row that makes the sum of squares least (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # slow to load, for repeats alone

    _, columns = linear_sum_assignment(distances.square().double().cpu().numpy())
    return torch.from_numpy(columns).to(distances.device)


def by_shift(picture: Tensor, to: Tensor) -> Tensor:
    """The picture shifted by whole pixels to where it fits the other best, its edges repeated; as it is where no shift
    fits better.

    Phase correlation (Kuglin and Hines 1975) of grey pictures without their mean, under a Hann window: the shift is
    where the inverse transform of the cross spectrum, its magnitudes made 1, is largest, of shifts up to an eighth of
    the side. The paper registers by RANSAC-flow, a dense flow from pretrained features; a shift is what is left of it.
    """
    height, width = picture.shape[-2:]
    one, two = (_windowed(tensor.mean(dim=0)) for tensor in (picture, to))
    cross = torch.fft.fft2(two) * torch.fft.fft2(one).conj()
    surface = torch.fft.ifft2(cross / cross.abs().clamp(min=torch.finfo(one.dtype).tiny)).real
    rows, columns = _shifts(height, surface.device), _shifts(width, surface.device)
    near = surface[rows % height][:, columns % width]
    best = int(near.argmax())
    moved = _shifted(picture, int(rows[best // len(columns)]), int(columns[best % len(columns)]))
    return moved if _alike(moved, to) > _alike(picture, to) else picture


def _windowed(grey: Tensor) -> Tensor:
    height, width = (torch.hann_window(side, periodic=False, device=grey.device) for side in grey.shape)
    return (grey - grey.mean()) * height[:, None] * width[None, :]


def _shifts(side: int, device: torch.device) -> Tensor:
    return torch.arange(-(side // LARGEST), side // LARGEST + 1, device=device)


def _shifted(picture: Tensor, down: int, right: int) -> Tensor:
    height, width = picture.shape[-2:]
    rows = (torch.arange(height, device=picture.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=picture.device) - right).clamp(0, width - 1)
    return picture[..., rows, :][..., columns]


def _alike(one: Tensor, two: Tensor) -> Tensor:
    """The cosine of two pictures without their means."""
    a, b = (tensor.flatten() - tensor.mean() for tensor in (one, two))
    lengths: Tensor = a.norm() * b.norm()
    return torch.dot(a, b) / lengths.clamp(min=torch.finfo(a.dtype).tiny)
