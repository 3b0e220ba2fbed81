"""Homomorphic aggregation: clients' updates are encrypted, added as ciphertexts, and only the sum is decrypted
(Phong et al. 2017, IEEE TIFS 13(5), 10.1109/TIFS.2017.2787987)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from invbench.defenses import Context, Defense, Round, flatten
from invbench.defenses._ciphers import Cipher, Ckks, Paillier, Whole
from invbench.defenses._noise import MOST
from invbench.observation import Update
from invbench.registry import defense, parameter

GRID = 2.0**-32
"""Distance of two numbers that are encrypted: 2.3e-10."""

_HOLDERS = {
    "helper": "a helper decrypts the sum for the server, rounded, and has to decrypt nothing else",
    "clients": "every client holds the whole key, and one that colludes with the server opens every client's update",
    "shared": "clients hold shares of the key and decrypt the sum together",
}


@defense
@dataclass(frozen=True, kw_only=True)
class Homomorphic(Defense):
    """Add the clients' updates under encryption; the server, or whoever attacks, sees the decrypted sum.

    Values are clipped and rounded to multiples of 2^-32. `ckks` encrypts all of them; its error is rounded away again.
    `paillier` takes one ciphertext a value: `sample` coordinates are encrypted and compared with the plain sum, which
    the others are as they are, for it computes exactly.

    A number that CKKS decrypts has an error that depends on the key: whoever sees it beside the ciphertext finds the
    key (Li and Micciancio 2021, ePrint 2020/1533). Who holds the whole key rounds the error away before he hands the
    sum out, which then is the plain one and tells nothing more: `key: helper` and `clients` need no noise. Those who
    hold shares hand out numbers that are not rounded yet, and each has to flood his with noise. TenSEAL does not split
    keys: `key: shared` decrypts with a whole one and adds that noise, `flooding`, to the sum. Paillier has no error.
    """

    scheme: Literal["ckks", "paillier"] = parameter("ckks", help="how updates are encrypted")
    key: Literal["helper", "clients", "shared"] = parameter("helper", help="who holds the key that decrypts")
    clip: float = parameter(1024.0, above=0, at_most=1024, unit="the update's own", help="largest magnitude of a value")
    flooding: float = parameter(
        0.0,
        at_least=0,
        at_most=MOST,
        unit="the update's own",
        help="standard deviation of the noise on a sum of ckks that shares decrypt",
    )
    sample: int = parameter(8, at_least=1, unit="coordinates", help="how many are encrypted by Paillier")
    modulus: int = parameter(3072, at_least=1024, at_most=8192, unit="bits", help="of Paillier's key")

    def __post_init__(self) -> None:
        if not self.flooding:
            return
        if self.scheme != "ckks":
            raise ValueError(f"homomorphic: {self.scheme} decrypts without an error, so no flooding noise hides it")
        if self.key != "shared":
            whole = "the helper holds" if self.key == "helper" else "each client holds"
            raise ValueError(
                f"homomorphic: {whole} the whole key and rounds the error away: flooding is of `key: shared`"
            )

    @property
    def redraws(self) -> bool:
        """Flooding noise; the grid is a rule, and far finer."""
        return self.flooding > 0

    def of_round(self, round: Round) -> Homomorphic:
        if (missing := self._cipher.missing()) is not None:
            raise ValueError(missing)
        return self

    def round_notes(self, clients: int) -> tuple[str, ...]:
        how = "" if self.scheme == "ckks" else f", at most {self.sample} coordinates encrypted, the rest plain"
        notes = [f"homomorphic ({self.scheme}{how}): {_HOLDERS[self.key]}; the attacker sees the sum"]
        if clients == 1:
            notes.append("homomorphic aggregation protects nothing here: the sum is one client's update")
        if (self.scheme, self.key, self.flooding) == ("ckks", "shared", 0.0):
            notes.append("homomorphic: a sum that is decrypted by shares without flooding noise tells of the key")
        elif self.flooding:
            notes.append(f"homomorphic: the sum has the holders' flooding noise, standard deviation {self.flooding:g}")
        return tuple(notes)

    def aggregate(self, updates: list[Update], context: Context) -> list[Update]:
        restore = flatten(updates[0])[1]
        total = self._total([self._encoded(update) for update in updates], context.generator)
        noise = self.flooding * torch.randn(len(total), generator=context.generator, dtype=torch.float64)
        mean = (torch.from_numpy(total * GRID) + noise) / len(updates)
        return [restore(mean.to(updates[0][0].device))]

    def seen_as(self, expected: Update, variance: Update, seen: Update) -> tuple[Update, Update]:
        """The rounding's GRID^2 / 12 and the flooding's of one client; of a mean of n clients' it is less."""
        clipped = tuple(tensor.clamp(-self.clip, self.clip) for tensor in expected)
        return clipped, tuple(tensor + GRID**2 / 12 + self.flooding**2 for tensor in variance)

    def message_bytes(self, shared: Update, clients: int, before: int) -> int:
        """Of real ciphertexts: nothing that is left out or rounded before makes them smaller."""
        return self._cipher.ciphertext_bytes(sum(map(Tensor.numel, shared)))

    @property
    def _cipher(self) -> Cipher:
        return Ckks() if self.scheme == "ckks" else Paillier(self.modulus)

    def _encoded(self, update: Update) -> Whole:
        values = flatten(update)[0].detach().cpu().double().clamp(-self.clip, self.clip).numpy()
        return np.rint(values / GRID).astype(np.int64)

    def _total(self, vectors: list[Whole], generator: torch.Generator) -> Whole:
        if self.scheme == "ckks":
            return self._cipher.total(vectors)
        plain: Whole = np.sum(vectors, axis=0)
        drawn = torch.randperm(len(plain), generator=generator)[: self.sample].numpy()
        if not np.array_equal(self._cipher.total([vector[drawn] for vector in vectors]), plain[drawn]):
            raise ArithmeticError("Paillier's sum is not the plain one")
        return plain
