"""A victim's weights from a seed, whatever the process has drawn before."""

from __future__ import annotations

import torch
from torch import nn

from invbench.defenses import NO_DEFENSES, Context, Stack
from invbench.models import ImageModel
from invbench.models._weights import put


def build_victim(
    model: ImageModel, image_shape: tuple[int, int, int], classes: int, seed: int, stack: Stack = NO_DEFENSES
) -> nn.Module:
    """The untrained network, float32 on the CPU and in eval mode: the same bits for the same arguments.

    A model that comes with weights of its own gets them in place of drawn ones; ValueError where they do not fit it.
    `stack`: defences, of which those of the stage `model` change it. Only the CPU generator is forked and seeded:
    initialisation draws nothing elsewhere.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        network = model.build(image_shape, classes)
        if (given := model.given_weights()) is not None:
            put(network, given, str(model.origin))
        network = stack.at("model", network, Context(torch.default_generator))
    return network.to(torch.float32).eval()
