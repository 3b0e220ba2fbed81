"""A generator of pictures, trained on the attacker's own: a small variational autoencoder (Kingma and Welling 2013).

Zhang et al. 2020 (GMI, arXiv 1911.07135) train a GAN on public faces; a variational autoencoder of two layers (arXiv
1312.6114) trains in seconds on a few hundred pictures, and its code has a known density, N(0, I).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn

from invbench.core import progress
from invbench.observation import ModelObservation, ModelPublic, Preparation, Tensors

BATCH = 32
RATE = 2e-3
NOISE = 0.1
"""Standard deviation of a pixel around what the decoder says, in [0, 1]: weighs pictures against the code's density."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """`latent`: numbers of a code. `hidden`: units of the only hidden layer. `steps`: batches of 32."""

    latent: int
    hidden: int
    steps: int


def without_pictures(public: ModelPublic) -> str | None:
    """Why no generator can be trained, or None."""
    if public.reference is not None:
        return None
    return "needs pictures of the attacker's own, on which a generator trains: give the protocol public: other-classes"


def trained_generator(public: ModelPublic, recipe: Recipe) -> dict[str, Preparation]:
    """`generator`: the decoder's weights. Attacks of one recipe share one artefact."""
    if public.reference is None:
        return {}
    shape = "x".join(map(str, public.image_shape))
    preparation = Preparation(
        what=f"training a generator on {len(public.reference)} pictures of {shape}",
        key={"generator": asdict(recipe)},
        make=partial(_trained, public.reference, recipe),
    )
    return {"generator": preparation}


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained decoder: codes `(N, latent)` to pictures `(N, C, H, W)` in [0, 1], differentiable."""

    decoder: nn.Module
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, seen: ModelObservation, recipe: Recipe) -> Generator:
        """The one that was prepared."""
        decoder = _decoder(recipe, _size(seen.public.image_shape))
        decoder.load_state_dict(dict(seen.prepared["generator"]))
        return cls(decoder.to(seen.device).requires_grad_(False), seen.public.image_shape)

    def pictures(self, codes: Tensor) -> Tensor:
        made: Tensor = self.decoder(codes).reshape(-1, *self.shape)
        return made


def _trained(pictures: Tensor, recipe: Recipe, made: Mapping[str, Tensors]) -> Tensors:
    """The decoder's weights by name: it depends on pictures and recipe alone."""
    rows = pictures.flatten(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = _decoder(recipe, rows.shape[1])
        encoder = nn.Sequential(
            nn.Linear(rows.shape[1], recipe.hidden), nn.ReLU(), nn.Linear(recipe.hidden, 2 * recipe.latent)
        )
    autoencode(decoder, list(decoder.parameters()), encoder, rows, recipe.steps)
    return decoder.state_dict()


def autoencode(
    decoder: Callable[[Tensor], Tensor], weights: Sequence[Tensor], encoder: nn.Module, rows: Tensor, steps: int
) -> None:
    """Train a decoder from codes to `rows` `(N, D)`, by its `weights`, and the encoder beside it.

    Loss: |x - decoder(z)|^2 / (2 NOISE^2) + KL(q(z | x), N(0, I)), summed, a picture. q(z | x) is normal with a mean
    and a diagonal variance that the encoder gives; z is drawn of it once a step, from a fixed stream. Adam, its rate
    falling to 0. ArithmeticError where a weight is not finite in the end.
    """
    stream = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([*encoder.parameters(), *weights], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    centre = rows.mean(dim=0)
    for step in range(steps):
        batch = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=stream)]
        mean, log_variance = encoder(batch - centre).chunk(2, dim=1)
        code = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=stream)
        apart = (decoder(code) - batch).square().sum(dim=1) / (2 * NOISE**2)
        density = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
        loss = (apart + density).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.report("generator", step + 1, steps, loss.item())
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise ArithmeticError(f"the generator diverged: its weights are not finite after {steps} steps")


def _decoder(recipe: Recipe, size: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(recipe.latent, recipe.hidden), nn.ReLU(), nn.Linear(recipe.hidden, size), nn.Sigmoid()
    )


def _size(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
