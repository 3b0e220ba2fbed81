"""Where to compute."""

from __future__ import annotations

import torch

from invbench.errors import Refusal


class UnknownDevice(Refusal):
    """There is no such device here."""


def resolve(word: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device of this machine (`cpu`, `cuda:0`); UnknownDevice otherwise."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if word == "cpu" or (word == "auto" and not count):
        return "cpu"
    if word not in ("auto", "cuda") and not (word.startswith("cuda:") and word[5:].isdecimal()):
        raise UnknownDevice(f"--device {word!r}: must be auto, cpu, cuda or cuda:N")
    number = int(word[5:]) if word.startswith("cuda:") else 0
    if number >= count:
        raise UnknownDevice(f"--device {word}: this machine has {count or 'no'} GPU{'s' if count != 1 else ''}")
    return f"cuda:{number}"


def names() -> list[str]:
    """Each GPU by its maker's name."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(k) for k in range(count)]
