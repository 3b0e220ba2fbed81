"""One sign a value, the same for several pictures: what magnitudes of their mixtures cannot tell.

Chosen so that pictures are smooth and lie in the range of real ones: the s that maximises

    sum over neighbours p, q of s_p s_q sum_b y_bp y_bq   +   sum_p s_p h_p,

y the pictures up to s, neighbours next to each other in a channel or the same place in two, h_p how much farther
outside of the range -y_p lies than y_p. Signs go along a spanning tree of the strongest of these terms; then single
signs are turned while that gains. Of two trees, of the largest products and of the most alike neighbours, that counts
whose end is better by the sum above. More pictures in a batch help: they share the signs.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RANGE = 100.0
"""Weight of what lies outside of the range of real pictures: a picture that does is none."""
_SLACK = 1e-3
_SWEEPS = 20


def with_common_signs(pictures: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The pictures `(N, C, H, W)` with a sign for every value, the same in all of them, in float64.

    `lower`, `upper` `(C, 1, 1)`: the range of real ones.
    """
    own = _own_evidence(pictures, lower, upper).flatten()
    edges, strength = _couplings(pictures)
    odd = torch.stack(torch.meshgrid(*map(torch.arange, pictures.shape[1:]), indexing="ij")).sum(dim=0).flatten() % 2
    sizes = pictures.flatten(1).square().sum(dim=0)
    alike = strength / (sizes[edges[0]] * sizes[edges[1]]).sqrt().clamp(min=torch.finfo(strength.dtype).tiny)
    starts = [_along_tree(own, edges, order) for order in (strength, alike * strength.abs().sqrt())]
    found = [_turned(signs, own, edges, strength, odd) for signs in starts]
    best = max(found, key=lambda signs: float((strength * signs[edges[0]] * signs[edges[1]]).sum() + own @ signs))
    return pictures * best.reshape(pictures.shape[1:])


def _own_evidence(pictures: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    def outside(values: Tensor) -> Tensor:
        return (values - values.clamp(lower - _SLACK, upper + _SLACK)).square().sum(dim=0)

    return _RANGE * (outside(-pictures) - outside(pictures)) / 2


def _couplings(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of neighbouring values `(2, E)`, and how much their products add up to over the pictures `(E,)`."""
    shape = pictures.shape[1:]
    places = torch.arange(shape.numel()).reshape(shape)
    pairs = [torch.stack([_but_last(places, dim), _but_first(places, dim)]).flatten(1) for dim in range(3)]
    edges = torch.cat(pairs, dim=1)
    flat = pictures.flatten(1)
    return edges, (flat[:, edges[0]] * flat[:, edges[1]]).sum(dim=0)


def _but_last(places: Tensor, dim: int) -> Tensor:
    return places.narrow(dim, 0, places.shape[dim] - 1)


def _but_first(places: Tensor, dim: int) -> Tensor:
    return places.narrow(dim, 1, places.shape[dim] - 1)


def _along_tree(own: Tensor, edges: Tensor, strength: Tensor) -> Tensor:
    """Signs `(n,)` along the spanning tree of the strongest terms (Kruskal 1956), rooted in a value that is 1."""
    n = len(own)
    told = own.nonzero().flatten()
    first = torch.cat([edges[0], told]).tolist()
    second = torch.cat([edges[1], torch.full_like(told, n)]).tolist()
    weights = torch.cat([strength, own[told]])
    parent, turn = list(range(n + 1)), [1.0] * (n + 1)

    def root(place: int) -> tuple[int, float]:
        """The place's root and its sign relative to it."""
        sign, path = 1.0, []
        while parent[place] != place:
            path.append(place)
            place = parent[place]
        for one in reversed(path):  # from the root down: each then hangs on it directly
            sign *= turn[one]
            turn[one], parent[one] = sign, place
        return place, sign

    for k in weights.abs().argsort(descending=True).tolist():
        (a, sign_a), (b, sign_b) = root(first[k]), root(second[k])
        if a != b:
            parent[a] = b
            turn[a] = sign_a * sign_b * (1.0 if float(weights[k]) >= 0 else -1.0)
    base, signs = root(n), [root(place) for place in range(n)]
    return torch.tensor([sign * (base[1] if at == base[0] else 1.0) for at, sign in signs], dtype=own.dtype)


def _turned(signs: Tensor, own: Tensor, edges: Tensor, strength: Tensor, odd: Tensor) -> Tensor:
    """The same after turning single signs while that gains; `odd` `(n,)`: no two neighbours are alike in it."""
    for sweep in range(_SWEEPS):
        pull = own.clone()
        pull.index_add_(0, edges[0], strength * signs[edges[1]])
        pull.index_add_(0, edges[1], strength * signs[edges[0]])
        signs = torch.where((signs * pull < 0) & (odd == sweep % 2), -signs, signs)
    return signs
