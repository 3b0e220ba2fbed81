"""What simulating a client's local steps buys: every pair of cells of a result that differ in `simulate` alone.

invbench run benchmarks/reproduce/fedavg.yaml -o results/fedavg
python benchmarks/simulation.py results/fedavg
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invbench.numbers.statistics import mean, paired_interval, target_means
from invbench.store import Record, Results


def main() -> None:
    for line in lines(Results(Path(sys.argv[1])).records()):
        print(line)


def lines(records: list[Record]) -> list[str]:
    """One line a pair: PSNR with and without, the gain and its paired 95 % interval over targets, the control."""
    found = {_without(record.settings): record for record in records if not _simulates(record)}
    told = []
    for record in records:
        other = found.get(_without(record.settings))
        if not _simulates(record) or other is None or "psnr" not in record.scores or "psnr" not in other.scores:
            continue
        one, two = target_means(record.scores["psnr"]), target_means(other.scores["psnr"])
        gain = mean([a - b for a, b in zip(one, two, strict=True) if a is not None and b is not None])
        low, high = paired_interval(two, one) or (float("nan"), float("nan"))
        controls = [mean(target_means(scores["psnr"])) or 0.0 for scores in record.controls.values()]
        told.append(
            f"{record.names['protocol']}, {record.names['model']}, batch {record.names['batch_size']}: simulated "
            f"{mean(one):.2f} dB, as one gradient {mean(two):.2f} dB, gain {gain:+.2f} dB [{low:+.2f}, {high:+.2f}], "
            f"{record.targets} targets, strongest control {max(controls):.2f} dB"
        )
    return told


def _simulates(record: Record) -> bool:
    simulates: bool = record.settings["attack"].get("simulate", True)
    return simulates


def _without(settings: Mapping[str, Any]) -> str:
    attack = {key: value for key, value in settings["attack"].items() if key != "simulate"}
    return str(sorted((settings | {"attack": attack}).items(), key=lambda pair: pair[0]))


if __name__ == "__main__":
    main()
