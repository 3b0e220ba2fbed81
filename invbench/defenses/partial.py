"""Sharing some layers only.

Heads: Liang et al. 2020, arXiv 2001.01523; bodies: Arivazhagan et al. 2019, arXiv 1912.00818.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from invbench.core.parameters import nearest_name
from invbench.defenses import Context, Defense
from invbench.defenses._layers import last_linear
from invbench.observation import Update
from invbench.registry import defense, parameter

HEAD, BODY = "head", "body"


@defense
@dataclass(frozen=True, kw_only=True)
class Partial(Defense):
    """Share the layers whose parameters' names match a pattern; the others never leave the client.

    `layers`: one pattern or a list of them, with `*`, `?` and `[...]` as in a shell, each held against the whole name
    of a parameter (`fc.weight`) and of its layer (`fc`). `head` is the classifier's last fully connected layer, `body`
    all but that. Which layers are shared is agreed beforehand, so their places cost no bytes. Listed behind noise it
    shares noised values of its layers; noise that is listed behind it is sent for all layers.
    """

    leaves_out = True
    shortens = True
    smooth = True

    layers: str | tuple[str, ...] = parameter(
        HEAD, help="names of what is shared, with wildcards; `head`: the last fully connected layer, `body`: all else"
    )

    def unsupported(self, network: nn.Module, batch_size: int) -> str | None:
        names = [name for name, _ in network.named_parameters()]
        if {HEAD, BODY} & set(self._patterns) and last_linear(network) is None:
            return "needs a last fully connected layer, which is its head; the network does not end in one"
        for pattern, wanted in ((one, _matching(one, network)) for one in self._patterns):
            if not any(wanted):
                near = nearest_name(pattern, [*names, *(_layer(name) for name in names), HEAD, BODY])
                return f"no layer is called {pattern!r}; " + (f"nearest: {near!r}" if near else f"one is {names[0]!r}")
        return None

    def on(self, network: nn.Module) -> Defense:
        return _OfNetwork(layers=self.layers, shared=_shared(self._patterns, network))

    def update(self, shared: Update, context: Context) -> Update:
        if context.client is None:
            raise ValueError("partial has to be told of which network an update is: Stack.on")
        return self.on(context.client.network).update(shared, context)

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Of the layers alone that hold any number; everybody knows which they are."""
        total = sum(map(Tensor.numel, shared))
        return -(-before * sum(tensor.numel() for tensor in shared if tensor.any()) // total)

    @property
    def _patterns(self) -> tuple[str, ...]:
        return (self.layers,) if isinstance(self.layers, str) else self.layers


@dataclass(frozen=True, kw_only=True)
class _OfNetwork(Partial):
    """`Partial` of one network: `shared` says of each parameter, in their order, whether it is shared."""

    shared: tuple[bool, ...]

    def on(self, network: nn.Module) -> Defense:
        return self

    def update(self, shared: Update, context: Context) -> Update:
        pairs = zip(shared, self.shared, strict=True)
        return tuple(tensor if kept else torch.zeros_like(tensor) for tensor, kept in pairs)

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Of a layer that is not shared nothing is seen."""
        pairs = zip(variance, self.shared, strict=True)
        return expected, tuple(v if kept else torch.full_like(v, torch.inf) for v, kept in pairs)

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """A layer that is not shared may have had any gradient."""
        return (
            tuple(a if kept else torch.full_like(a, -torch.inf) for a, kept in zip(low, self.shared, strict=True)),
            tuple(b if kept else torch.full_like(b, torch.inf) for b, kept in zip(high, self.shared, strict=True)),
        )


def _shared(patterns: tuple[str, ...], network: nn.Module) -> tuple[bool, ...]:
    """Of each parameter whether any pattern matches it."""
    return tuple(any(one) for one in zip(*(_matching(pattern, network) for pattern in patterns), strict=True))


def _matching(pattern: str, network: nn.Module) -> list[bool]:
    names = [name for name, _ in network.named_parameters()]
    if pattern in (HEAD, BODY):
        head = last_linear(network)
        return [(head is not None and _layer(name) == head[0]) is (pattern == HEAD) for name in names]
    return [fnmatchcase(name, pattern) or fnmatchcase(_layer(name), pattern) for name in names]


def _layer(name: str) -> str:
    """The layer of a parameter: its name without the last word."""
    return name.rpartition(".")[0]
