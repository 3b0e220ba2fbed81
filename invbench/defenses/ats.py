"""Automatic transformation search (Gao et al. 2021, arXiv 2011.12505): pictures are augmented before they are used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invbench.defenses import Batch, Context, Defense
from invbench.defenses._augmentations import augmented
from invbench.registry import defense, parameter

LIBRARY: tuple[tuple[str, int], ...] = (
    ("invert", 7), ("contrast", 6), ("rotate", 2), ("translate-x", 9), ("sharpness", 1),
    ("sharpness", 3), ("shear-y", 2), ("translate-y", 2), ("autocontrast", 5), ("equalize", 2),
    ("shear-y", 5), ("posterize", 5), ("color", 3), ("brightness", 5), ("sharpness", 9),
    ("brightness", 9), ("equalize", 5), ("equalize", 1), ("contrast", 7), ("sharpness", 5),
    ("color", 5), ("translate-x", 5), ("equalize", 7), ("autocontrast", 8), ("translate-y", 3),
    ("sharpness", 6), ("brightness", 6), ("color", 8), ("solarize", 0), ("invert", 0),
    ("equalize", 0), ("autocontrast", 0), ("equalize", 8), ("equalize", 4), ("color", 5),
    ("equalize", 5), ("autocontrast", 4), ("solarize", 4), ("brightness", 3), ("color", 0),
    ("solarize", 1), ("autocontrast", 0), ("translate-y", 3), ("translate-y", 3), ("autocontrast", 1),
    ("solarize", 1), ("equalize", 5), ("invert", 0), ("translate-y", 3), ("autocontrast", 1),
)  # fmt: skip
"""The 50 operations, with their strengths, by whose numbers the paper names policies."""


@defense
@dataclass(frozen=True, kw_only=True)
class ATS(Defense):
    """Apply the operations of a policy, in turn, to each of a client's pictures; they and no others are computed on.

    `policy`: numbers of the paper's 50 operations, joined by `-`; several policies are joined by `+`, of which each
    picture draws one (its hybrid). `3-1-7+43-18-18` is the one found for ResNet-20 on CIFAR-100. Every operation of a
    policy acts, as in the authors' code, whose probabilities are not used; those with two directions draw one. The crop
    and flip that usual training adds are not part of it, nor is the search for policies. What is left of a gradient is
    that of the augmented picture, which is what attacks read (Balunovic et al. 2022, arXiv 2111.04706, section 5): what
    it hides is what the augmentation takes from the picture.
    """

    policy: str = parameter("3-1-7+43-18-18", help="operations by number, joined by `-`; policies joined by `+`")

    def __post_init__(self) -> None:
        numbers = [number for one in self.policy.split("+") for number in one.split("-")]
        if wrong := [n for n in numbers if not (n.isascii() and n.isdigit() and int(n) < len(LIBRARY))]:
            raise ValueError(
                f"ats: policy is numbers from 0 to {len(LIBRARY) - 1}, as in 3-1-7+43-18-18; not {wrong[0]!r}"
            )

    def inputs(self, batch: Batch, context: Context) -> Batch:
        images, labels = batch
        if context.client is None:
            raise ValueError("ats has to be told how pictures are normalised: Context.client")
        public = context.client.public
        mean, std = (torch.tensor(constants).reshape(-1, 1, 1).to(images) for constants in (public.mean, public.std))
        pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        changed = torch.stack([self._augmented(picture, context.generator) for picture in pixels])
        return (changed.to(images) / 255 - mean) / std, labels

    def _augmented(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        policies = self.policy.split("+")
        chosen = policies[int(torch.randint(len(policies), (), generator=generator))]
        pixels = picture.cpu().numpy()
        for number in chosen.split("-"):
            sign = 2 * int(torch.randint(2, (), generator=generator)) - 1
            pixels = augmented(pixels, *LIBRARY[int(number)], sign)
        return torch.from_numpy(np.ascontiguousarray(pixels))
