"""Secure aggregation: the server learns the sum of its clients' updates alone (Bonawitz et al. 2017, CCS,
10.1145/3133956.3133982)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from invbench.defenses import Context, Defense, Round, flatten
from invbench.defenses._noise import MOST
from invbench.observation import Update
from invbench.registry import defense, parameter
from invbench.secure import Draw, Plan
from invbench.secure.ring import FixedPoint, ring_bits, wrap
from invbench.secure.session import aggregate
from invbench.secure.traffic import traffic

LEAST = 1e-30
"""Smallest limit of a coordinate: a step of the 24 bits into which it is cut is a number of float32."""
_SESSION = 16  # bytes that no other round has


@defense
@dataclass(frozen=True, kw_only=True)
class SecureAggregation(Defense):
    """Run the protocol (`invbench/secure/`): values are clipped, rounded to `bits`, masked and summed in a ring.

    Zero stays exactly zero. The server may follow any wish of its own, but passes keys on as they are. It sees the sum
    of those who did not drop out, over their number; the last `dropouts` clients drop out after their shares are with
    the others, which is when it costs most. Clients that collude are those before them: the server takes their vectors
    out of the sum, and their pictures are not attacked. They must be fewer than the threshold, whose shares would open
    every mask. Of one client it protects nothing.
    """

    clip: float = parameter(
        1.0,
        at_least=LEAST,
        at_most=MOST,
        unit="the update's own",
        help="largest magnitude of what is sent",
    )
    bits: int = parameter(16, at_least=2, at_most=24, unit="bits", help="of a client's coordinate before it is masked")
    threshold: int | None = parameter(
        None, at_least=1, within="clients", unit="clients", help="shares that open a secret; by default two thirds"
    )
    dropouts: int = parameter(0, at_least=0, within="clients", unit="clients", help="who drop out before their vector")
    colluding: int = parameter(
        0, at_least=0, within="clients", unit="clients", help="who tell the server their vectors"
    )

    def of_round(self, round: Round) -> SecureAggregation:
        clients, threshold = round.clients, self._threshold(round.clients)
        if self.clients_seen(clients) < 1:
            raise ValueError(
                f"of {clients} clients {self.dropouts} drop out and {self.colluding} collude: none is left"
            )
        if clients - self.dropouts < threshold:
            left = f"{self.dropouts} of {clients} clients drop out"
            raise ValueError(f"{left}, and fewer are left than its threshold {threshold}: it ends without a sum")
        if self.colluding >= threshold:
            shares = f"the shares of {self.colluding} colluding clients open every mask at threshold {threshold}"
            raise ValueError(f"{shares}: the server sees what it sees without the defence")
        return replace(self, threshold=threshold)

    def clients_seen(self, clients: int) -> int:
        return clients - self.dropouts - self.colluding

    def round_notes(self, clients: int) -> tuple[str, ...]:
        seen = self.clients_seen(clients)
        if seen == 1:
            return (f"secure-aggregation protects nothing here: the sum is one client's update, {self._rounded()}",)
        return (f"secure-aggregation: the sum of {seen} of {clients} clients, {self._rounded()}",)

    def aggregate(self, updates: list[Update], context: Context) -> list[Update]:
        plan, point = self._plan(len(updates), sum(map(Tensor.numel, updates[0])), context), self._point
        restore = flatten(updates[0])[1]
        vectors = [point.encode(flatten(update)[0].detach().cpu().double().numpy()) for update in updates]
        there = len(updates) - self.dropouts
        drops = dict.fromkeys(range(there, len(updates)), "vector")
        total, _ = aggregate(plan, vectors, _drawing(context.generator), drops)
        seen = self.clients_seen(len(updates))
        colluding = sum(vectors[seen:there], np.zeros_like(total))
        mean = point.decode(wrap(total - colluding, plan.width), seen) / seen
        return [restore(torch.from_numpy(mean).to(updates[0][0].device))]

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """Half a step either way, evenly: step^2 / 12, of one client; of a mean of n clients' it is a n-th of that."""
        clipped = tuple(tensor.clamp(-self.clip, self.clip) for tensor in expected)
        return clipped, tuple(tensor + self._point.step**2 / 12 for tensor in variance)

    def interval(self, low: Update, high: Update, seen: Update) -> tuple[Update, Update]:
        """Half a step either way; at the limit whatever is beyond."""
        half = self._point.step / 2
        return (
            tuple(torch.where(t <= half - self.clip, -torch.inf, t - half) for t in low),
            tuple(torch.where(t >= self.clip - half, torch.inf, t + half) for t in high),
        )

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Keys, sealed shares, the packed vector of masked words, and shares of what masks the sum: nothing that is
        left out or rounded before is smaller in the ring."""
        return traffic(self._plan_of(clients, sum(map(Tensor.numel, shared)), bytes(_SESSION))).sent

    @property
    def _point(self) -> FixedPoint:
        return FixedPoint(self.clip, self.bits)

    def _threshold(self, clients: int) -> int:
        """By default a third may drop out, and two halves of the others cannot be asked for different secrets."""
        return -(-2 * clients // 3) if self.threshold is None else self.threshold

    def _plan(self, clients: int, length: int, context: Context) -> Plan:
        return self._plan_of(clients, length, _drawing(context.generator)(_SESSION))

    def _plan_of(self, clients: int, length: int, session: bytes) -> Plan:
        return Plan(session, clients, self._threshold(clients), length, ring_bits(clients, self.bits))

    def _rounded(self) -> str:
        return f"rounded to {self.bits} bits of [-{self.clip:g}, {self.clip:g}]"


def _drawing(generator: torch.Generator) -> Draw:
    """Bytes of the client's stream."""
    return lambda count: bytes(torch.randint(256, (count,), generator=generator, dtype=torch.uint8).tolist())
