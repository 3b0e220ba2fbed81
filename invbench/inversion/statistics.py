"""What BatchNorm remembers of the training pictures, and how far a batch is from it (Yin et al. 2020, eq. 4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

Normalised = nn.BatchNorm1d | nn.BatchNorm2d


def remembering(network: nn.Module) -> list[Normalised]:
    """Its BatchNorm layers that keep running statistics."""
    layers = [layer for layer in network.modules() if isinstance(layer, Normalised)]
    return [layer for layer in layers if layer.track_running_stats]


@contextmanager
def statistics_of(network: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, each forward pass puts a distance a layer into the list, of the batch from what the layer remembers.

    |mean - running mean| / sqrt(s) + |variance - running variance| / s, with norms over channels, the batch's mean and
    biased variance over pictures and places, and s = |running variance|, so that deep and shallow layers count alike.
    """
    told: list[Tensor] = []

    def look(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Normalised)
        mean, variance = layer.running_mean, layer.running_var
        assert mean is not None
        assert variance is not None
        values = given[0].transpose(0, 1).flatten(1)  # (channels, pictures * places)
        spread = variance.norm()
        told.append(
            (values.mean(dim=1) - mean).norm() / spread.sqrt()
            + (values.var(dim=1, correction=0) - variance).norm() / spread
        )

    hooks = [layer.register_forward_pre_hook(look) for layer in remembering(network)]
    try:
        yield told
    finally:
        for hook in hooks:
            hook.remove()
