"""Prior matching: which candidate's gradient agrees best with the noisy ones (Hayes et al. 2023, arXiv 2302.07225)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from invbench.attacks import Attack
from invbench.core.private import clipped_sum
from invbench.core.training import Training
from invbench.defenses import Context
from invbench.observation import InformedGuess, InformedObservation, InformedPublic
from invbench.registry import attack
from invbench.updates.simulation import declared


def agreement(gradients: Tensor, seen: Tensor, clip: float) -> Tensor:
    """<clipped g(z), seen> of each candidate z, `(..., K)`: the norm of each of `gradients` `(K, n)` is at most `clip`.

    `seen` `(..., n)`: a step's noisy sum, less the gradients that are known to be in it.
    """
    lengths = gradients.norm(dim=1, keepdim=True)
    shared: Tensor = seen @ (gradients * (clip / lengths).clamp_max(1)).T  # clip / 0 is infinite: a zero gradient stays
    return shared


@attack(game="informed")
@dataclass(frozen=True, kw_only=True)
class PriorMatch(Attack[InformedPublic, InformedObservation, InformedGuess]):
    """The score of a candidate is the sum over steps of <clip(g_t(z)), seen_t - sum of the others' clip(g_t)>.

    Section 4 of the paper. Under Gaussian noise and whole batches that is the log-likelihood, but for |clip(g_t(z))|^2,
    which is the same for all candidates where clipping binds; a gradient that is shorter than the clip scores less.
    """

    def __call__(self, seen: InformedObservation) -> InformedGuess:
        public = seen.public
        usual = Training(public.steps, examples=public.trained_on)
        training = declared(public.defenses).at("training", usual, Context(torch.Generator()))
        private = training.private
        clip = math.inf if private is None else private.clip
        batch = public.trained_on if private is None else private.batch
        weights = {name: weight.detach().clone() for name, weight in seen.model.named_parameters()}
        known = clipped_sum(seen.model, training.loss, clip, sum(weight.numel() for weight in weights.values()))
        scores = torch.zeros(public.candidates, dtype=torch.float64)
        for gradient, present in zip(seen.gradients, seen.present, strict=True):
            kept = present.to(seen.device, torch.float32)
            others, _ = known(weights, seen.others.images, seen.others.labels, kept)
            left = [batch * g - others[name] for name, g in zip(weights, gradient, strict=True)]
            own = _of_candidates(seen, training, weights)
            told = agreement(own, torch.cat([tensor.reshape(-1) for tensor in left]), clip)
            scores += told.double().cpu()
            weights = {n: w - public.lr * g for (n, w), g in zip(weights.items(), gradient, strict=True)}
        return InformedGuess(scores=scores, evaluations=len(seen.gradients))


def _of_candidates(seen: InformedObservation, training: Training, weights: dict[str, Tensor]) -> Tensor:
    """Each candidate's own gradient at these weights, all parameters in a row, `(K, n)`."""

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return training.loss(functional_call(seen.model, parameters, (image[None],)), label[None])

    each = vmap(partial(grad(loss), weights), randomness="different")(seen.candidates.images, seen.candidates.labels)
    return torch.cat([of.flatten(1) for of in each.values()], dim=1)
