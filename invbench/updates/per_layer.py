"""The size of each example's own gradient, layer by layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy


def layer_norms(network: nn.Module, images: Tensor, labels: Tensor, *, together: bool = False) -> Tensor:
    """Norm of each example's gradient of each layer's weight, `(layers, B)`, float64 on the CPU.

    `images`: normalised `(B, C, H, W)`; `labels` `(B,)`. Layers: parameters called `weight` of more than one dimension,
    so neither biases nor normalisations. `together`: the examples share a forward pass, as where BatchNorm takes the
    statistics of the batch; an example's gradient is then of its own loss in that pass.

    A fully connected layer's gradient is D' A, error signals `(T, out)` times inputs `(T, in)`, so that its norm is
    sqrt(<D D', A A'>) and the gradient is never made (Goodfellow 2015, arXiv 1510.01799, for T = 1).
    """
    weights = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
    parts = [slice(None)] if together else [slice(k, k + 1) for k in range(len(images))]
    with torch.enable_grad():
        norms = [one for part in parts for one in _of_pass(network, weights, images[part], labels[part])]
    return torch.stack(norms, dim=1) if norms else torch.zeros(0, 0, dtype=torch.float64)


def _of_pass(network: nn.Module, weights: Mapping[str, Tensor], images: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """The norms `(layers,)` of each example of one forward pass."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def note(weight: str, _: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        calls[weight].append((given[0].detach(), output))

    dense = {name: layer for name, layer in network.named_modules() if type(layer) is nn.Linear}
    hooks = [one.register_forward_hook(partial(note, f"{name}.weight".lstrip("."))) for name, one in dense.items()]
    try:
        scores: Tensor = functional_call(network, dict(weights), (images,))
    finally:
        for hook in hooks:
            hook.remove()
    once = {name: seen[0] for name, seen in calls.items() if len(seen) == 1}
    layers = [name for name, w in weights.items() if name.rpartition(".")[2] == "weight" and w.dim() > 1]
    wanted = [once[name][1] if name in once else weights[name] for name in layers]
    for loss in cross_entropy(scores, labels, reduction="none"):
        slopes = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
        pairs = zip(layers, slopes, strict=True)
        yield torch.stack([_norm(slope, once[name][0] if name in once else None) for name, slope in pairs])


def _norm(slope: Tensor, inputs: Tensor | None) -> Tensor:
    """Norm of a gradient, or of the product of error signals `slope` and inputs, each `(..., n)`."""
    if inputs is None:
        size: Tensor = slope.double().square().sum().sqrt()
        return size.cpu()
    signals, given = slope.double().flatten(0, -2), inputs.double().flatten(0, -2)
    square: Tensor = ((signals @ signals.T) * (given @ given.T)).sum()
    norm: Tensor = square.clamp(min=0).sqrt()
    return norm.cpu()
