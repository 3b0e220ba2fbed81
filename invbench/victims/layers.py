"""So many layers that no attack could hold them are refused while they are made, before memory or patience is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import module

MOST_LAYERS = 100_000
"""Of a network: its modules and tensors. torchvision's efficientnet_v2_l has 2,956."""


class TooManyLayers(Exception):
    """What a network has too many of, in words."""


@contextmanager
def few_layers(name: str) -> Iterator[None]:
    """TooManyLayers as soon as more modules, parameters and buffers than that are put into networks inside.

    `name`: of the model, as the message says it. torch counts for the whole process: threads are not told apart.
    """
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1
        if made > MOST_LAYERS:
            raise TooManyLayers(f"{name} has more than {MOST_LAYERS:,} layers and tensors")

    hooks = (
        module.register_module_module_registration_hook(count),
        module.register_module_parameter_registration_hook(count),
        module.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
