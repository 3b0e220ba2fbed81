"""Where to compute."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from invbench.core.digits import whole
from invbench.core.errors import Refusal


class UnknownDevice(Refusal):
    """There is no such device here."""


def resolve(word: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:N` as `cpu`, `cuda:N`, or `cuda`: all of this machine's several GPUs.

    UnknownDevice where there is no such device here.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if word == "cpu" or (word == "auto" and not count):
        return "cpu"
    number = whole(word[5:]) if word.startswith("cuda:") else 0
    if (word not in ("auto", "cuda") and not word.startswith("cuda:")) or number is None:
        raise UnknownDevice(f"--device {word!r}: must be auto, cpu, cuda or cuda:N")
    if word in ("auto", "cuda") and count > 1:
        return "cuda"
    if number >= count:
        raise UnknownDevice(f"--device {word}: this machine has {count or 'no'} GPU{'s' if count != 1 else ''}")
    return f"cuda:{number}"


def gpus() -> list[str]:
    """The visible GPUs as CUDA_VISIBLE_DEVICES calls them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    told = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name.strip() for name in told.split(",")][:count] if told else [str(k) for k in range(count)]


def shared_out(device: str, visible: Sequence[str]) -> tuple[str, list[dict[str, str]]]:
    """What each worker calls its device; one environment a worker, handed out round-robin.

    With `cuda` every worker sees one of the `visible` GPUs, which is its `cuda:0`: nothing can touch another's.
    """
    if device == "cuda":
        return "cuda:0", [{"CUDA_VISIBLE_DEVICES": name} for name in visible]
    return device, [{}]


def names() -> list[str]:
    """Each GPU by its maker's name."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(k) for k in range(count)]
