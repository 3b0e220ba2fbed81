"""Scores as pure functions on arrays: `from invbench.metrics import psnr, ssim, lpips`.

A name is imported when it is first asked for, so that `psnr` costs neither torch nor scikit-image.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invbench.metrics._assign import assign as assign
    from invbench.metrics._grey import best_grey as best_grey
    from invbench.metrics._identified import identified as identified
    from invbench.metrics._lpips import lpips as lpips
    from invbench.metrics._lpips import lpips_distances as lpips_distances
    from invbench.metrics._lpips import lpips_features as lpips_features
    from invbench.metrics._lpips import lpips_note as lpips_note
    from invbench.metrics._psnr import psnr as psnr
    from invbench.metrics._ranking import macro_auc as macro_auc
    from invbench.metrics._ranking import macro_auc_pseudo_values as macro_auc_pseudo_values
    from invbench.metrics._ssim import ssim as ssim
    from invbench.metrics._ssim import ssim_note as ssim_note

_HOMES = {
    "assign": "_assign",
    "best_grey": "_grey",
    "identified": "_identified",
    "lpips": "_lpips",
    "lpips_distances": "_lpips",
    "lpips_features": "_lpips",
    "lpips_note": "_lpips",
    "macro_auc": "_ranking",
    "macro_auc_pseudo_values": "_ranking",
    "psnr": "_psnr",
    "ssim": "_ssim",
    "ssim_note": "_ssim",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
