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
    by_attack: dict[str, list[Record]] = defaultdict(list)
    for record in Results(Path(folder)).records():
        if record.status == "ok":
            by_attack[record.names["attack"]].append(record)
    for attack, records in by_attack.items():
        print(f"{attack}\n\n| seed | above 40 dB | PSNR of each target, dB |\n|---|---|---|")
        won = total = 0
        for record in records:
            values = [value for target in record.scores["psnr"] for value in target if value is not None]
            won, total = won + sum(value > DECIBELS for value in values), total + len(values)
            shown = " ".join(f"{value:.0f}" for value in values)
            print(f"| {record.names['seed']} | {sum(v > DECIBELS for v in values)} of {len(values)} | {shown} |")
        print(f"| all | **{won} of {total}** | |\n")


if __name__ == "__main__":
    main(sys.argv[1])
