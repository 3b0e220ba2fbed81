"""A whole round: every client and the server, message by message, in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invbench.secure import Draw, Plan
from invbench.secure.client import Client
from invbench.secure.ring import Words
from invbench.secure.server import Server

STEPS = ("keys", "shares", "vector", "answer")
"""What a client sends, in turn."""


def aggregate(
    plan: Plan, vectors: Sequence[Words], draw: Draw, drops: Mapping[int, str] | None = None
) -> tuple[Words, frozenset[int]]:
    """The sum of the vectors that were sent, and whose they are.

    `drops`: the first of `STEPS` that a client does not send any more, by its number; whoever drops out before the
    answer and after the vector is in the sum. Refused where fewer clients than the threshold are left at any step.
    """
    server, clients = Server(plan), [Client(number, plan, draw) for number in range(plan.clients)]
    sent = {number: STEPS.index(step) for number, step in (drops or {}).items()}  # how many messages

    def present(step: str) -> list[Client]:
        return [one for one in clients if STEPS.index(step) < sent.get(one.number, len(STEPS))]

    keys = server.advertised({one.number: one.advertise() for one in present("keys")})
    sealed = server.shared({one.number: one.share(keys) for one in present("shares")})
    survivors = server.masked(
        {one.number: one.masked(sealed[one.number], vectors[one.number]) for one in present("vector")}
    )
    return server.total({one.number: one.unmask(survivors) for one in present("answer")}), survivors
