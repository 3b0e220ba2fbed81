"""Observations of game `membership` without a game: answers that are made, and cells small enough to train."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from invbench.attacks import Attack
from invbench.cell import Cell, Choice
from invbench.data import Dataset
from invbench.observation import Labelled, MembershipObservation, MembershipPublic, Released, Tensors
from invbench.registry import load


def part(kind: str, name: str, **given: Any) -> Choice:
    return Choice(kind, name, tuple(load(kind, name).settings(given).items()))


def membership_cell(attack: str = "loss-threshold", **said: Any) -> Cell:
    """A tiny network on 160 digits: 80 candidates, 40 members, 40 others, 40 of reference; four shadows."""
    released = {"epochs": 8, "pictures": 160} | said.pop("protocol", {})
    settings = {"shadows": 4} | said.pop("settings", {})
    digits = part("dataset", "digits").build(Dataset).load()
    fields: dict[str, Any] = {
        "model": part("model", "mlp", width=16, depth=1),
        "dataset": part("dataset", "digits"),
        "data_hash": digits.content,
        "normalisation": digits.normalisation,
        "batch_size": None,
        "defense": (),
        "protocol": part("protocol", "released", **released),
        "targets": 2,
        "offset": 0,
        "seed": 0,
    }
    return Cell(game="membership", attack=part("attack", attack, **settings), **(fields | said))


class Fixed(nn.Module):
    """Answers picture number k (its only pixel) with the scores of row k."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores[images.flatten().long()]


def made(phi: Tensor, theirs: Tensor, kept: Tensor) -> MembershipObservation:
    """A victim whose logit-scaled confidence in the right one of two classes is `phi` `(N,)`; of shadows `theirs`
    `(K, N)`, trained on `kept` `(K, N)`. All labels are 0."""
    scores = torch.stack([phi, torch.zeros_like(phi)], dim=1)
    network = Fixed(scores.double())
    images = torch.arange(len(phi), dtype=torch.float32).reshape(-1, 1, 1, 1)
    candidates = Labelled(images, torch.zeros(len(phi), dtype=torch.int64))
    public = MembershipPublic(
        model="fixed",
        architecture=load("model", "linear").build({}),
        network=network,
        image_shape=(1, 1, 1),
        classes=2,
        mean=(0.0,),
        std=(1.0,),
        steps=1,
        trained_on=len(phi),
        candidates=candidates,
        reference=candidates,
        identity="made",
    )
    both = torch.stack([theirs, torch.zeros_like(theirs)], dim=2).double()
    shadows: Tensors = {"kept": kept, "log_probabilities": both.log_softmax(dim=2)}
    return MembershipObservation(
        public=public,
        generator=torch.Generator().manual_seed(0),
        prepared={"shadows": shadows},
        answer=Released(network),
        model=network,
    )


def drawn(
    candidates: int = 400, shadows: int = 16, gain: float = 2.0, spread: float = 1.0, difficulty: float = 3.0
) -> tuple[MembershipObservation, Tensor]:
    """Candidates of very different difficulty; training on one raises its phi by `gain`. Also who is a member."""
    stream = torch.Generator().manual_seed(1)
    own = difficulty * torch.randn(candidates, generator=stream)
    kept = torch.zeros(shadows, candidates, dtype=torch.bool)
    for k in range(0, shadows, 2):
        kept[k, torch.randperm(candidates, generator=stream)[: candidates // 2]] = True
        kept[k + 1] = ~kept[k]
    member = torch.randperm(candidates, generator=stream) < candidates // 2
    theirs = own + gain * kept + spread * torch.randn(shadows, candidates, generator=stream)
    phi = own + gain * member + spread * torch.randn(candidates, generator=stream)
    return made(phi, theirs, kept), member


def attack(name: str, **given: Any) -> Attack[Any, Any, Any]:
    built: Attack[Any, Any, Any] = load("attack", name).build(given, Attack)
    return built
