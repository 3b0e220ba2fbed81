"""Generative model inversion (GMI; Zhang et al. 2020, CVPR, arXiv 1911.07135): the code of a generator is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from invbench.attacks import Attack
from invbench.core import progress
from invbench.inversion.generator import Generator, Recipe, trained_generator, without_pictures
from invbench.observation import Inversion, ModelObservation, ModelPublic, Preparation
from invbench.registry import attack, parameter


@attack(game="model")
@dataclass(frozen=True, kw_only=True)
class GeneratorInversion(Attack[ModelPublic, ModelObservation, Inversion]):
    """min over z of -log f(G(z))_class + prior |z|^2 / 2, by Adam from several z of N(0, I): the one of least cost.

    G is a small variational autoencoder, trained once on the attacker's own pictures, which are of other classes than
    the model's (protocol setting `public: other-classes`). Zhang et al. train a GAN on public faces, and their prior
    is its critic's score of G(z); the density of a variational autoencoder's code is known: |z|^2 / 2. What G cannot
    draw is not found.
    """

    iterations: int = parameter(200, at_least=1, unit="iterations", help="of Adam, its rate falling to 0")
    rate: float = parameter(0.1, above=0, help="Adam's first learning rate, of codes")
    restarts: int = parameter(
        4, at_least=1, unit="codes", help="searched from, of which that of least cost is answered"
    )
    prior: float = parameter(0.03, at_least=0, help="weight of the code's density against the class's log confidence")
    latent: int = parameter(32, at_least=1, unit="numbers", help="of the generator's code")
    hidden: int = parameter(200, at_least=1, unit="units", help="of the generator's hidden layer")
    training_steps: int = parameter(500, at_least=1, unit="batches of 32", help="how long the generator trains")

    def unsupported(self, public: ModelPublic) -> str | None:
        if not public.weights_granted:
            return f"needs the model's weights, which protocol {public.protocol} does not grant; brep-mi asks it"
        return without_pictures(public)

    def preparations(self, public: ModelPublic) -> Mapping[str, Preparation]:
        return trained_generator(public, self._recipe)

    def attack_all(self, observations: Sequence[ModelObservation]) -> list[Inversion]:
        """All classes and restarts as lanes of one program: their model is the same."""
        first, scores = observations[0], observations[0].released()
        generator = Generator.of(first, self._recipe)
        starts = [torch.randn(self.restarts, self.latent, generator=seen.generator) for seen in observations]
        codes = torch.cat(starts).to(first.device).requires_grad_(True)
        targets = torch.tensor([seen.target for seen in observations for _ in range(self.restarts)]).to(first.device)
        optimizer = torch.optim.Adam([codes], lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.iterations)
        best, least = codes.detach().clone(), torch.full((len(codes),), torch.inf, device=first.device)
        for step in range(self.iterations + 1):  # the last codes are looked at, too
            apart = functional.cross_entropy(scores(generator.pictures(codes)), targets, reduction="none")
            cost = apart + self.prior * codes.square().sum(dim=1) / 2
            better = cost.detach() < least
            least, best[better] = torch.where(better, cost.detach(), least), codes.detach()[better]
            if step < self.iterations:
                (codes.grad,) = torch.autograd.grad(cost.sum(), codes)
                optimizer.step()
                schedule.step()
            progress.report("attack", step, self.iterations, float(least.mean()))
        chosen = least.reshape(-1, self.restarts).argmin(dim=1) + self.restarts * torch.arange(len(observations)).to(
            least.device
        )
        with torch.no_grad():
            pictures = generator.pictures(best[chosen])
            sure = scores(pictures).softmax(dim=1)[torch.arange(len(chosen)), targets[chosen]]
        return [
            Inversion(
                image=image,
                objective=float(least[lane]),
                evaluations=self.restarts * (self.iterations + 1),
                stopped={"budget spent": self.restarts},
                facts={"confidence": float(confidence)},
            )
            for image, lane, confidence in zip(pictures, chosen.tolist(), sure, strict=True)
        ]

    @property
    def _recipe(self) -> Recipe:
        return Recipe(latent=self.latent, hidden=self.hidden, steps=self.training_steps)
