"""Gradient suppression against secure aggregation (Pasquini et al. 2022, arXiv 2111.07380, section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from invbench.attacks import UpdateAttack
from invbench.crafting.inner import TRIAL, Inner, inner_attack
from invbench.observation import Guess, Public, PublicDefense, Tensors, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.simulation import not_one_gradient, stack_of

_PASSED = (nn.Flatten, nn.Identity, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Layers that make zeros of zeros and ones of ones."""

_AFFINE = (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm)


@attack(game="update", aims="client", server="malicious", version=2)
@dataclass(frozen=True, kw_only=True)
class Suppress(UpdateAttack):
    """A malicious server gives all clients but one a model whose last ReLUs are dead, and reads that one's update.

    Dead: the layer before the last ReLU has weights 0 and biases -1, so that nothing comes through, and the gradients
    of all weights below and of the classifier's vanish exactly. That of the classifier's bias, p - y, does not. So the
    first client's model has a unit there that is always 1 (weights 0, bias 1): its column of the classifier's gradient
    is the first client's bias gradient, and the others', whose unit is 0, add nothing to it. What is left is one
    client's update, n times its share of the mean, for the attack `inner`. What other clients' declared defences add
    as noise it is told as one more defence, Gaussian noise of that variance.

    It shows something against several `clients` of the protocol, whose sum alone is seen otherwise. With the protocol's
    `model_check` clients compare hashes of their models first, and it is unsupported.
    """

    inner: Inner = parameter("auto", help="attack that reads the update of the one client that is left")
    evaluations: int = parameter(1500, at_least=1, help="most evaluations of a target, where the inner attack counts")

    def unsupported(self, public: Public) -> str | None:
        if public.protocol_settings.get("model_check"):
            return "gives clients different models, and they compare hashes (model_check): none shares anything"
        if _switch(public.network) is None:
            return f"needs a layer with bias, a ReLU and a fully connected classifier in a row; {public.model} has none"
        if (why := not_one_gradient(public)) is not None:
            return why
        why = self._inner().unsupported(_alone(public))
        return None if why is None else f"{self.inner}: {why}"

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        switch = _switch(public.network)
        assert switch is not None  # else it is unsupported
        weight, bias = weights[f"{switch}.weight"].clone(), weights[f"{switch}.bias"].clone()
        reached = slice(None) if client else slice(1)  # of the others every unit, of the first client the first unit
        weight[reached], bias[reached] = 0.0, -1.0 if client else 1.0
        return {**weights, f"{switch}.weight": weight, f"{switch}.bias": bias}

    def trial(self) -> tuple[Suppress, float]:
        few = min(self.evaluations, TRIAL)
        return replace(self, evaluations=few), self.evaluations / few

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        return self._inner().attack_all([_left(seen) for seen in observations])

    def _inner(self) -> UpdateAttack:
        return inner_attack(self.inner, self.evaluations)


def _switch(network: nn.Module) -> str | None:
    """The layer that makes the last ReLU dead, by name; None where the network is not a row of layers that ends so."""
    if any(not isinstance(one, nn.Sequential) and next(one.children(), None) for one in network.modules()):
        return None
    row = [(name, one) for name, one in network.named_modules() if not isinstance(one, nn.Sequential)]
    if not row or not isinstance(row.pop()[1], nn.Linear):
        return None
    while row and isinstance(row[-1][1], _PASSED):
        row.pop()
    if len(row) < 2 or not isinstance(row.pop()[1], nn.ReLU):
        return None
    name, layer = row[-1]
    return name if isinstance(layer, _AFFINE) and layer.bias is not None else None


def _alone(public: Public) -> Public:
    """What is public of the update that is left."""
    added = _others_noise(public)
    noise = (PublicDefense("gaussian", {"std": added}),) if added else ()
    return replace(public, clients=1, defenses=(*public.defenses, *noise))


def _others_noise(public: Public) -> float:
    """Standard deviation of what the others' defences add to zeros, all of them together; the largest of any entry."""
    stack = stack_of(public).only(frozenset({"update"}))
    if public.clients == 1 or not stack.defenses:
        return 0.0
    zero = torch.zeros(1)
    (variance,) = stack.expected((zero,), (zero,), (torch.ones(1),))[1]
    return math.sqrt((public.clients - 1) * float(variance)) if bool(variance.isfinite()) else 0.0


def _left(seen: UpdateObservation) -> UpdateObservation:
    """The first client's update, from the mean of all clients'."""
    update = [tensor * seen.public.clients for tensor in seen.update]
    names = [name for name, _ in seen.model.named_parameters()]
    if names[-1].endswith("bias"):  # the classifier's; the column of the unit that is always 1 holds it
        update[-1] = update[-2][:, 0].clone()
    labels = None if seen.labels is None else seen.labels[: seen.public.batch_size]
    return replace(seen, public=_alone(seen.public), update=tuple(update), labels=labels)
