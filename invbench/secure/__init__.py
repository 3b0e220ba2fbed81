"""The protocol by which a server learns the sum of its clients' vectors and nothing else of them.

Bonawitz et al. 2017 (CCS, 10.1145/3133956.3133982), figure 4 without signatures: the server follows the protocol but
may ask for what it likes, and nobody swaps the keys that it passes on.

- `ring.py`: numbers to whole numbers of a ring, packed without a bit to spare;
- `field.py`: Shamir's shares;
- `masks.py`: keys agreed on, sealed shares, masks;
- `client.py`, `server.py`: the two sides, message by message;
- `session.py`: a whole round of clients, some of whom drop out;
- `traffic.py`: how many bytes a client sends and receives.

It knows nothing of invbench, and draws no randomness of its own: a `Draw` gives it bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Draw = Callable[[int], bytes]
"""So many random bytes, each time others."""


class Refused(ValueError):
    """A message or a request that the protocol forbids, or too few clients; it says whose and why."""


@dataclass(frozen=True)
class Plan:
    """What everybody knows of a round: a `session` of its own, how many `clients` there are, how many shares open a
    secret (`threshold`), and the vectors' `length` and bits a word (`width`)."""

    session: bytes
    clients: int
    threshold: int
    length: int
    width: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.clients:
            raise Refused(f"the threshold must be from 1 to the {self.clients} clients, not {self.threshold}")
