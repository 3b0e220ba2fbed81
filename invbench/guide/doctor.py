"""What works on this machine, found out by trying it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from invbench import registry
from invbench.core.errors import Refusal
from invbench.numbers.metric import Metric
from invbench.numbers.sheet import Sheet
from invbench.sheets import broken_metrics, columns

EXTRAS = (
    ("ray", "ray"),
    ("opacus", "dp"),
    ("cma", "cma"),
    ("transformers", "hf"),
    ("tenseal", "he"),
    ("phe", "he"),
)
"""Packages that not everybody has, each with the extra that brings it."""


@dataclass(frozen=True)
class Finding:
    """`works` is None where the thing is optional and not there."""

    what: str
    works: bool | None
    detail: str


def examine() -> list[Finding]:
    """Every finding, the essential ones first."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("torch", _torch),
        ("processor", _processor),
        ("LPIPS weights", _lpips),
        ("cache folder", _cache),
        *((f"data set {name}", lambda name=name: _dataset(name)) for name in ("natural", "lfw", "digits")),
    ]
    findings = [_try(what, check) for what, check in checks]
    return [*findings, _gpu(), *_optional(), *_broken()]


def _try(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except Refusal as error:
        return Finding(what, False, str(error))
    except Exception as error:  # whatever is broken is what the user wants to know
        return Finding(what, False, f"{type(error).__name__}: {error}")


def _torch() -> str:
    return f"torch {version('torch')}, torchvision {version('torchvision')}"


def _processor() -> str:
    import torch

    return f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _gpu() -> Finding:
    from invbench.runs import devices

    found = _try("GPU", lambda: ", ".join(devices.names()))
    return found if found.detail else Finding("GPU", None, "none: cells run on the CPU")


def _lpips() -> str:
    import numpy as np

    from invbench.metrics import lpips

    flat, ramp = np.full((1, 3, 32, 32), 0.5), np.linspace(0, 1, 3072).reshape(1, 3, 32, 32)
    distance = float(lpips(flat, ramp)[0])
    if not 0 < distance < 2:
        raise ValueError(f"a distance of {distance} between two pictures")
    return "AlexNet v0.1, in the package"


def _cache() -> str:
    from invbench.core.artefacts import cache_folder

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written")
    return str(folder)


def _dataset(name: str) -> str:
    from invbench.data import Dataset, ImagePool

    pool = registry.load("dataset", name).build({}, Dataset).load()
    assert isinstance(pool, ImagePool)
    return f"{len(pool.images)} pictures of {' x '.join(str(n) for n in pool.images.shape[1:])}"


def _broken() -> list[Finding]:
    """Entry points of a kind that there is not, and what other packages add that cannot be used."""
    unread = registry.unread_plugins().items()
    found = [
        Finding(f"plugin {name}", False, f"no kind is called {name.partition('.')[0]!r}; nearest: {nearest!r}")
        for name, nearest in unread
    ]
    tried = [_try(f"plugins of {folder}", partial(_named, kind)) for kind, folder in registry.FOLDERS.items()]
    for kind in registry.FOLDERS:
        tried += [_try(f"{kind} {name}", partial(_usable, kind, name)) for name in _plugins(kind)]
    tried.append(_try("columns of all games", lambda: f"{len(columns())}"))
    return [*found, *(finding for finding in tried if not finding.works)]


def _plugins(kind: str) -> list[str]:
    """The names of that kind that other packages add; none where two of them add the same one."""
    try:
        return sorted(registry.plugin_names(kind))
    except registry.BrokenPart:
        return []


def _named(kind: str) -> str:
    return ", ".join(sorted(registry.plugin_names(kind)))


def _usable(kind: str, name: str) -> str:
    """Refused, or any error, where a part, metric or sheet cannot be used; what it is."""
    if kind == "sheet":
        return registry.held(kind, name, Sheet)[1]
    if kind == "metric":
        problem = broken_metrics().get(name.replace("-", "_"))
        if problem is not None:
            raise registry.BrokenPart(problem)
        return registry.held(kind, name, Metric)[1]
    part = registry.load(kind, name)
    return f"{part.summary}: {', '.join(part.parameters)}"


def _optional() -> list[Finding]:
    plugins = [f"{kind} {name}" for kind in registry.FOLDERS for name in _plugins(kind)]
    return [
        Finding("plugins", True if plugins else None, ", ".join(plugins) or "none installed"),
        *(_extra(package, extra) for package, extra in EXTRAS),
    ]


def _extra(package: str, extra: str) -> Finding:
    """Whether the package of an extra is installed."""
    if importlib.util.find_spec(package) is None:
        return Finding(package, None, f"not installed: pip install 'invbench[{extra}]'")
    return Finding(package, True, version(package))
