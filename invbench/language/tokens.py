"""Text to tokens: bytes, and pairs of them that are merged (Sennrich et al. 2016, arXiv 1508.07909, section 3.2).

Pairs never reach beyond a word with the space before it, and no pair holds a digit (as in PaLM, Chowdhery et al.
2022, arXiv 2204.02311, section 2): a number has as many tokens as digits, whatever stands around it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

BYTES = 256
_WORD = re.compile(r"\d| ?[^\W\d]+| ?[^\w\s]+|\s+|.", re.DOTALL)

Pair = tuple[int, int]


@dataclass(frozen=True)
class Tokens:
    """Tokens 0 to 255 are bytes of UTF-8; token 256 + k is the pair `merges[k]` of earlier tokens."""

    merges: tuple[Pair, ...] = ()

    @property
    def size(self) -> int:
        return BYTES + len(self.merges)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, whose concatenation is its UTF-8. UnicodeEncodeError for lone surrogates."""
        if not self.merges:
            return list(text.encode())
        return [token for word in _WORD.findall(text) for token in _merged(word, self)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; bytes that are no UTF-8 (a model may emit them) become U+FFFD."""
        return b"".join(self._bytes[token] for token in tokens).decode(errors="replace")

    @cached_property
    def _bytes(self) -> list[bytes]:
        found = [bytes([value]) for value in range(BYTES)]
        for first, second in self.merges:
            found.append(found[first] + found[second])
        return found

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}


@lru_cache(maxsize=100_000)
def _merged(word: str, tokens: Tokens) -> tuple[int, ...]:
    """One word's tokens: always the pair that was learned first is merged next."""
    found, ranks = list(word.encode()), tokens._ranks
    while True:
        pairs = [pair for pair in pairwise(found) if pair in ranks]
        if not pairs:
            return tuple(found)
        best = min(pairs, key=ranks.__getitem__)
        found = _replaced(found, best, BYTES + ranks[best])


@lru_cache(maxsize=8)
def learned(text: str, pairs: int) -> Tokens:
    """Tokens with the `pairs` pairs that are most frequent, one after the other; of equally frequent ones the lowest.

    Fewer where no pair occurs twice any more.
    """
    words = [(list(word.encode()), count) for word, count in Counter(_WORD.findall(text)).items() if len(word) > 1]
    counts: Counter[Pair] = Counter()
    holders: dict[Pair, set[int]] = {}
    for number, (word, count) in enumerate(words):
        _count(word, count, number, counts, holders)
    merges: list[Pair] = []
    while len(merges) < pairs and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[best] < 2:
            break
        for number in sorted(holders[best]):
            word, count = words[number]
            for pair in pairwise(word):
                counts[pair] -= count
            word = _replaced(word, best, BYTES + len(merges))
            words[number] = word, count
            _count(word, count, number, counts, holders)
        del counts[best]
        merges.append(best)
    return Tokens(tuple(merges))


def _count(word: list[int], count: int, number: int, counts: Counter[Pair], holders: dict[Pair, set[int]]) -> None:
    for pair in pairwise(word):
        counts[pair] += count
        holders.setdefault(pair, set()).add(number)


def _replaced(word: list[int], pair: Pair, token: int) -> list[int]:
    """The word with every occurrence of the pair, from the left, as one token."""
    found: list[int] = []
    place = 0
    while place < len(word):
        if place + 1 < len(word) and (word[place], word[place + 1]) == pair:
            found.append(token)
            place += 2
        else:
            found.append(word[place])
            place += 1
    return found
