"""Messages between a worker and its owner, in pieces so small that none is ever half sent.

The system takes a piece whole or not at all, so whoever reads one never waits for the rest of it: a worker that is
stopped, or killed while it sends, cannot make its owner wait.
"""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection
from typing import Any

_PIECE = 16_000
"""Bytes: a connection sends up to 16,384, its own header and our mark among them, by one call of the system."""
_MORE, _LAST = b"+", b"."


def send(pipe: Connection, message: object) -> None:
    """Send a message to an `Inbox`. Whatever pickle raises where it cannot be sent, and then nothing was."""
    data = pickle.dumps(message)
    for start in range(0, len(data), _PIECE):
        end = start + _PIECE
        pipe.send_bytes((_LAST if end >= len(data) else _MORE) + data[start:end])


class Inbox:
    """What has arrived so far of the next message."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.pieces = pipe, list[bytes]()

    def receive(self) -> tuple[Any, ...] | None:
        """The next message, None where its last piece is still to come. Reads one piece, and waits for one.

        EOFError or OSError where the other end is gone; whatever pickle raises where it is no message.
        """
        piece = self.pipe.recv_bytes()
        self.pieces.append(piece[1:])
        if piece[:1] == _MORE:
            return None
        data, self.pieces = b"".join(self.pieces), []
        message = pickle.loads(data)
        if not isinstance(message, tuple):
            raise pickle.UnpicklingError(f"a message is a tuple, not {type(message).__name__}")
        return message
