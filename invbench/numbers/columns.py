"""The metrics as columns: what each means, which way is a better attack, how it prints, when it has moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One metric.

    `better`: the direction in which the attack is stronger (more leaks). `tolerance`: the absolute change,
    in the metric's own unit, that the gate puts up with by default.
    """

    name: str
    help: str
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    decimals: int = 3
    tolerance: float = 0.02

    def gain(self, difference: float) -> float:
        """A change of the metric, signed so that a positive one is a stronger attack."""
        return difference if self.better == "higher" else -difference

    def show(self, value: float | None) -> str:
        """A value as every table prints it; nothing for an empty one."""
        return "" if value is None else f"{value:.{self.decimals}f}"


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("psnr", "peak signal-to-noise ratio, capped at 100", unit="dB", decimals=2, tolerance=0.5),
        Column("ssim", "structural similarity, Gaussian window of sigma 1.5"),
        Column("lpips", "perceptual distance, AlexNet v0.1", better="lower"),
        Column("label_accuracy", "share of the batch's labels that the attack has right"),
        Column("identified", "share whose nearest of up to 100 candidates, by LPIPS, is the original"),
        Column("recovered", "share of the batch that the attack returned a picture for"),
        Column("exact", "share recovered above 80 dB"),
        Column("accuracy", "share of people whose sensitive attribute is guessed right"),
        Column("macro_auc", "area under the ROC curve, averaged over the attribute's values"),
    )
}
"""Every metric by name, in the order in which tables show them."""

GAME_COLUMNS: dict[str, tuple[str, ...]] = {
    "update": ("psnr", "ssim", "lpips", "label_accuracy", "identified", "recovered", "exact"),
    "attribute": ("accuracy", "macro_auc"),
}
"""The metrics of each game, in the order in which its tables show them."""
