"""How many bytes a client sends and receives in a round in which nobody drops out."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.secure import Plan, field
from invbench.secure.client import ID
from invbench.secure.masks import KEY, TAG
from invbench.secure.ring import packed_bytes

SEALED = 2 * field.BYTES + TAG
"""Bytes of a peer's two shares, sealed."""


@dataclass(frozen=True)
class Traffic:
    """Bytes of one client, by message; what names a peer beside its keys or shares is its number, `ID` bytes."""

    keys_sent: int
    keys_received: int
    shares_sent: int
    shares_received: int
    vector_sent: int
    survivors_received: int
    answer_sent: int

    @property
    def sent(self) -> int:
        return self.keys_sent + self.shares_sent + self.vector_sent + self.answer_sent

    @property
    def received(self) -> int:
        """Without the sum itself, which the protocol does not send back."""
        return self.keys_received + self.shares_received + self.survivors_received


def traffic(plan: Plan) -> Traffic:
    """From the sizes of the messages: `tests/secure/test_traffic.py` holds them against messages that were sent."""
    peers = plan.clients - 1
    return Traffic(
        keys_sent=2 * KEY,
        keys_received=len(plan.session) + peers * (ID + 2 * KEY),
        shares_sent=peers * (ID + SEALED),
        shares_received=peers * (ID + SEALED),
        vector_sent=packed_bytes(plan.length, plan.width),
        survivors_received=(plan.clients + 7) // 8,  # a bit a client
        answer_sent=plan.clients * field.BYTES,
    )
