"""A neuron's ratio as a fingerprint of what it was given (Phong et al. 2017, IEEE TIFS 13(5), section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from invbench.attacks import Attack
from invbench.observation import DIVERGED, BatchMembershipObservation, Failed, MembershipGuess, Public
from invbench.registry import attack, parameter
from invbench.updates.simulation import as_gradient
from invbench.updates.single import Layers, fully_connected

_SOME = 256  # candidates that go through the network at a time


def closeness(weight: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    """Each candidate's largest cosine with a neuron's ratio, `(N,)`, of gradients `(k, m)`, `(k,)`, inputs `(N, m)`.

    Of one picture a: dL/dW_i = s_i a and dL/db_i = s_i, so every ratio r_i = dL/dW_i / dL/db_i is a. Of a batch it is
    sum_b s_bi a_b / sum_b s_bi, near the picture whose error signal is the largest. A neuron without any has no ratio.
    """
    told = bias != 0
    if not bool(told.any()):
        raise Failed("dL/db is zero for every neuron: none has a ratio")
    ratios = torch.nn.functional.normalize(weight[told] / bias[told][:, None], dim=1)
    best: Tensor = (torch.nn.functional.normalize(inputs, dim=1) @ ratios.T).amax(dim=1)
    return best


@attack(game="batch-membership")
@dataclass(frozen=True, kw_only=True)
class NeuronRatio(Attack[Public, BatchMembershipObservation, MembershipGuess]):
    """How close the input that a candidate gives a fully connected layer is to what one of its neurons tells.

    Of several layers the mean is taken. Labels of candidates are not read.
    """

    layers: Layers = parameter("last", help="the last layer, or all fully connected ones that take one row a picture")

    def unsupported(self, public: Public) -> str | None:
        last = public.last_linear()
        if last is None or last[1].bias is None:
            return f"needs a last fully connected layer with a bias; {public.model} has none"
        return None

    @torch.no_grad()
    def __call__(self, seen: BatchMembershipObservation) -> MembershipGuess:
        found, sent = _inputs(seen, self.layers), as_gradient(seen)
        names = [name for name, _ in seen.model.named_parameters()]
        scores = []
        for layer, inputs in found.items():
            prefix = f"{layer}." if layer else ""
            weight, bias = (sent[names.index(f"{prefix}{kind}")].double() for kind in ("weight", "bias"))
            scores.append(closeness(weight, bias, inputs.double()))
        mean = torch.stack(scores).mean(dim=0)
        if not bool(mean.isfinite().all()):
            raise Failed(DIVERGED)
        return MembershipGuess(scores=mean.cpu(), evaluations=len(seen.candidates))


def _inputs(seen: BatchMembershipObservation, layers: Layers) -> dict[str, Tensor]:
    """What each layer is given by the candidates, `(N, m)`, by its name; those left out that take several rows each."""
    last = seen.public.last_linear()
    names = fully_connected(seen.model, layers, "" if last is None else last[0])
    kept: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(name: str, layer: Any, given: tuple[Tensor, ...]) -> None:
        kept[name].append(given[0].detach())

    modules = dict(seen.model.named_modules())
    hooks = [modules[name].register_forward_pre_hook(partial(keep, name)) for name in names]
    try:
        for images in torch.split(seen.candidates.images, _SOME):
            seen.model(images.to(seen.device))
    finally:
        for hook in hooks:
            hook.remove()
    found = {name: torch.cat(given) for name, given in kept.items() if given and given[0].dim() == 2}
    if not found:
        raise Failed("no fully connected layer takes one row a picture")
    return found
