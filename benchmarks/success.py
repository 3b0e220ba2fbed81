"""Success rate by weight seed from a results folder: the share of targets whose mean squared error is below 1e-4.

python benchmarks/success.py results/zhu2019-seeds
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from invbench.store import Record, Results

DECIBELS = 40.0  # an error of 1e-4 on pixels in [0, 1]


def main(folder: str) -> None:
    print("\n".join(lines(list(Results(Path(folder)).records()))))


def lines(records: list[Record]) -> list[str]:
    """A table an attack. A target of a cell that failed, or without a PSNR, is a target that was not read."""
    by_attack: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status != "unsupported":
            by_attack[record.names["attack"]].append(record)
    found = []
    for attack, of_attack in by_attack.items():
        found += [attack, "", "| seed | above 40 dB | PSNR of each target, dB |", "|---|---|---|"]
        won = total = 0
        for record in of_attack:
            values = psnrs(record)
            above = sum(value is not None and value > DECIBELS for value in values)
            won, total = won + above, total + len(values)
            shown = " ".join("none" if value is None else f"{value:.0f}" for value in values)
            found.append(f"| {record.names['seed']} | {above} of {len(values)} | {shown} |")
        found += [f"| all | **{won} of {total}** | |", ""]
    return found


def psnrs(record: Record) -> list[float | None]:
    """One value a picture of the cell; None for each of them where the cell failed."""
    return [value for target in record.scores["psnr"] for value in target] if record.scores else [None] * record.images


if __name__ == "__main__":
    main(sys.argv[1])
