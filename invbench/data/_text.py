"""The type of a data set of text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from invbench.data import Pool


@dataclass(frozen=True, eq=False)
class Text(Pool):
    """`train`: what a victim is trained on. `public`: text of the same kind that everybody has and it is not.

    Passages are lines, each with its end.
    """

    train: str
    public: str
    notes: tuple[str, ...] = ()

    @property
    def passages(self) -> list[str]:
        return self.train.splitlines(keepends=True)

    @cached_property
    def content(self) -> str:
        """SHA-256 of both texts and of where the one ends."""
        digest = hashlib.sha256(f"{len(self.train)}\n".encode())
        digest.update((self.train + self.public).encode())
        return digest.hexdigest()
