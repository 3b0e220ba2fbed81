"""Random bytes from a seed, and rounds of the protocol to take apart."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from invbench.secure import Draw, Plan
from invbench.secure.client import Client
from invbench.secure.ring import Words, ring_bits
from invbench.secure.server import Server


def drawing(seed: int) -> Draw:
    return random.Random(seed).randbytes


def plan_of(clients: int, threshold: int, length: int = 9, session: bytes = b"one round of many") -> Plan:
    return Plan(session[:16], clients, threshold, length, ring_bits(clients, 16))


def vectors_of(plan: Plan, seed: int = 0) -> list[Words]:
    """Of every client, the limits of 16 bits among them."""
    drawn = np.random.default_rng(seed)
    return [drawn.choice([0, 1, 2**15, 2**16 - 1], plan.length).astype(np.uint64) for _ in range(plan.clients)]


@dataclass
class Half:
    """A round up to the sealed shares, which are still with the server."""

    plan: Plan
    clients: list[Client]
    server: Server
    keys: dict[int, bytes]
    sealed: dict[int, dict[int, bytes]]

    def mask(self) -> dict[int, bytes]:
        words = vectors_of(self.plan)
        return {one.number: one.masked(self.sealed[one.number], words[one.number]) for one in self.clients}


def half_a_round(plan: Plan, seed: int = 0) -> Half:
    draw = drawing(seed)
    clients = [Client(number, plan, draw) for number in range(plan.clients)]
    server = Server(plan)
    keys = dict(server.advertised({one.number: one.advertise() for one in clients}))
    sealed = server.shared({one.number: one.share(keys) for one in clients})
    return Half(plan, clients, server, keys, sealed)
