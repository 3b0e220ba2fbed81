"""What goes over the wire: how many bytes bits and lists of places take."""

from __future__ import annotations

from torch import Tensor

from invbench.observation import Update


def whole_bytes(bits: int) -> int:
    """Bytes that hold so many bits, packed."""
    return (bits + 7) // 8


def places_bytes(shared: Update, sent: int) -> int:
    """Bytes that say which `sent` of all coordinates follow: a list of numbers or one bit a coordinate, the shorter."""
    total = sum(map(Tensor.numel, shared))
    return whole_bytes(min(sent * (total - 1).bit_length(), total))


def sparse_bytes(shared: Update, before: int) -> int:
    """Bytes of the coordinates that are not zero and of their places, each value as it was sent `before`."""
    total = sum(map(Tensor.numel, shared))
    sent = sum(int(tensor.count_nonzero()) for tensor in shared)
    if sent == total:
        return before
    return -(-before * sent // total) + places_bytes(shared, sent)
