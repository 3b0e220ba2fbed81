"""Random streams named by what they depend on, so that no two purposes share a seed.

Victim weights depend on (seed, model, data) alone; the client's draws on (seed, target, defence); the
attack's on (seed, attack, target). A stream is the SHA-256 of its names: adding one never shifts another.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch


def seed_of(*names: object) -> int:
    """A 63-bit seed from JSON-serialisable names."""
    text = json.dumps(names, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(*names: object) -> torch.Generator:
    """A CPU generator for these names; draws are made on the CPU and moved, so devices agree."""
    return torch.Generator().manual_seed(seed_of(*names))


def numpy_stream(*names: object) -> np.random.Generator:
    """The same for NumPy."""
    return np.random.default_rng(seed_of(*names))
