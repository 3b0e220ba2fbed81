"""BatchNorm of clients: in train mode without its side effect, and what its buffers and its inputs say of a batch.

In train mode PyTorch normalises by a batch's mean m and biased variance v, and moves its buffers by a momentum a:
running mean <- (1 - a) running mean + a m, running variance <- (1 - a) running variance + a v n / (n - 1), with n the
values of a channel, pictures times places. So buffers hold the unbiased variance.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from invbench.observation import BatchStatistics, Tensors

BatchNorm = nn.modules.batchnorm._BatchNorm
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def use_batch_statistics(network: nn.Module) -> nn.Module:
    """The same network, changed in place: every BatchNorm forgets its running statistics.

    Without them PyTorch normalises by the batch's own in either mode, and `torch.func` can map over it.
    """
    for layer in layers_of(network).values():
        layer.track_running_stats = False
        layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    return network


def layers_of(network: nn.Module) -> dict[str, BatchNorm]:
    """Its BatchNorm layers by name, each once."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BatchNorm)}


def buffers_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies of what its BatchNorm layers remember, by the names of buffers; empty where they remember nothing."""
    return {
        key(name, buffer): value.detach().clone()
        for name, layer in layers_of(network).items()
        for buffer in _BUFFERS
        if (value := getattr(layer, buffer)) is not None
    }


def buffers_after(network: nn.Module, before: Tensors, images: Tensor) -> dict[str, Tensor]:
    """The buffers that a client in train mode has after one pass over its batch: by PyTorch itself, on a copy.

    `before`: those of its BatchNorm layers (`buffers_of`), which the network itself may have forgotten. `images`:
    normalised `(B, C, H, W)`.
    """
    own = copy.deepcopy(network)
    for name, layer in layers_of(own).items():
        if key(name, "running_mean") in before:
            layer.track_running_stats = True
            for buffer in _BUFFERS:
                setattr(layer, buffer, before[key(name, buffer)].clone())
            layer.train()
    with torch.no_grad():
        own(images)
    return buffers_of(own)


def running(buffers: Tensors) -> dict[str, BatchStatistics]:
    """Running means and variances by the layer's name, from buffers by theirs."""
    mean, variance, _ = _BUFFERS
    layers = [name.removesuffix(mean).rstrip(".") for name in buffers if name.endswith(mean)]
    return {layer: BatchStatistics(buffers[key(layer, mean)], buffers[key(layer, variance)]) for layer in layers}


def statistics_of(network: nn.Module, images: Tensor) -> dict[str, BatchStatistics]:
    """Mean and biased variance of every BatchNorm layer's input as the network computes them of a batch."""
    with torch.no_grad(), looking_at(network) as found:
        network(images)
    return found


@contextmanager
def looking_at(network: nn.Module) -> Iterator[dict[str, BatchStatistics]]:
    """Inside, each forward pass writes down the statistics of every BatchNorm layer's input, by the layer's name.

    Over pictures and places, the variance biased. Differentiable, and fit for `torch.func.vmap` where what was written
    is used inside the mapped function.
    """
    found: dict[str, BatchStatistics] = {}

    def write(name: str, given: tuple[Tensor, ...]) -> None:
        values = given[0].transpose(0, 1).flatten(1)  # (channels, pictures * places)
        found[name] = BatchStatistics(values.mean(dim=1), values.var(dim=1, correction=0))

    def hook(name: str) -> torch.utils.hooks.RemovableHandle:
        return layers[name].register_forward_pre_hook(lambda _, given: write(name, given))

    layers = layers_of(network)
    hooks = [hook(name) for name in layers]
    try:
        yield found
    finally:
        for one in hooks:
            one.remove()


def values_of(network: nn.Module, image_shape: tuple[int, int, int], batch_size: int) -> Mapping[str, list[int]]:
    """Of every BatchNorm layer, at each of its calls in one pass, n: the values of a channel, pictures times places.

    `network` on the meta device; it is left as it is.
    """
    probe = use_batch_statistics(copy.deepcopy(network))
    counts: dict[str, list[int]] = {name: [] for name in layers_of(probe)}

    def hook(name: str, layer: nn.Module) -> None:
        layer.register_forward_pre_hook(lambda _, given: counts[name].append(given[0].numel() // given[0].shape[1]))

    for name, layer in layers_of(probe).items():
        hook(name, layer)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        probe(torch.empty(batch_size, *image_shape, device="meta"))
    return counts


def numbers_shown(network: nn.Module, grant: str) -> int:
    """How many numbers of a batch's statistics are seen by a grant (`UpdateProtocol.batch_statistics`)."""
    return 0 if grant == "before" else sum(2 * layer.num_features for layer in layers_of(network).values())


def bytes_shown(network: nn.Module, grant: str) -> int:
    """What they add to a client's message: float32, and with buffers a count of 8 bytes a layer."""
    counts = 8 * len(layers_of(network)) if grant == "after" else 0
    return 4 * numbers_shown(network, grant) + counts


def key(layer: str, buffer: str) -> str:
    """A buffer's name in its network."""
    return f"{layer}.{buffer}" if layer else buffer
