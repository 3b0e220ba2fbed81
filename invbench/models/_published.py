"""Weights that torchvision publishes, by their name there: fetched once, checked by their hash, read without code."""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision  # type: ignore[import-untyped]
from torch import Tensor
from torch.hub import get_dir, load_state_dict_from_url

from invbench.core.parameters import nearest_name
from invbench.models._weights import BadWeights

CLASSES = 1000
"""Of ImageNet-1k, which all of torchvision's published classifiers score."""
CHECKPOINTS = "checkpoints"
"""The folder in torch's own into which it downloads."""
MOVES = "DEFAULT"
"""The name that torchvision gives to whatever is best in its version."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Classifiers that speak while GoogLeNet and Inception train; victims have none."""
_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
"""Names in DenseNet's files, written when modules might hold a point in their names: `norm.1.weight`."""


def refusal(variant: str, name: str) -> str | None:
    """Why torchvision publishes no such weights of this architecture, None where it does."""
    names = [entry.name for entry in torchvision.models.get_model_weights(variant)]
    if name in names:
        return None
    there = f"torchvision publishes {', '.join(names)} of {variant}" if names else "torchvision publishes none of it"
    if name == MOVES:
        return f"published must name weights that stay: {MOVES} is another file in another version; {there}"
    near = nearest_name(name, names)
    return f"{variant} has no published weights {name!r}; " + (f"nearest: {near!r}" if near else there)


def published_weights(variant: str, name: str) -> Mapping[str, Tensor]:
    """The tensors by name, float32 on the CPU, from torch's folder of downloads, else from the network.

    BadWeights where they cannot be fetched, or are not the file whose hash its name says.
    """
    url = _url(variant, name)
    file = Path(get_dir()) / CHECKPOINTS / Path(urlparse(url).path).name
    _check(file)
    try:
        with redirect_stdout(sys.stderr):  # torch.hub says there what it downloads
            tensors = load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise BadWeights(
            f"{variant}: {name} cannot be had from {url} ({error}); without a network, put that file into the folder"
            f" {CHECKPOINTS} of torch.hub.get_dir()"
        ) from error
    return _as_now(tensors)


def _url(variant: str, name: str) -> str:
    return str(torchvision.models.get_model_weights(variant)[name].url)


def _check(file: Path) -> None:
    """BadWeights where a file lies there already that is not what its name says: `NAME-FIRST DIGITS OF SHA-256.pth`."""
    if not file.is_file():
        return
    said = file.stem.rpartition("-")[2]
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if not found.startswith(said):
        raise BadWeights(
            f"{CHECKPOINTS}/{file.name} of torch.hub.get_dir(): is damaged or another file: its SHA-256 begins with"
            f" {found[: len(said)]}; delete it"
        )


def _as_now(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Under the names of today's modules, in float32, without what only speaks in training."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(AUXILIARY)}
    return {
        _DENSE.sub(r"\1\2.", name): tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in kept.items()
    }
