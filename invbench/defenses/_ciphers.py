"""Two schemes that add ciphertexts: CKKS by TenSEAL, Paillier by phe (both of the extra `he`).

Whole numbers go in and their exact sums come out. CKKS computes approximately: numbers are far enough apart for the sum
to be rounded to the exact one, so that what is decrypted is the same on every run and tells nothing of the error.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]

SLOTS = 4096
"""Numbers in a ciphertext of CKKS: half the ring's degree."""
FACTOR = 2.0**-16
"""By which whole numbers are multiplied before CKKS: 1.5e-5 apart, with an error of some 1e-8 (1e-7 near 2^42)."""
PAGE = 4096
"""To whose multiples a ciphertext's bytes are rounded up: its serialised form is compressed, and a little shorter or
longer each time."""


class Cipher(ABC):
    """A scheme with a key pair of its own."""

    package: str

    @abstractmethod
    def total(self, vectors: Sequence[Whole]) -> Whole:
        """The sum of the vectors, each encrypted, added as ciphertexts and decrypted once."""

    @abstractmethod
    def ciphertext_bytes(self, length: int) -> int:
        """Bytes of one encrypted vector of this length."""

    def missing(self) -> str | None:
        """What has to be installed, None where all is there."""
        if find_spec(self.package) is not None:
            return None
        return f"needs the package {self.package}, which is not installed: pip install 'invbench[he]'"


@dataclass(frozen=True)
class Ckks(Cipher):
    """CKKS (Cheon et al. 2017, ePrint 2016/421): degree 8192, primes of 60, 40, 40 and 60 bits, scale 2^40."""

    package = "tenseal"

    def total(self, vectors: Sequence[Whole]) -> Whole:
        found = [self._sum([v[start : start + SLOTS] for v in vectors]) for start in range(0, len(vectors[0]), SLOTS)]
        return np.rint(np.concatenate(found) / FACTOR).astype(np.int64)

    def ciphertext_bytes(self, length: int) -> int:
        return -(-length // SLOTS) * _ckks_bytes()

    def _sum(self, pieces: Sequence[Whole]) -> npt.NDArray[np.float64]:
        first, *others = (encrypted((piece * FACTOR).astype(np.float64)) for piece in pieces)
        for other in others:
            first += other
        return np.asarray(first.decrypt())


@dataclass(frozen=True)
class Paillier(Cipher):
    """Paillier 1999 (10.1007/3-540-48910-X_16), one number a ciphertext; `bits` of the modulus."""

    bits: int = 3072
    package = "phe"

    def total(self, vectors: Sequence[Whole]) -> Whole:
        public, private = _paillier_keys(self.bits)
        found = []
        for numbers in zip(*(vector.tolist() for vector in vectors), strict=True):
            product = 1
            for number in numbers:
                product = product * public.raw_encrypt(number % public.n) % public.nsquare
            found.append(private.raw_decrypt(product))
        return np.array([number - public.n if number > public.n // 2 else number for number in found], dtype=np.int64)

    def ciphertext_bytes(self, length: int) -> int:
        return length * 2 * self.bits // 8  # a number modulo n^2


def encrypted(values: npt.NDArray[np.float64]) -> Any:
    """At most `SLOTS` numbers as a ciphertext of CKKS, which adds and decrypts."""
    return importlib.import_module("tenseal").ckks_vector(_ckks_context(), values.tolist())


@lru_cache(maxsize=1)
def _ckks_context() -> Any:
    tenseal: Any = importlib.import_module("tenseal")
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 2 * SLOTS, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2**40
    return context


@lru_cache(maxsize=1)
def _ckks_bytes() -> int:
    """Of a ciphertext that was serialised, in whole pages."""
    size = len(encrypted(np.linspace(-1, 1, SLOTS)).serialize())
    return -(-size // PAGE) * PAGE


@lru_cache(maxsize=4)
def _paillier_keys(bits: int) -> tuple[Any, Any]:
    keys: tuple[Any, Any] = importlib.import_module("phe.paillier").generate_paillier_keypair(n_length=bits)
    return keys
