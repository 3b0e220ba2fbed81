"""Metrics, one file each, and what computes them: pure functions on arrays.

A metric's file holds `METRIC`, with its column, and a function of its own name, which stands here too:
`from invbench.metrics import psnr, ssim, lpips`. Loading them costs neither torch nor scikit-image. What else stands
here is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import pathlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invbench.metrics._assign import assign as assign
    from invbench.metrics._grey import best_grey as best_grey
    from invbench.metrics._lpips import lpips_distances as lpips_distances
    from invbench.metrics._lpips import lpips_features as lpips_features
    from invbench.metrics._lpips import lpips_note as lpips_note
    from invbench.metrics._ssim import ssim_note as ssim_note
    from invbench.metrics.accuracy import accuracy as accuracy
    from invbench.metrics.column_right import column_right as column_right
    from invbench.metrics.d_snr import d_snr as d_snr
    from invbench.metrics.d_snr_honest import d_snr_honest as d_snr_honest
    from invbench.metrics.epsilon import epsilon as epsilon
    from invbench.metrics.exact import exact as exact
    from invbench.metrics.exposure import exposure as exposure
    from invbench.metrics.extracted import extracted as extracted
    from invbench.metrics.identified import identified as identified
    from invbench.metrics.label_accuracy import label_accuracy as label_accuracy
    from invbench.metrics.label_overlap import label_overlap as label_overlap
    from invbench.metrics.limit_rero import limit_rero as limit_rero
    from invbench.metrics.lpips import lpips as lpips
    from invbench.metrics.macro_auc import macro_auc as macro_auc
    from invbench.metrics.macro_auc import macro_auc_pseudo_values as macro_auc_pseudo_values
    from invbench.metrics.matched import matched as matched
    from invbench.metrics.probability import probability as probability
    from invbench.metrics.probability import queries_for as queries_for
    from invbench.metrics.psnr import psnr as psnr
    from invbench.metrics.recovered import recovered as recovered
    from invbench.metrics.rounds_right import rounds_right as rounds_right
    from invbench.metrics.ssim import ssim as ssim
    from invbench.metrics.update_error import update_error as update_error

_HOMES = {
    "assign": "_assign",
    "best_grey": "_grey",
    "lpips_distances": "_lpips",
    "lpips_features": "_lpips",
    "lpips_note": "_lpips",
    "macro_auc_pseudo_values": "macro_auc",
    "queries_for": "probability",
    "ssim_note": "_ssim",
}


def _functions() -> dict[str, Any]:
    """Each metric's function, now: a submodule imported later would take its name. A broken file costs its own."""
    found = {}
    for file in sorted(pathlib.Path(__file__).parent.glob("[!_]*.py")):
        try:
            found[file.stem] = getattr(importlib.import_module(f"{__name__}.{file.stem}"), file.stem)
        except Exception:  # whoever asks the registry for this metric is told what is wrong with its file
            continue
    return found


globals().update(_functions())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES} - {"annotations", "importlib", "pathlib"})
