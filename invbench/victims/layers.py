"""A network that no attack could hold is refused while it is made, before memory or patience is gone: of too many
layers, or with one whose bytes torch cannot count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import module

MOST_LAYERS = 100_000
"""Of a network: its modules and tensors. torchvision's efficientnet_v2_l has 2,956."""
_UNCOUNTABLE = ("Storage size calculation overflowed", "Overflow when unpacking long")
"""What torch says of a tensor whose bytes, or one of whose sides, no int64 counts; it has no type of error for it."""


class TooManyLayers(Exception):
    """What a network has too many of, in words."""


@contextmanager
def few_layers(name: str) -> Iterator[None]:
    """TooManyLayers as soon as more modules, parameters and buffers than that are put into networks inside, or a tensor
    of more numbers than torch can count.

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
    except (RuntimeError, TypeError) as error:
        if not any(words in str(error) for words in _UNCOUNTABLE):
            raise
        raise TooManyLayers(f"{name} has a layer of more than 2^63 bytes") from error
    finally:
        for hook in hooks:
            hook.remove()
