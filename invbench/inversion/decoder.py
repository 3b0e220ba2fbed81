"""A convolutional generator in stages, trained on the attacker's own pictures as a variational autoencoder.

The attacks that search inside a generator take StyleGAN2 or BigGAN, of millions of pictures; this one trains on
hundreds in seconds (Kingma and Welling 2013, arXiv 1312.6114), and its code has a known density, N(0, I).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from invbench.core import upsampling
from invbench.inversion.generator import autoencode
from invbench.observation import Preparation, Public, Tensors

HIDDEN = 256
"""Units of the encoder's only hidden layer; the encoder is thrown away."""
EDGE = 1e-2
"""How near to black or white a mean pixel may be, whose logit the decoder's bias starts at."""
_TRIED = 3  # steps by which the time of all is told


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """`latent`: numbers of a code. `width`: maps of every layer. `steps`: batches of 32."""

    latent: int
    width: int
    steps: int


@dataclass(frozen=True)
class Decoder:
    """From codes `(B, latent)` to pictures `(B, C, H, W)` in [0, 1], in stages 0 to `stages` - 1.

    Stage 0 is linear and a ReLU, to maps of 4 to 7 pixels a side; each one after it doubles the sides (nearest) and
    has a convolution of 3 x 3 and a ReLU; the last is a convolution of 3 x 3 to colours, cropped to the picture, a bias
    of each pixel and a sigmoid. Weights are one vector `(size,)`.
    """

    recipe: Recipe
    image_shape: tuple[int, int, int]

    @property
    def stages(self) -> int:
        return 2 + upsampling.doublings(*self.image_shape[1:])

    def shape(self, stage: int) -> tuple[int, int, int]:
        """Of a picture's maps that go into a stage after the first: `(width, rows, columns)`."""
        rows, columns = upsampling.base(*self.image_shape[1:])
        times = 2 ** (stage - 1)
        return self.recipe.width, rows * times, columns * times

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of its weights: of each stage the weight and its bias; the last bias is of every pixel."""
        width, first = self.recipe.width, math.prod(self.shape(1))
        layers = [(first, self.recipe.latent), *[(width, width, 3, 3)] * (self.stages - 2)]
        found = [shape for layer in layers for shape in (layer, layer[:1])]
        return [*found, (self.image_shape[0], width, 3, 3), self.image_shape]

    @property
    def size(self) -> int:
        return sum(map(math.prod, self.shapes))

    def start(self, generator: torch.Generator) -> Tensor:
        """Weights uniform with variance 2 over a layer's inputs (He et al. 2015, arXiv 1502.01852); biases are 0."""
        drawn = [torch.zeros(shape) for shape in self.shapes]
        for at, shape in enumerate(self.shapes[::2]):
            drawn[2 * at] = (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(6 / math.prod(shape[1:]))
        return torch.cat([tensor.flatten() for tensor in drawn])

    def run(self, weights: Tensor, values: Tensor, begin: int = 0, end: int | None = None) -> Tensor:
        """What stages `begin` to `end` - 1, all where it is None, make of what goes into the first of them."""
        parts = torch.split(weights, [math.prod(shape) for shape in self.shapes])
        layers = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        for stage in range(begin, self.stages if end is None else end):
            weight, bias = layers[2 * stage : 2 * stage + 2]
            if stage == 0:
                values = (values @ weight.T + bias).relu().reshape(len(values), *self.shape(1))
            elif stage < self.stages - 1:
                values = conv2d(upsampling.doubled(values), weight, bias, padding=1).relu()
            else:
                colours = conv2d(values, weight, padding=1)[..., : self.image_shape[1], : self.image_shape[2]]
                values = (colours + bias).sigmoid()
        return values


def without_pictures(public: Public) -> str | None:
    """Why no generator can be trained, or None."""
    if public.reference is not None:
        return None
    return "needs pictures of the attacker's own, on which a generator trains: give the protocol `public: NUMBER`"


def trained_decoder(public: Public, recipe: Recipe) -> dict[str, Preparation]:
    """`generator`: a decoder's weights. Attacks of one recipe and the same pictures share one artefact.

    Which pictures an attacker has depends on those that a cell attacks, so the key holds their hash.
    """
    if public.reference is None:
        return {}
    images = public.reference.images.cpu()
    mean, std = (torch.tensor(constants).reshape(-1, 1, 1) for constants in (public.mean, public.std))
    unit = (images * std + mean).clamp(0, 1)
    preparation = Preparation(
        what=f"training a generator on {len(images)} pictures of {'x'.join(map(str, public.image_shape))}",
        key={"decoder": asdict(recipe), "pictures": hashlib.sha256(unit.numpy().tobytes()).hexdigest()},
        make=partial(_trained, unit, recipe),
        stages=frozenset(),
        trial=partial(_trial, unit, recipe),
    )
    return {"generator": preparation}


def _trained(pictures: Tensor, recipe: Recipe, made: Mapping[str, Tensors]) -> Tensors:
    """The decoder's weights: of `pictures` `(N, C, H, W)` in [0, 1] and the recipe alone, started around their mean."""
    _, channels, height, width = pictures.shape
    decoder, rows = Decoder(recipe, (channels, height, width)), pictures.flatten(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (nn.Linear(rows.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * recipe.latent))
        encoder = nn.Sequential(*layers)
    weights = decoder.start(torch.Generator().manual_seed(0))
    weights[-rows.shape[1] :] = rows.mean(dim=0).clamp(EDGE, 1 - EDGE).logit()
    weights.requires_grad_()
    autoencode(lambda codes: decoder.run(weights, codes).flatten(1), [weights], encoder, rows, recipe.steps)
    return {"weights": weights.detach()}


def _trial(pictures: Tensor, recipe: Recipe, made: Mapping[str, Tensors]) -> tuple[Tensors, float]:
    """A few steps, and how long all take."""
    short = replace(recipe, steps=min(_TRIED, recipe.steps))
    started = time.perf_counter()
    weights = _trained(pictures, short, made)
    return weights, (time.perf_counter() - started) * recipe.steps / short.steps
