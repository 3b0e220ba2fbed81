"""Soteria (Sun et al. 2021, arXiv 2012.06043): the most telling part of a representation is left out of a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.core.parameters import nearest_name
from invbench.defenses import Client, Context, Defense
from invbench.defenses._layers import last_linear, weight_position
from invbench.defenses._sending import whole_bytes
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Soteria(Defense):
    """Zero the columns of one fully connected layer's weight gradient that belong to the most telling of its inputs.

    The layer sees a representation r of a picture X. Among all r' in which `share` of r's entries are zero, the one
    whose reconstruction is farthest from X to first order lacks those for which || r_i (dr_i/dX)^-1 ||_2 is largest
    (section 5, p = 2, q = 0). dr_i/dX is a row, the norm of whose pseudo-inverse is 1 / ||dr_i/dX||_2:

        score_i = |r_i| / ||dr_i/dX||_2, summed over the pictures of a batch

    (0 where an input is 0). The trap: the authors' code has the inverse ratio, without the magnitude, and prunes where
    its sum is smallest; a copy that prunes where it is largest, or whose ratios of either sign cancel, defends the
    wrong ones. The weight's gradient is delta r', so its columns vanish; biases and other layers are shared as they
    are. A client of several steps takes r at the global weights. No guarantee: whoever knows the layer reads all others
    and the columns that were sent (Balunovic et al. 2022, arXiv 2111.04706, section 5).
    """

    leaves_out = True
    shortens = True
    reads_pictures = True

    share: float = parameter(0.8, help="share of the layer's inputs that are left out", above=0, below=1)
    layer: str | None = parameter(None, help="name of the fully connected layer; by default the last one")

    def unsupported(self, network: nn.Module, batch_size: int) -> str | None:
        linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
        if self._layer(network) is not None:
            return None
        if self.layer is None:
            return "needs a fully connected layer; the network does not end in one"
        near = nearest_name(self.layer, linear)
        there = f"nearest: {near!r}" if near else f"there are {', '.join(linear) or 'none'}"
        return f"no fully connected layer is called {self.layer!r}; {there}"

    def on(self, network: nn.Module) -> Defense:
        found = self._layer(network)
        if found is None:
            return self
        return _OfNetwork(share=self.share, layer=self.layer, position=weight_position(network, found[0]))

    def update(self, shared: Update, context: Context) -> Update:
        if context.client is None:
            raise ValueError("soteria has to be told of which client an update is: Context.client")
        found = self._layer(context.client.network)
        if found is None:
            return shared
        name, layer = found
        score = telling(context.client, layer)
        order = score.argsort(descending=True, stable=True)
        kept = torch.ones_like(score).index_fill(0, order[: self._left_out(len(score))], 0.0)
        position = weight_position(context.client.network, name)
        return tuple(t * kept.to(t) if k == position else t for k, t in enumerate(shared))

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Without the columns that were left out, and with a bit for each column of such a layer."""
        columns = [(len(t), (t == 0).all(dim=0)) for t in shared if t.dim() == 2]
        pruned = [(rows, empty) for rows, empty in columns if int(empty.sum()) >= self._left_out(len(empty))]
        total, missing = sum(map(Tensor.numel, shared)), sum(rows * int(empty.sum()) for rows, empty in pruned)
        return -(-before * (total - missing) // total) + whole_bytes(sum(len(empty) for _, empty in pruned))

    def _left_out(self, inputs: int) -> int:
        return min(max(1, round(self.share * inputs)), inputs)

    def _layer(self, network: nn.Module) -> tuple[str, nn.Linear] | None:
        if self.layer is None:
            return last_linear(network)
        layer = dict(network.named_modules()).get(self.layer)
        return (self.layer, layer) if isinstance(layer, nn.Linear) else None


@dataclass(frozen=True, kw_only=True)
class _OfNetwork(Soteria):
    """`Soteria` of one network: `position` of the defended weight among its parameters."""

    position: int

    def on(self, network: nn.Module) -> Defense:
        return self

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Of a column that was left out nothing is seen; of none where a later defence hides which these are."""
        return expected, self._where_left_out(variance, seen, torch.inf)

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """A column that was left out may have been anything."""
        return self._where_left_out(low, seen, -torch.inf), self._where_left_out(high, seen, torch.inf)

    def _where_left_out(self, values: Update, seen: Update, put: float) -> Update:
        empty = self._empty(seen)
        hidden = empty if self._seen(empty) else torch.ones_like(empty)
        return tuple(v.masked_fill(hidden, put) if k == self.position else v for k, v in enumerate(values))

    def _empty(self, seen: Update) -> Tensor:
        """The columns `(inputs,)` of which no entry was sent."""
        return (seen[self.position] == 0).all(dim=0)

    def _seen(self, empty: Tensor) -> bool:
        """Whether nothing was filled in where columns were left out."""
        return int(empty.sum()) >= self._left_out(len(empty))


def telling(client: Client, layer: nn.Linear) -> Tensor:
    """Score `(inputs,)` of each input r_i of a layer: the sum over the client's pictures of |r_i| / ||dr_i/dX||_2."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.enable_grad():
            images = client.batch[0].detach().clone().requires_grad_()
            client.network(images)
            (inputs,) = seen
            if inputs.dim() != 2:
                raise ValueError(f"soteria needs a layer of one vector a picture, not of {tuple(inputs.shape[1:])}")
            sums = inputs.sum(dim=0)  # pictures do not mix: each sum's slope is every picture's own
            slopes = [torch.autograd.grad(one, images, retain_graph=True)[0] for one in sums]
    finally:
        hook.remove()
    sizes = torch.stack([slope.flatten(1).norm(dim=1) for slope in slopes], dim=1)  # (B, inputs)
    ratios = torch.where(inputs != 0, inputs.abs() / sizes, 0.0)
    return ratios.detach().clamp(max=torch.finfo(ratios.dtype).max / len(ratios)).sum(dim=0)
