"""APRIL: the picture from a vision transformer's position embedding (Lu et al. 2022, arXiv 2112.14087)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from invbench.attacks import UpdateAttack
from invbench.labels import guess_label
from invbench.matching.objectives import Objective, cosine
from invbench.matching.recipe import Recipe
from invbench.observation import DIVERGED, Failed, Guess, Public, Update, UpdateObservation
from invbench.peeling.attention import Read, read_picture, why_not
from invbench.protocol._precision import roundoff
from invbench.registry import attack, parameter
from invbench.updates.simulation import not_one_gradient, protocol_of, stack_of

_POSITIONS = ("positions", "pos_embedding", "pos_embed")
"""What vision transformers call their position embedding: here, in torchvision, in timm."""


@attack(game="update", closed_form="plain")
@dataclass(frozen=True, kw_only=True)
class April(Recipe):
    """Lu et al.'s closed form, one least-squares problem for the first attention's input and one for each patch.

    `form: closed` needs one picture, and a first attention between which and the position embedding nothing stands and
    around which nothing goes (`vit` with `pre_norm: false`): then the embedding's gradient is that of its input
    (`peeling/attention.py`). It solves for no label. `form: optimise` searches on any vision transformer and batch: the
    squared distance of all gradients, and 1 - cosine between the position embedding's alone, weighted by `position`.
    Its other settings are those of gradient matching here; the closed form has none.
    """

    form: Literal["closed", "optimise"] = parameter("closed", help="in closed form, or by gradient matching")
    position: float = parameter(
        1.0, at_least=0, help="optimise: weight of the cosine distance of the position embedding's gradients"
    )
    objective: Literal["l2", "layer-l2", "cosine", "masked-cosine"] = parameter(
        "l2", help="optimise: distance of all gradients, to which that of the position embedding is added"
    )
    optimizer: Literal["adam", "signed-adam", "lbfgs", "lbfgs-wolfe"] = parameter(
        "adam", help="optimise: how a lane is minimised; lbfgs-wolfe searches along every line"
    )

    def unsupported(self, public: Public) -> str | None:
        if self.form == "optimise":
            if _place(public.network) is None:
                return f"needs a learned position embedding; {public.model} has none"
            return super().unsupported(public)
        if (reason := why_not(public.network)) is not None:
            searches = "; `form: optimise` searches" if _place(public.network) is not None else ""
            return f"{reason}{searches}"
        if (several := public.not_one_picture()) is not None:
            return f"{several}: positions have one gradient for all; `form: optimise` searches"
        return not_one_gradient(public)

    @property
    def shares_work(self) -> bool:
        return self.form == "optimise"

    def trial(self) -> tuple[Self, float]:
        return super().trial() if self.form == "optimise" else (self, 1.0)

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        if self.form == "optimise":
            return super().attack_all(observations)
        return UpdateAttack.attack_all(self, observations)

    def __call__(self, seen: UpdateObservation) -> Guess:
        """The closed form's answer to one update."""
        if not seen.is_finite:
            raise Failed(DIVERGED)
        operands = roundoff(protocol_of(seen.public).precision)
        error = max(torch.finfo(seen.update[0].dtype).eps, operands)
        read = read_picture(seen.model, seen.update, seen.public.image_shape, error)
        if read is None:
            raise Failed("the position embedding's gradient is zero: it was not shared, or tells nothing")
        told = {"tokens": read.tokens, "rank": read.attention.rank, "condition": read.attention.condition}
        return Guess(
            images=seen.to_unit_range(read.picture[None].float().to(seen.device)),
            labels=seen.labels if seen.labels is not None else guess_label(seen),
            evaluations=1,
            notes=_notes(read, leaves_out=stack_of(seen.public).leaves_out),
            facts={**told, "patch_numbers": read.numbers, "patch_rank": read.told},
        )

    def _objective(self, seen: UpdateObservation) -> Objective:
        distance, place, share = super()._objective(seen), _place(seen.public.network), self.position
        assert place is not None

        def both(simulated: Update, seen: Update) -> Tensor:
            return distance(simulated, seen) + share * cosine((simulated[place],), (seen[place],))

        return both if share else distance


def _notes(read: Read, *, leaves_out: bool) -> tuple[str, ...]:
    told: list[str] = []
    rank = read.attention.rank
    if rank < read.tokens:
        told.append(f"the first attention's gradient has rank {rank} and does not determine {read.tokens} tokens")
    if read.told < read.numbers:
        told.append(f"a token tells {read.told} of the {read.numbers} numbers of its patch")
    if leaves_out:
        told.append("entries were left out of the update, and are taken for zeros")
    return tuple(told)


def _place(network: nn.Module) -> int | None:
    """Where the position embedding stands among the network's parameters."""
    names = [name.rpartition(".")[2] for name, _ in network.named_parameters()]
    return next((place for place, name in enumerate(names) if name in _POSITIONS), None)
