"""PRECODE (Scheliga, Mäder and Seeland 2022, arXiv 2108.04725): a variational bottleneck hides gradients in noise."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from invbench.defenses import Batch, Context, Defense
from invbench.defenses._bottleneck import VariationalBottleneck
from invbench.defenses._layers import last_linear
from invbench.observation import Update
from invbench.registry import defense, parameter


@defense
@dataclass(frozen=True, kw_only=True)
class Precode(Defense):
    """Put a variational bottleneck in front of the classifier's last fully connected layer.

    A client computes with a code drawn at random, so that the gradient of every layer is that of one draw e, which the
    server does not know. Every picture has a draw of its own, the same in all local steps of a client; behind a defence
    of each example all examples share one. What the victim answers is at e = 0. The network grows: so do its messages.

    No guarantee: the first fully connected layer's gradient still is its input times a factor, so where that is the
    network's first the picture is read exactly (Balunovic et al. 2022, arXiv 2111.04706, section 5). Elsewhere that
    layer may be the encoder, whose gradients tell the error signals that the draws made: of one picture its bias's is
    the signal, of several the signals are those that fit its gradients best once pictures are guessed. Whoever puts
    them in the place of all that is above matches encoder and lower layers without knowing a draw. Which label is whose
    is not told then: decoder and head are skipped.
    """

    size: int = parameter(256, at_least=1, unit="entries", help="size K of the code")
    beta: float = parameter(1e-3, at_least=0, help="weight of the code's divergence from a standard normal, in bits")

    def unsupported(self, network: nn.Module, batch_size: int) -> str | None:
        if any(isinstance(layer, VariationalBottleneck) for layer in network.modules()):
            return None
        return "needs a last fully connected layer to stand in front of; the network does not end in one"

    def clashes(self, before: Sequence[Defense]) -> str | None:
        if any(isinstance(other, Precode) for other in before):
            return "another precode has put its bottleneck in front of the last layer already"
        return None

    def model(self, network: nn.Module, context: Context) -> nn.Module:
        """The network with a bottleneck: its last layer becomes `NAME.1`, after `NAME.0`."""
        if last_linear(network) is None:
            return network
        network = copy.deepcopy(network)
        found = last_linear(network)
        assert found is not None
        name, layer = found
        seed = int(torch.randint(2**62, (), generator=context.generator, device="cpu"))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            both = nn.Sequential(VariationalBottleneck(layer.in_features, self.size, self.beta), layer)
        if not name:
            return both
        network.set_submodule(name, both)
        return network

    def inputs(self, batch: Batch, context: Context) -> Batch:
        """The pictures as they are; their draws are put into the client's own copy of the network."""
        if context.client is not None:
            for layer in context.client.network.modules():
                if isinstance(layer, VariationalBottleneck):
                    drawn = torch.randn(len(batch[0]), self.size, generator=context.generator)
                    layer.noise = drawn.to(layer.noise)
        return batch

    def on(self, network: nn.Module) -> Defense:
        names = [name for name, _ in network.named_parameters()]
        above = tuple(f"{name}.decoder." for name in _bottlenecks(network))
        heads = tuple(f"{name.removesuffix('0')}1." for name in _bottlenecks(network))
        return _OfNetwork(size=self.size, beta=self.beta, drawn=tuple(n.startswith(above + heads) for n in names))

    def told(self, network: nn.Module) -> Mapping[str, str]:
        """The error signals of what the encoder says, by its gradients."""
        return {f"{name}.signal": f"{name}.encoder" for name in _bottlenecks(network)}


@dataclass(frozen=True, kw_only=True)
class _OfNetwork(Precode):
    """`Precode` of one network: `drawn` says of each parameter whether it stands above the draw."""

    drawn: tuple[bool, ...]

    def on(self, network: nn.Module) -> Defense:
        return self

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """The gradients of decoder and head are skipped: they depend on the draw."""
        pairs = zip(variance, self.drawn, strict=True)
        return expected, tuple(torch.full_like(v, torch.inf) if drawn else v for v, drawn in pairs)

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """Without the draw the gradients of decoder and head may have been anything."""
        return (
            tuple(torch.full_like(a, -torch.inf) if drawn else a for a, drawn in zip(low, self.drawn, strict=True)),
            tuple(torch.full_like(b, torch.inf) if drawn else b for b, drawn in zip(high, self.drawn, strict=True)),
        )


def _bottlenecks(network: nn.Module) -> list[str]:
    return [name for name, layer in network.named_modules() if isinstance(layer, VariationalBottleneck)]
