"""Fixed-point numbers, and words of a ring packed into bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from invbench.secure import Refused

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

_BLOCK = 1 << 16  # words that are packed at a time: a bit of each takes a byte meanwhile


def ring_bits(clients: int, bits: int) -> int:
    """ceil(log2(n (2^bits - 1) + 1)): bits of the narrowest ring that n numbers of so many bits cannot overflow."""
    return int(clients * (2**bits - 1)).bit_length()


@dataclass(frozen=True)
class FixedPoint:
    """Multiples of clip / (2^(bits - 1) - 1) from -clip to clip, counted from 0: zero is exact."""

    clip: float
    bits: int

    @property
    def levels(self) -> int:
        """Multiples above zero."""
        return int(2 ** (self.bits - 1) - 1)

    @property
    def step(self) -> float:
        """Distance of two numbers that are told apart."""
        return self.clip / self.levels

    def encode(self, values: Floats) -> Words:
        """The nearest multiples, of halves the even one; what is above clip is clip."""
        if not np.isfinite(values).all():
            raise Refused("a vector that is not finite cannot be encoded")
        levels = np.rint(np.clip(values / self.step, -self.levels, self.levels))
        return (levels + self.levels).astype(np.uint64)

    def decode(self, total: Words, vectors: int) -> Floats:
        """The sum of so many encoded vectors, as numbers."""
        return (total.astype(np.int64) - vectors * self.levels).astype(np.float64) * self.step


def wrap(words: Words, width: int) -> Words:
    """The words modulo 2^width; sums and differences of words wrap modulo 2^64, a multiple of it."""
    return words & np.uint64(2**width - 1)


def packed_bytes(length: int, width: int) -> int:
    """Bytes that so many words of so many bits take."""
    return (length * width + 7) // 8


def pack(words: Words, width: int) -> bytes:
    """The words' lowest `width` bits one after the other, the lowest bit first."""
    places = np.arange(width, dtype=np.uint64)
    blocks = (words[start : start + _BLOCK, None] for start in range(0, len(words), _BLOCK))
    bits = (((block >> places) & np.uint64(1)).astype(np.uint8) for block in blocks)
    return b"".join(np.packbits(block, bitorder="little").tobytes() for block in bits)  # 2^16 words are whole bytes


def unpack(message: bytes, length: int, width: int) -> Words:
    """The words of a message; Refused where it has another length."""
    if len(message) != packed_bytes(length, width):
        raise Refused(f"{len(message)} bytes are not {length} words of {width} bits")
    places, words = np.arange(width, dtype=np.uint64), np.empty(length, dtype=np.uint64)
    read = np.frombuffer(message, dtype=np.uint8)
    for start in range(0, length, _BLOCK):
        count = min(_BLOCK, length - start)
        first = start * width // 8
        bits = np.unpackbits(read[first : first + packed_bytes(count, width)], bitorder="little", count=count * width)
        words[start : start + count] = (bits.reshape(count, width).astype(np.uint64) << places).sum(axis=1)
    return words
