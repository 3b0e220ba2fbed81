"""A matrix dealt out over runs that know nothing of each other: `--shard 2/8`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from invbench.core.digits import whole
from invbench.core.errors import Refusal


class Named(Protocol):
    """What is dealt: a cell or a federated training."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


class BadShard(Refusal):
    """What was given is no shard."""


@dataclass(frozen=True)
class Shard:
    """The `part`-th of `parts`, counted from 1."""

    part: int
    parts: int

    def __str__(self) -> str:
        return f"{self.part}of{self.parts}"

    def of(self, cells: Sequence[T]) -> list[T]:
        """The shard's cells, in their order. Every cell is in exactly one shard, and shards differ by at most one.

        Cells are dealt in the order of their ids, which is as good as shuffled: dealt in the order of the matrix, one
        shard might get every cell of the slowest model.
        """
        own = {cell.id for cell in sorted(cells, key=lambda cell: cell.id)[self.part - 1 :: self.parts]}
        return [cell for cell in cells if cell.id in own]


def read_shard(text: str) -> Shard:
    """`2/8` as a shard; BadShard where it is none."""
    part, parts = (whole(word) for word in (text.split("/") if text.count("/") == 1 else ("", "")))
    if part is None or parts is None:
        raise BadShard(f"--shard {text!r}: must be I/N, as 2/8 for the second of eight")
    if not 1 <= part <= parts:
        raise BadShard(f"--shard {text}: the first number must be from 1 to {max(parts, 1)}")
    return Shard(part, parts)
