"""Gradient matching through an untrained generator (CI-Net; Zhang et al. 2023, ICCV, pages 5126 to 5135)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from invbench.matching.deep_prior import untrained_generator
from invbench.matching.recipe import Recipe
from invbench.matching.searched import Parametrisation
from invbench.observation import UpdateObservation
from invbench.registry import attack, parameter


@attack(game="update", controls=("noise",))
@dataclass(frozen=True, kw_only=True)
class DeepPrior(Recipe):
    """min over w of 1 - cos(g(G_w(z)), G): the weights w of a convolutional generator, its input z fixed noise.

    Adam at 1e-3 on the gradient's sign, its rate constant, 2,000 steps (the authors' CIFAR-10 notebook; 30,000 at 256
    pixels). Their generator doubles its width until it has four times as many weights as the batch has pixels; here
    `channels` says it, and spectral normalisation is left out. It normalises over the batch, so its pictures depend on
    each other.

    Published numbers are no yardstick: the notebooks swap the victim's ReLU for sigmoids, and of some 100 iterates they
    show the one with the best true SSIM. Here the victim is attacked as it is, and the last iterate is the answer. A
    later study (2503.11514) found it to fail where the activation is not nearly linear.
    """

    iterations: int = parameter(2000, at_least=1, help="optimiser steps of one start; a step is one evaluation")
    lr: float = parameter(1e-3, above=0, help="step size, of weights")
    decay: bool = parameter(False, help="Adam: the step size falls, see `schedule`")
    boxed: Literal[True] = parameter(True, help="the generator ends in a sigmoid: its pictures are in range by nature")
    start: Literal["normal"] = parameter(
        "normal", help="label logits start standard normal, where they are sought; weights as torch draws its layers'"
    )
    channels: int = parameter(64, at_least=1, help="maps of each of the generator's layers")
    latent: int = parameter(128, at_least=1, help="numbers of a picture's fixed noise")

    def _searched(self, group: Sequence[UpdateObservation]) -> Parametrisation | None:
        return untrained_generator(group, self.channels, self.latent)
