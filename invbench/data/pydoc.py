"""The reference text that Python carries for its own `help()` (`pydoc_data.topics`; PSF licence)."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache

from invbench.data import BadData, Dataset
from invbench.data._text import Text
from invbench.registry import dataset, parameter

PUBLIC = 10
"""Every tenth topic is public."""


@dataclass(frozen=True)
class _Parts:
    train: str
    public: str


@dataset(data="text")
@dataclass(frozen=True, kw_only=True)
class Pydoc(Dataset):
    """Python's help topics: some 465,000 characters of English and of examples of code.

    Topics stand in the alphabetical order of their names, with an empty line between two; every tenth, from the tenth
    on, is public, the victim trains on the others. Each version of Python has another text, and so other cells.
    """

    characters: int | None = parameter(
        None, at_least=2000, unit="characters", help="how much of the training text is used, from its start; null: all"
    )

    def load(self) -> Text:
        """The text; BadData where it holds fewer characters than asked for."""
        parts = _parts()
        if self.characters is not None and self.characters > len(parts.train):
            raise BadData(f"pydoc has {len(parts.train):,} characters of training text, not {self.characters:,}")
        whole = "the whole" if self.characters is None else f"the first {self.characters:,} characters of the"
        return Text(
            train=parts.train[: self.characters],
            public=parts.public,
            notes=(f"{whole} help text of Python {platform.python_version()}: another version has another",),
        )


@cache
def _parts() -> _Parts:
    from pydoc_data.topics import topics

    texts = [topics[name].strip("\n") + "\n" for name in sorted(topics)]
    public = texts[PUBLIC - 1 :: PUBLIC]
    train = [text for number, text in enumerate(texts, 1) if number % PUBLIC]
    return _Parts("\n".join(train), "\n".join(public))
