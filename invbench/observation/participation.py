"""What crosses the wall in game `participation`: sums of updates over many rounds, and who took part how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from invbench.observation._base import Answer, Observation, Plain
from invbench.observation.update import Guess, Public, PublicDefense


@dataclass(frozen=True, eq=False)
class ParticipationPublic:
    """What everybody knows of one cell of game `participation` before a round is seen.

    `clients` n; `summed`: the updates of how many of them are in a round's sum; `rounds` T; `window`: rounds that each
    count of the side information is of. `pictures`: each client's own, of which `batch_size` are in a round's batch.
    `server_lr`: 0 where all rounds have the same global model. `update_protocol`, with its settings: what one client
    shares in one round.
    """

    model: str
    network: nn.Module
    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: int
    clients: int
    summed: int
    rounds: int
    window: int
    batch_size: int
    pictures: int
    labels: str  # "known" or "hidden"
    server_lr: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    update_protocol: str = "fedsgd"
    update_settings: Mapping[str, Plain] = field(default_factory=dict)
    protocol: str = "many-rounds"
    protocol_settings: Mapping[str, Plain] = field(default_factory=dict)
    defenses: tuple[PublicDefense, ...] = ()

    def of_one(self) -> Public:
        """What is public of one client's update, taken to be of all its own pictures: for an attack of game `update`.

        A mean over rounds of gradients of batches is, on average, the gradient of all pictures that they come from.
        """
        return Public(
            model=self.model,
            network=self.network,
            image_shape=self.image_shape,
            classes=self.classes,
            batch_size=self.pictures,
            labels=self.labels,
            mean=self.mean,
            std=self.std,
            protocol=self.update_protocol,
            protocol_settings={**self.update_settings, "clients": 1},
            defenses=self.defenses,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticipationObservation(Observation[ParticipationPublic]):
    """All rounds of one federation, as its server sees them (game `participation`).

    `sums` `(T, d)`, float32: of each round the sum of its clients' updates, as defended, all parameters in a row.
    `counts` `(W, n)`: in how many rounds of each window each client took part; the last window may be shorter.
    `model`: the global model of the first round, in the mode that clients use. `labels` `(n, pictures)`: of each
    client's own pictures, where the protocol says that they are known.
    """

    model: nn.Module
    sums: Tensor
    counts: Tensor
    labels: Tensor | None
    device: torch.device

    def nothing(self, reason: str) -> ParticipationGuess:
        """The answer of an attack that failed: nobody took part."""
        return ParticipationGuess(
            participation=torch.zeros(self.public.rounds, self.public.clients, dtype=torch.bool), notes=(reason,)
        )

    def complaint(self, answer: object) -> str | None:
        """As of every observation, and of a `ParticipationGuess` what is not as it says of itself."""
        if wrong := super().complaint(answer):
            return wrong
        if not isinstance(answer, ParticipationGuess):
            return f"must be a ParticipationGuess, not {type(answer).__name__}"
        return answer.complaint(self.public, self.sums.shape[1])


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticipationGuess(Answer):
    """`participation` `(T, n)`, bool: who took part in which round.

    `updates` `(n, d)`: each client's own update, its mean over the rounds in which it took part, in the order of
    `sums`. `guesses`: one a client, of its pictures. None: the attack does not say.
    """

    participation: Tensor
    updates: Tensor | None = None
    guesses: tuple[Guess, ...] | None = None

    def complaint(self, public: ParticipationPublic, length: int) -> str | None:
        """What is not as said above, in words; None where all is. `length`: entries of an update."""
        said, wanted = self.participation, (public.rounds, public.clients)
        if not isinstance(said, Tensor) or said.dtype != torch.bool:
            kind = said.dtype if isinstance(said, Tensor) else type(said).__name__
            return f"participation must be a tensor of bool, not {kind}"
        if tuple(said.shape) != wanted:
            return f"participation must be {wanted}, a row a round and a column a client, not {tuple(said.shape)}"
        if (updates := self.updates) is not None:
            if not isinstance(updates, Tensor) or not updates.is_floating_point():
                return f"updates must be a tensor of floats, not {type(updates).__name__}"
            if tuple(updates.shape) != (public.clients, length):
                return f"updates must be {(public.clients, length)}, one a client, not {tuple(updates.shape)}"
            if not bool(updates.isfinite().all()):
                return "its updates are not finite"
        if self.guesses is None:
            return None
        if len(self.guesses) != public.clients:
            return f"guesses must be {public.clients}, one a client, not {len(self.guesses)}"
        of_one = public.of_one()
        return next((why for guess in self.guesses if (why := guess.complaint(of_one)) is not None), None)
