"""The Fisher information that a noisy update holds of its pictures: products with J'J, never J itself.

J is the derivative of what is sent, before its noise, in the unit-range pixels; everything here is float64 and on the
CPU, for the least eigenvalues of J'J are what an inverse is made of.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.defenses import Context, Stack
from invbench.observation import Public
from invbench.updates.simulation import defended_gradient, simulator

CHUNK = 1 << 23
"""Entries of updates that are in memory at a time: 64 MiB, and a few times that inside a network."""
PROBES = 50
"""Random directions of the estimate of tr(J'J). All pixels move at once: a single pixel's row would have the spread of
the whole diagonal."""
QUADRATURE_PROBES, QUADRATURE_STEPS = 16, 40


@dataclass(frozen=True, eq=False)
class Derivative:
    """J `(n, d)` at `pixels` `(d,)`, by its products with directions `(k, d)`."""

    send: Callable[[Tensor], Tensor]  # (d,) to (n,)
    pixels: Tensor
    entries: int

    def forward(self, directions: Tensor) -> Tensor:
        """J v of each, `(k, n)`."""
        return _chunked(vmap(self._forward), directions, self.entries)

    def normal(self, directions: Tensor) -> Tensor:
        """J'J v of each, `(k, d)`."""
        back = vjp(self.send, self.pixels)[1]
        back_each = vmap(lambda row: back(row)[0])
        return _chunked(lambda some: back_each(vmap(self._forward)(some)), directions, self.entries)

    def _forward(self, direction: Tensor) -> Tensor:
        change: Tensor = jvp(self.send, (self.pixels,), (direction,))[1]
        return change


def derivative(
    public: Public, network: nn.Module, images: Tensor, labels: Tensor, steps: Stack, *, apart: bool
) -> Derivative:
    """That of what all clients send, behind the smooth `steps`, at unit-range `images` `(pictures, C, H, W)`.

    `apart`: of what each sends, one after the other; else of their mean.
    """
    network = copy.deepcopy(network).double()
    shape, images = images.shape, images.double()
    mean, std = (torch.tensor(c, dtype=torch.float64).reshape(-1, 1, 1) for c in (public.mean, public.std))
    context = Context(torch.Generator().manual_seed(0))  # from which smooth steps draw nothing
    share = simulator(replace(public, clients=1), network, gradient=defended_gradient(steps, context))

    def one(pictures: Tensor, classes: Tensor) -> Tensor:
        update = steps.at("update", share(*steps.at("inputs", (pictures, classes), context)), context)
        return torch.cat([tensor.flatten() for tensor in update])

    def send(pixels: Tensor) -> Tensor:
        normalised = (pixels.reshape(shape) - mean) / std
        batches = zip(normalised.chunk(public.clients), labels.chunk(public.clients), strict=True)
        sent = [one(*batch) for batch in batches]
        return torch.cat(sent) if apart else torch.stack(sent).mean(dim=0)

    entries = sum(p.numel() for p in network.parameters()) * (public.clients if apart else 1)
    return Derivative(send, images.flatten(), entries)


def trace(of: Derivative, asked: int, generator: torch.Generator, probes: int = PROBES) -> tuple[float, float]:
    """tr(J'J) over the first `asked` pixels and its standard error: |J z|^2 of random signs z has it as its mean."""
    found = of.forward(_signs(probes, asked, len(of.pixels), generator)).square().sum(dim=1)
    return float(found.mean()), float(found.std()) / probes**0.5


def spectrum(of: Derivative, roots: Sequence[Tensor], asked: int) -> tuple[Tensor, Tensor, float]:
    """Eigenvalues and weights `(1, d)` of L'J'J L, and tr(J'J) over the first `asked` pixels; exact.

    `roots` `(p, p)`: L of each picture, lower triangular; pictures are independent under the prior.
    """
    size = len(of.pixels)
    normal = of.normal(torch.eye(size, dtype=torch.float64))
    whitened = _times(_times(normal, roots).T, roots)
    nodes, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    weights = _times(vectors.T, _transposed(roots))[:, :asked].square().sum(dim=1)
    return nodes[None], weights[None], float(normal.diagonal()[:asked].sum())


def quadrature(
    of: Derivative,
    roots: Sequence[Tensor],
    asked: int,
    generator: torch.Generator,
    probes: int = QUADRATURE_PROBES,
    steps: int = QUADRATURE_STEPS,
) -> tuple[Tensor, Tensor]:
    """Nodes and weights `(probes, steps)` of Gauss quadratures of L'J'J L from L'z, z random signs on the first pixels.

    Lanczos' recurrence with full reorthogonalisation, all probes at once (Golub and Meurant 1994). Each rule gives at
    most z' (J'J / s^2 + S^-1)^-1 z: its function 1 / (1 + l / s^2) has positive even derivatives.
    """
    start = _times(_signs(probes, asked, len(of.pixels), generator), roots)  # (probes, d): L'z
    length, back = start.norm(dim=1), _transposed(roots)
    basis, diagonal, beside = [start / length[:, None]], list[Tensor](), list[Tensor]()
    for _ in range(steps):
        image = _times(of.normal(_times(basis[-1], back)), roots)
        diagonal.append((image * basis[-1]).sum(dim=1))
        for _ in range(2):  # once leaves what rounding brings back
            for known in basis:
                image = image - (image * known).sum(dim=1, keepdim=True) * known
        beside.append(image.norm(dim=1))
        basis.append(image / beside[-1][:, None].clamp(min=1e-300))
    tridiagonal = torch.diag_embed(torch.stack(diagonal, dim=1))
    off = torch.stack(beside[:-1], dim=1)
    tridiagonal = tridiagonal + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    nodes, vectors = torch.linalg.eigh(tridiagonal)
    return nodes, vectors[:, 0].square() * length.square()[:, None]


def _times(rows: Tensor, blocks: Sequence[Tensor]) -> Tensor:
    """Rows `(k, B p)` times a block diagonal of B blocks `(p, p)`."""
    pictures = rows.reshape(len(rows), len(blocks), -1).unbind(dim=1)
    return torch.cat([picture @ block for picture, block in zip(pictures, blocks, strict=True)], dim=1)


def _transposed(blocks: Sequence[Tensor]) -> list[Tensor]:
    return [block.T for block in blocks]


def _signs(probes: int, asked: int, size: int, generator: torch.Generator) -> Tensor:
    """Random signs `(probes, size)` on the first pixels, 0 on the others."""
    drawn = torch.randint(2, (probes, asked), generator=generator) * 2 - 1
    return nn.functional.pad(drawn.double(), (0, size - asked))


def _chunked(function: Callable[[Tensor], Tensor], rows: Tensor, entries: int) -> Tensor:
    step = max(1, CHUNK // max(entries, rows.shape[1]))
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's own, of what its first jvp loads
        return torch.cat([function(some) for some in torch.split(rows, step)])
