"""Training pictures dealt among clients, alike or by class, and each client's batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from invbench.core.randomness import numpy_stream, stream
from invbench.federation import Utility
from invbench.victims import Indexes


class Share:
    """A client's own pictures; a batch is what comes next in an order that is drawn anew for every pass over them."""

    def __init__(self, own: Indexes, generator: torch.Generator) -> None:
        self.own, self.generator = torch.from_numpy(np.sort(own)), generator
        self.left = self.own[:0]

    def next(self, size: int) -> Tensor:
        """The places of its next `size` pictures, all of them where it has fewer; what is left of a pass is dropped."""
        if len(self.left) < min(size, len(self.own)):
            self.left = self.own[torch.randperm(len(self.own), generator=self.generator)]
        batch, self.left = self.left[:size], self.left[size:]
        return batch


def clients_of(labels: Indexes, utility: Utility, *names: object) -> list[Share]:
    """The clients among whom pictures of these labels are dealt, without those who get none.

    `iid`: as many for each, but for one. `dirichlet`: of every class, shares drawn from Dirichlet(alpha) (Yurochkin et
    al. 2019, arXiv 1905.12022, section 4). `names`: of the stream of all draws.
    """
    shares = [own for own in dealt(labels, utility, numpy_stream("federation: dealing", *names)) if len(own)]
    return [Share(own, stream("federation: batches", *names, c)) for c, own in enumerate(shares)]


def dealt(labels: Indexes, utility: Utility, draws: np.random.Generator) -> list[Indexes]:
    """The places of each client's pictures, every place once."""
    if utility.split == "iid":
        return np.array_split(draws.permutation(len(labels)), utility.clients)
    parts: list[list[Indexes]] = [[] for _ in range(utility.clients)]
    for label in np.unique(labels):
        of_class = draws.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum(draws.dirichlet(np.full(utility.clients, utility.alpha)))[:-1] * len(of_class)
        for part, some in zip(parts, np.split(of_class, np.rint(ends).astype(np.int64)), strict=True):
            part.append(some)
    return [np.concatenate(part) for part in parts]
