"""Keys that two clients agree on (X25519, HKDF), shares sealed with them (ChaCha20-Poly1305), and masks (ChaCha20)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from invbench.secure import Draw, Refused
from invbench.secure.field import PRIME
from invbench.secure.ring import Words, wrap

KEY = 32
"""Bytes of a public or private key, of a seed, and of what two clients agree on."""
TAG = 16
"""Bytes that sealing adds."""
_ONCE = bytes(12)  # a nonce that need not change: each key seals one message


def private_key(draw: Draw) -> bytes:
    """A private key of X25519, with the bits set that the function sets anyway (RFC 7748, section 5)."""
    key = bytearray(draw(KEY))
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return bytes(key) if int.from_bytes(key, "little") < PRIME else private_key(draw)


def public_key(private: bytes) -> bytes:
    """The public key that goes with a private one."""
    return _loaded(private).public_key().public_bytes_raw()


def seed(draw: Draw) -> bytes:
    """A seed of 254 random bits: an element of the shares' field."""
    drawn = bytearray(draw(KEY))
    drawn[31] &= 63
    return bytes(drawn)


def agreed(private: bytes, public: bytes, purpose: bytes) -> bytes:
    """The key for this purpose that the holders of two private keys both get from the other's public one.

    Refused where the public key is of small order: then everybody could compute it.
    """
    try:
        secret = _exchanged(private, public)
    except ValueError as error:
        raise Refused(f"not a public key: {error}") from error
    return HKDF(algorithm=SHA256(), length=KEY, salt=None, info=purpose).derive(secret)


@lru_cache(maxsize=1 << 13)  # two clients seal for each other with keys of one exchange
def _exchanged(private: bytes, public: bytes) -> bytes:
    return _loaded(private).exchange(X25519PublicKey.from_public_bytes(public))


@lru_cache(maxsize=1 << 8)  # loading takes as long as an exchange
def _loaded(private: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(private)


def seal(key: bytes, text: bytes, about: bytes) -> bytes:
    """The text, sealed by a key that seals nothing else; `about` is not in it, but has to be known to open it."""
    return ChaCha20Poly1305(key).encrypt(_ONCE, text, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """The text; Refused where it was sealed by another key, about something else, or changed on the way."""
    try:
        return ChaCha20Poly1305(key).decrypt(_ONCE, sealed, about)
    except (InvalidTag, ValueError) as error:
        raise Refused("a sealed message was changed, cut, or is of another round or sender") from error


def mask(key: bytes, length: int, width: int) -> Words:
    """So many words, uniform in the ring of 2^width, to whoever does not know the key; the same to all who do."""
    kind = np.dtype("<u4" if width <= 32 else "<u8")
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(kind.itemsize * length))
    return wrap(np.frombuffer(stream, dtype=kind).astype(np.uint64), width)
