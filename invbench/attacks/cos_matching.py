"""The value whose gradient fits an update best by its cosine (Lyu and Chen 2021, arXiv 2108.06910)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.defenses import Context
from invbench.observation import DIVERGED, AttributeGuess, Failed, Labelled, Public, UpdateAttributeObservation
from invbench.registry import attack, parameter
from invbench.updates.rows import asked_of, best_of_each
from invbench.updates.simulation import as_gradient, defended_gradient, protocol_of, simulate, stack_of
from invbench.updates.single import Layers, no_single_gradients, row_of, rows_of


@attack(game="update-attribute")
@dataclass(frozen=True, kw_only=True)
class CosMatching(Attack[Public, UpdateAttributeObservation, AttributeGuess]):
    """argmax over v of <U, u_v> / |U| |u_v|, with u_v what would be shared if the person's value were v.

    Of one record u_v is what the protocol makes of it, local steps among them. Of a batch whose other rows are not
    known it is the record's own gradient at the global weights, and the update is taken for the batch's. The paper
    ascends the cosine over the sensitive columns and takes the nearest category; with every value tried there is
    nothing to round. Where labels or other attributes are hidden, the best row of each value counts.

    What it gives as a value's probability is 1 + cosine as a share of the values' sum: it ranks people, no more.
    """

    layers: Layers = parameter("all", help="of which parameters: all, or those of the last layer")

    def unsupported(self, public: Public) -> str | None:
        return no_single_gradients(public, self.layers)

    def __call__(self, seen: UpdateAttributeObservation) -> AttributeGuess:
        asked, alone = asked_of(seen), seen.public.pictures == 1
        whole = row_of(seen.update if alone else as_gradient(seen), seen, self.layers).double()
        if not bool(whole.isfinite().all()):
            raise Failed(DIVERGED)
        made = self._shared(seen, asked.rows) if alone else torch.cat([*rows_of(seen, asked.rows, self.layers)])
        cosines = torch.cosine_similarity(made.double(), whole[None], dim=1, eps=torch.finfo(torch.float64).tiny)
        fits = 1 + best_of_each(asked, cosines, len(seen.values))
        return AttributeGuess(probabilities=tuple((fits / fits.sum()).tolist()), evaluations=len(asked.value))

    @torch.no_grad()
    def _shared(self, seen: UpdateAttributeObservation, rows: Labelled) -> Tensor:
        """What a client would share of each row alone `(N, n)`, before defences act on it as a whole."""
        public, context = seen.public, Context(seen.generator)
        draws = protocol_of(public).draw(1, seen.generator)
        gradient = defended_gradient(stack_of(public), context)
        shared = (
            simulate(public, seen.model, row[None], label[None], gradient=gradient, draws=draws)
            for row, label in zip(rows.images, rows.labels, strict=True)
        )
        return torch.stack([row_of(one, seen, self.layers) for one in shared])
