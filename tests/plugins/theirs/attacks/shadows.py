"""Confidence beside that of shadow models, which never saw the candidate (Watson et al. 2022, arXiv 2111.08440)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from theirs.observation import MembershipAnswer, MembershipObservation, MembershipPublic
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from invbench.core.attack import Attack
from invbench.observation import Preparation, Tensors
from invbench.registry import attack, parameter


@attack(game="presence")
@dataclass(frozen=True, kw_only=True)
class Shadows(Attack[MembershipPublic, MembershipObservation, MembershipAnswer]):
    """log p(label) of the victim minus the shadows', which says how hard the picture is for anybody."""

    shadows: int = parameter(2, at_least=1, unit="models", help="shadow models, each trained on half of the reference")
    training_steps: int = parameter(60, at_least=1, unit="batches", help="how long each trains")
    over: Literal["mean", "most"] = parameter("mean", help="the shadows' mean, or the surest of them")

    def preparations(self, public: MembershipPublic) -> Mapping[str, Preparation]:
        """`shadows`, which need to know who learns what: `halves`."""
        count, steps = self.shadows, self.training_steps
        halves = Preparation(
            what=f"halves of the reference for {count} shadows",
            key={"shadows": count},
            make=lambda made: {"halves": torch.stack([_half(public, k) for k in range(count)])},
        )
        shadows = Preparation(
            what=f"training {count} shadows",
            key={"shadows": count, "steps": steps},
            make=partial(_train, public, steps),
            needs={"halves": halves},
        )
        return {"shadows": shadows}

    def __call__(self, seen: MembershipObservation) -> MembershipAnswer:
        right = range(len(seen.labels)), seen.labels
        weights, network = seen.prepared["shadows"], _empty(seen.public)
        theirs = []
        for k in range(self.shadows):
            network.load_state_dict({name: weights[f"{k}.{name}"] for name in network.state_dict()})
            theirs.append(network(seen.images).log_softmax(dim=1)[right].detach())
        shadow = torch.stack(theirs).mean(dim=0) if self.over == "mean" else torch.stack(theirs).amax(dim=0)
        own = seen.oracle(seen.images)[right].clamp(min=1e-12).log()  # a defence may round a probability to 0
        return MembershipAnswer(scores=own - shadow, evaluations=len(own))


def _half(public: MembershipPublic, shadow: int) -> Tensor:
    count = len(public.reference[1])
    return torch.randperm(count, generator=torch.Generator().manual_seed(shadow))[: count // 2]


def _train(public: MembershipPublic, steps: int, made: Mapping[str, Tensors]) -> Tensors:
    """Adam on batches of 32, each shadow on its half; every tensor by `SHADOW.NAME`."""
    images, labels = public.reference
    found = {}
    for k, half in enumerate(made["halves"]["halves"]):
        network = _empty(public)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(k)
            for layer in network.modules():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
            optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
            for _ in range(steps):
                batch = half[torch.randint(len(half), (32,))]
                optimizer.zero_grad()
                cross_entropy(network(images[batch]), labels[batch]).backward()
                optimizer.step()
        found |= {f"{k}.{name}": tensor for name, tensor in network.state_dict().items()}
    return found


def _empty(public: MembershipPublic) -> nn.Module:
    return copy.deepcopy(public.network).to_empty(device="cpu").eval()
