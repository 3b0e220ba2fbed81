"""Weights that a user has: a file of safetensors, held against a network, and read.

Pickles are refused: reading one can run code. Names, shapes and numbers are checked before anything is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from invbench.core.parameters import nearest_name

NAMED = 3
"""Tensors that a message names of each kind of fault."""
LONGEST = 100
"""Characters of what a message says of one tensor: a file may give it a name of any length."""
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "backbone.")
"""What wrappers put before every name: DataParallel, the compiler, a training framework."""
OTHERS = {"F64": "float64", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8", "F8_E5M2": "float8"}
"""Of safetensors' types of numbers, those that are brought to float32."""
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")

Shape = tuple[int, ...]
Stamp = tuple[Path, int, int]
"""A file, the time of its last change in nanoseconds, its bytes: what is read of it is remembered by these."""


class BadWeights(ValueError):
    """Weights that cannot be used; the message names where they come from and says what is wrong."""


def check_file(path: Path) -> None:
    """BadWeights where there is no file of safetensors; its head alone is read."""
    _shapes(_stamp(path))


def content_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    return _content(_stamp(path))


def misfit_of_file(path: Path, network: nn.Module) -> str | None:
    """Which tensors of the file are not those of the network, or hold what is no number; None where all fit.

    `network` may be on the meta device. The file is named without its folder: the sentence is kept in records.
    """
    stamp = _stamp(path)
    why = misfit(_shapes(stamp), network) or _not_numbers(stamp, _floating(network))
    return None if why is None else f"{path.name}: {why}"


def misfit(found: Mapping[str, Shape], network: nn.Module) -> str | None:
    """Which names and shapes differ from the network's, in words; at most three of each kind are named.

    How many batches BatchNorm has counted may be missing: it counts for nothing where `momentum` is given.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = [name for name in wanted if name not in found and not name.endswith(".num_batches_tracked")]
    surplus = [name for name in found if name not in wanted]
    others = [name for name, shape in wanted.items() if found.get(name, shape) != shape]
    faults = []
    if missing:
        faults.append(f"lacks {_some(f'{name} ({_size(wanted[name])})' for name in missing)}")
    if surplus:
        faults.append(f"holds {_some(f'{name} ({_size(found[name])})' for name in surplus)}, which the model has not")
    if others:
        faults.append(_some(f"{name} is {_size(found[name])}, the model's {_size(wanted[name])}" for name in others))
    return "; ".join([*faults, *_hint(missing, surplus, wanted, found)]) or None


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor by name, on the CPU, floating ones in float32."""
    with _opened(path) as file:
        return {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (no mapping)


def put(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Give a network these weights, in place; BadWeights, `origin` first, where they do not fit it."""
    why = misfit({name: tuple(tensor.shape) for name, tensor in tensors.items()}, network)
    if why is not None:
        raise BadWeights(f"{origin}: {why}")
    network.load_state_dict(dict(tensors), strict=False)  # a count of batches may be missing


def rounded(path: Path) -> tuple[str, ...]:
    """That the file holds numbers of another precision than victims compute in, nothing where it does not."""
    kinds = sorted({OTHERS[kind] for kind in _kinds(_stamp(path)) if kind in OTHERS})
    return (f"{path.name}: {' and '.join(kinds)} read as float32",) if kinds else ()


def _stamp(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError as error:
        raise BadWeights(f"{path}: {error.strerror or error}") from None
    if not path.is_file():
        raise BadWeights(f"{path}: is no file; weights are one file of safetensors")
    return path, state.st_mtime_ns, state.st_size


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        if path.suffix in PICKLES:
            raise BadWeights(
                f"{path}: is no file of safetensors; a pickle can run code when it is read, so save them by"
                " safetensors.torch.save_file(network.state_dict(), FILE)"
            ) from None
        raise BadWeights(f"{path}: is no file of safetensors ({error})") from None


@lru_cache(maxsize=16)
def _content(stamp: Stamp) -> str:
    with stamp[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=16)
def _shapes(stamp: Stamp) -> Mapping[str, Shape]:
    with _opened(stamp[0]) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@lru_cache(maxsize=16)
def _kinds(stamp: Stamp) -> frozenset[str]:
    """Types of its numbers, as safetensors names them."""
    with _opened(stamp[0]) as file:
        return frozenset(file.get_slice(name).get_dtype() for name in file.keys())  # noqa: SIM118


@lru_cache(maxsize=16)
def _not_numbers(stamp: Stamp, floating: frozenset[str]) -> str | None:
    """Which tensors hold what float32 has no number for, or no floating numbers where the network has them."""
    kinds, infinite = [], []
    with _opened(stamp[0]) as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            if name in floating and not tensor.is_floating_point():
                kinds.append(f"{name} holds {str(tensor.dtype).removeprefix('torch.')}")
            elif not bool(_single(tensor).isfinite().all()):
                infinite.append(name)
    faults = [f"{_some(kinds)}, where the model has floating numbers"] if kinds else []
    verb = "holds" if len(infinite) == 1 else "hold"
    faults += [f"{_some(infinite)} {verb} NaN or infinity"] if infinite else []
    return "; ".join(faults) or None


def _floating(network: nn.Module) -> frozenset[str]:
    return frozenset(name for name, tensor in network.state_dict().items() if tensor.is_floating_point())


def _single(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _hint(missing: list[str], surplus: list[str], wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> list[str]:
    """What is likely to be wrong with the names: a prefix before all, or another name for the first, of its shape."""
    if not missing or not surplus:
        return []
    prefix = next((one for one in PREFIXES if all(one + name in found for name in missing)), None)
    if prefix is not None:
        return [f"its names begin with {prefix!r}: take that off before they are saved"]
    near = nearest_name(missing[0], [name for name in surplus if found[name] == wanted[missing[0]]])
    return [f"nearest to {missing[0]} is {_brief(near)}"] if near else []


def _some(words: Iterable[str]) -> str:
    """The first three, each shortened where it is long, and how many more there are."""
    every = list(words)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(map(_brief, every[:NAMED])) + more


def _brief(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST // 2]} ... {word[-LONGEST // 4 :]}"


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one number"
