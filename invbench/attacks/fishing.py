"""Fishing for user data: the pictures of one class out of a batch (Wen et al. 2022, arXiv 2202.00580)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from invbench.attacks import UpdateAttack
from invbench.crafting.fished import count_of, fishing_classifier, of_class_alone
from invbench.crafting.gated import gate_weights, gated_chain, of_one, relaxed
from invbench.crafting.inner import TRIAL, Inner, inner_attack
from invbench.observation import Failed, Guess, Public, Tensors, Update, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.simulation import as_gradient, not_one_gradient, protocol_of

_LEAST = 3
"""Pictures of the class with which a threshold is placed."""


@attack(game="update", server="malicious")
@dataclass(frozen=True, kw_only=True)
class Fishing(UpdateAttack):
    """A malicious server gives a classifier through which the pictures of one class alone send gradients.

    Wen, Geiping, Fowl, Goldblum and Goldstein 2022, arXiv 2202.00580, by class: the last layer's rows are 0 but the
    fished class's, whose probability large biases of the others make exactly 0. So all layers below hold the sum over
    that class, and its bias says how many pictures it has: where there is one, the update is that of a batch of one.
    The last layer's other rows hold everybody; they are filled in by what they must be for that class alone, which the
    authors leave to their search. The attack `inner` reads what is left. The guess holds the pictures of that class.

    `by: feature` passes one picture of the class, whatever their number: the one nearest below a threshold of one
    feature, which the attacker's own pictures of the class place (`crafting/gated.py`). The authors put such a
    threshold into the last layer, where it tells pictures of one class apart; here it stands one layer below, behind
    the class's. It needs a sigmoid before the last layer; the search matches the direction of what came through.
    """

    label: int = parameter(0, at_least=0, help="the class that is fished for")
    by: Literal["class", "feature"] = parameter("class", help="all pictures of the class, or one by one feature")
    inner: Inner = parameter("inverting-gradients", help="attack that reads the update of that class alone")
    evaluations: int = parameter(1500, at_least=1, help="most evaluations of a target, where the inner attack counts")

    def unsupported(self, public: Public) -> str | None:
        last = public.last_linear()
        if last is None or last[1].bias is None:
            return f"needs a last fully connected layer with bias that gives the classes; {public.model} has none"
        if self.label >= public.classes:
            return f"fishes for class {self.label}; there are {public.classes}, counted from 0"
        if protocol_of(public).batch_norm == "train":
            return "BatchNorm with the statistics of the batch mixes its pictures: no class has gradients of its own"
        if (why := not_one_gradient(public) or self._no_feature(public)) is not None:
            return why
        why = self._inner().unsupported(_alone(public, 1))
        return None if why is None else f"{self.inner}: {why}"

    def _no_feature(self, public: Public) -> str | None:
        """Why one picture cannot be fished by a feature, where that is asked for."""
        if self.by == "class":
            return None
        if gated_chain(public.network) is None:
            return f"needs a layer, a sigmoid and the last layer in a row; {public.model} does not end so"
        if self.inner != "inverting-gradients":
            return (
                f"by feature the update is known up to a factor: it needs inner inverting-gradients, not {self.inner}"
            )
        if (count := len(self._own(public))) < _LEAST:
            return f"needs {_LEAST} pictures of class {self.label} of the attacker's own (`public`), not {count}"
        return None

    def _own(self, public: Public) -> Tensor:
        """The attacker's own pictures of the class, normalised."""
        if public.reference is None:
            return torch.zeros(0, *public.image_shape)
        return public.reference.images[public.reference.labels == self.label]

    def craft(self, public: Public, weights: Tensors, client: int) -> Tensors:
        if self.by == "feature":
            chain = gated_chain(public.network)
            assert chain is not None  # else it is unsupported
            own = self._own(public).to(next(iter(weights.values())).device)
            return {**weights, **gate_weights(weights, public.network, chain, own, self.label)}
        weight, bias = (f"{_last(public)}.{name}".lstrip(".") for name in ("weight", "bias"))
        rows, offsets = fishing_classifier(weights[weight], weights[bias], self.label)
        return {**weights, weight: rows, bias: offsets}

    def trial(self) -> tuple[Fishing, float]:
        few = min(self.evaluations, TRIAL)
        return replace(self, evaluations=few), self.evaluations / few

    def __call__(self, seen: UpdateObservation) -> Guess:
        names = [name for name, _ in seen.model.named_parameters()]
        weight, bias = (names.index(f"{_last(seen.public)}.{name}".lstrip(".")) for name in ("weight", "bias"))
        gradient, pictures = as_gradient(seen), seen.public.pictures
        count = count_of(gradient[bias], self.label, pictures)
        if not 1 <= count <= pictures:
            raise Failed(f"the batch holds no picture of class {self.label}")
        if self.by == "feature":
            return self._one(seen, gradient, count)
        public = _alone(seen.public, count)
        if (why := self._inner().unsupported(public)) is not None:
            raise Failed(f"{count} pictures of class {self.label}: {self.inner} {why}")
        alone = of_class_alone(gradient, weight, bias, self.label, count, pictures)
        return self._read(replace(seen, public=public, update=alone), count)

    def _one(self, seen: UpdateObservation, gradient: Update, count: int) -> Guess:
        """The picture that came through the gate."""
        chain = gated_chain(seen.public.network)
        assert chain is not None  # else it is unsupported
        model, update = relaxed(seen.model, chain, self.label), of_one(seen.model, gradient, chain)
        return self._read(replace(seen, public=_alone(seen.public, 1), model=model, update=update), count)

    def _read(self, alone: UpdateObservation, count: int) -> Guess:
        labels = torch.full((alone.public.batch_size,), self.label, device=alone.device)
        (guess,) = self._inner().attack_all([replace(alone, labels=labels, rounds=())])
        return replace(guess, facts={**guess.facts, "fished": count})

    def _inner(self) -> UpdateAttack:
        return inner_attack(self.inner, self.evaluations)


def _last(public: Public) -> str:
    """The last layer's name."""
    last = public.last_linear()
    assert last is not None  # else it is unsupported
    return last[0]


def _alone(public: Public, count: int) -> Public:
    """What is public of the update of so many pictures whose labels are known."""
    kept = {name: value for name, value in public.protocol_settings.items() if name == "precision"}
    return replace(public, clients=1, batch_size=count, labels="known", protocol="fedsgd", protocol_settings=kept)
