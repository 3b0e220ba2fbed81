"""One batch in several rounds between which the global model moves: each round is an update of its own.

Where the weights stay, rounds differ by draws alone and are read as one update (`pooling.py`). Where they move, each
tells other equations about the same pictures, and the rounds' likelihoods are multiplied: distances add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from invbench.observation import Public, UpdateObservation
from invbench.updates.simulation import protocol_of


def moves(public: Public) -> bool:
    """Whether the global model is another one in each round."""
    protocol = protocol_of(public)
    return protocol.rounds > 1 and protocol.server_lr > 0


def each_round(seen: UpdateObservation) -> Sequence[UpdateObservation]:
    """The observation of each round by itself where the model moves, else the one that is given."""
    if len(seen.rounds) < 2 or not moves(seen.public):
        return [seen]
    return [replace(seen, model=one.model, update=one.update, rounds=()) for one in seen.rounds]
