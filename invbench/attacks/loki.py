"""LOKI: every picture of many clients out of the sum of their FedAvg updates (Zhao et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.attacks import UpdateAttack
from invbench.crafting.edges import equal_bins
from invbench.crafting.imprint import brightness
from invbench.crafting.loki import Loki as Module
from invbench.crafting.loki import levels, loki_weights, read_blocks, scaled
from invbench.crafting.ranking import best_first
from invbench.observation import Failed, Guess, Public, Tensors, UpdateObservation
from invbench.registry import attack, parameter

_A_PICTURE = 4
"""Bins for each picture of a client, as in the paper."""


@attack(game="update", server="malicious", adds_module=True)
@dataclass(frozen=True, kw_only=True)
class Loki(UpdateAttack):
    """Each client is given kernels of its own, so that the sum of all updates holds each client's pictures apart.

    Zhao, Sharma, Elkordy, Ezzeldin, Avestimehr and Bagchi 2023, arXiv 2303.12233, section 3. A module in front of the
    network passes the picture of client z through kernels that no other client has; a fully connected layer behind them
    sorts its brightness into bins, each unit active in its own bin alone. Where a bin holds one picture, the change of
    that unit's weights behind the client's kernels is the picture, up to a factor. Summing clients, as secure
    aggregation does, adds zeros. Over the steps of FedAvg a unit that was hit moves so far, by the kernels' `boost`,
    that it does not fire again, so that pictures of other local batches do not mix with it.

    The biases' update is summed over clients, and so the factor is unknown: a picture is scaled to the mean brightness
    that its bin stands for, which is wrong by up to half a bin's width. Edges are quantiles of the attacker's own
    pictures (`public` of the protocol). Clients that compare their models (`model_check`) share nothing. Of one client
    alone it reads what `imprint` cannot: an update of several steps.
    """

    bins: int | None = parameter(
        None, at_least=2, at_most=1_000_000, unit="bins", help="by default 4 for each picture of a client"
    )
    boost: float = parameter(1e6, at_least=1, help="the kernels' weight (the paper's convolutional scaling factor)")
    gain: float = parameter(1e-3, above=0, help="the units' mean is added to the picture times this")
    knot: int = parameter(
        30, at_least=1, unit="pictures", help="the edges' quantile function goes through every so many public pictures"
    )

    def unsupported(self, public: Public) -> str | None:
        if public.protocol_settings.get("model_check"):
            return "gives clients different models, and they compare hashes (model_check): none shares anything"
        if public.reference is None:
            return "needs pictures of the attacker's own for its bins: say `public: NUMBER` in the protocol"
        if len(public.reference) < 2 or not float(brightness(public.reference.images).std()) > 0:
            return "needs at least two pictures of the attacker's own that differ in brightness (`public`)"
        return None

    def inserted(self, public: Public) -> nn.Module:
        return Module(public.image_shape, _clients(public), self.bins or _A_PICTURE * public.batch_size)

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        edges = self._edges(public, len(weights["inserted.first.bias"]))
        mean, std = torch.tensor(public.mean), torch.tensor(public.std)
        return {**weights, **loki_weights(weights, edges, client, mean, std, self.boost, self.gain)}

    def __call__(self, seen: UpdateObservation) -> Guess:
        weight, bias = seen.update_of("inserted.first")
        assert bias is not None
        found = read_blocks(weight, _clients(seen.public))
        if not len(found.bins):
            raise Failed("no unit was hit")
        wanted = levels(self._edges(seen.public, len(bias))).to(found.contents.device)[found.bins]
        images = scaled(found.contents, wanted).reshape(-1, *seen.public.image_shape)
        best = best_first(found.contents.norm(dim=1), images, seen.public.pictures)
        return Guess(images=images[best].clamp(0, 1).float(), facts={"blocks": len(found.bins)})

    def _edges(self, public: Public, bins: int) -> Tensor:
        """Of the mean of a picture in [0, 1]."""
        assert public.reference is not None  # else it is unsupported
        mean, std = (torch.tensor(constants).reshape(-1, 1, 1) for constants in (public.mean, public.std))
        return equal_bins(brightness(public.reference.images.cpu() * std + mean), bins, self.knot)


def _clients(public: Public) -> int:
    """How many there are, those included whom the server does not see."""
    return int(public.protocol_settings.get("clients") or 1)
