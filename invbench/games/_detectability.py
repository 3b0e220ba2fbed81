"""What a client could see of a malicious server, in its own gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.games._batches import protocol_of
from invbench.scoring.computing import computed
from invbench.scoring.reconstruction import Scores, Truth, by_metric
from invbench.updates.per_layer import layer_norms
from invbench.victims.pictures import normalised


@dataclass(frozen=True, eq=False)
class Detectability:
    """The networks that clients were given, the honest one, and every target's pictures.

    `batches`: normalised pictures `(clients * B, C, H, W)`, client by client, and labels. `together`: a client's
    pictures share a forward pass (BatchNorm with the statistics of the batch).
    """

    game: str
    given: Sequence[nn.Module]
    honest: nn.Module
    batches: Sequence[tuple[Tensor, Tensor]]
    together: bool

    @cached_property
    def scores(self) -> Scores:
        """`d_snr` and `d_snr_honest`, one value a target; empty at batch 1, where nothing is computed."""
        return by_metric([computed(self.game, self._norms(*batch)) for batch in self.batches])

    def _norms(self, images: Tensor, labels: Tensor) -> dict[str, object]:
        clients = len(self.given)
        if len(images) == clients:
            nothing = torch.zeros(clients, 1, 1).numpy()
            return {"crafted_norms": nothing, "honest_norms": nothing}
        batches = list(zip(images.chunk(clients), labels.chunk(clients), strict=True))
        sides = {"crafted_norms": self.given, "honest_norms": [self.honest] * clients}
        return {name: self._stacked(networks, batches) for name, networks in sides.items()}

    def _stacked(self, networks: Sequence[nn.Module], batches: Sequence[tuple[Tensor, Tensor]]) -> object:
        pairs = zip(networks, batches, strict=True)
        return torch.stack([layer_norms(one, *batch, together=self.together) for one, batch in pairs]).numpy()


def detectability_of(
    cell: Cell, given: Sequence[nn.Module], honest: nn.Module, behind: Sequence[Truth], device: torch.device
) -> Detectability:
    """What the cell's clients, with these pictures, could see of the networks that they were given."""
    assert cell.normalisation is not None
    pairs = [(normalised(t.images, cell.normalisation), torch.from_numpy(t.labels)) for t in behind]
    pictures = [(images.to(device), labels.to(device)) for images, labels in pairs]
    return Detectability(cell.game, given, honest, pictures, together=protocol_of(cell).batch_norm == "train")
