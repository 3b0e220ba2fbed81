"""Many rounds, in each of which some clients take part, and the server sees their sum (Lam et al. 2021,
arXiv 2106.06089, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from invbench.protocol import Protocol
from invbench.registry import parameter, protocol


@protocol(games=("participation",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class ManyRounds(Protocol):
    """Each round draws who takes part, as many each time; device analytics tell how often each client did.

    A client shares one gradient of its batch, or what `steps` local steps change (FedAvg). With `pictures` at the batch
    size its batch is always the same one, and so is its update while `server_lr` is 0: the server may send the same
    model every round. What changes an update between rounds, other batches or a model that moves, hides who took part.
    """

    clients: int = parameter(16, at_least=2, unit="clients", help="of whom some take part in each round")
    taking_part: int = parameter(4, at_least=1, unit="clients", help="in each round, drawn anew without repetition")
    rounds: int = parameter(64, at_least=2, unit="rounds", help="that the server sees")
    window: int = parameter(
        8, at_least=1, unit="rounds", help="side information: of each such stretch, in how many a client took part"
    )
    pictures: int | None = parameter(
        None, at_least=1, unit="pictures", help="a client's own, its batches drawn of them; by default one batch, fixed"
    )
    steps: int = parameter(1, at_least=1, unit="steps", help="local steps: 1 shares a gradient, more what they change")
    lr: float = parameter(0.1, above=0, help="learning rate of local steps, where there are several")
    server_lr: float = parameter(
        0.0, at_least=0, help="learning rate of the server's step after each round; 0: the model stays as it is"
    )
    labels: Literal["known", "hidden"] = parameter("known", help="whether the attacker is given clients' labels")
