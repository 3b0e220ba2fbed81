"""What simulating a client's local steps buys: every pair of cells of a result that differ in `simulate` alone.

invbench run benchmarks/reproduce/fedavg.yaml -o results/fedavg
python benchmarks/simulation.py results/fedavg
"""

from __future__ import annotations

import statistics
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
    """One line a pair: PSNR with and without, the gain and its paired 95 % interval over targets, the control.

    A pair of which a side failed, or has a target without a PSNR, is told without a gain: no mean is over survivors.
    """
    found = {_without(record.settings): record for record in records if not _simulates(record)}
    pairs = [(record, found.get(_without(record.settings))) for record in records if _simulates(record)]
    return [_line(record, other) for record, other in pairs if other is not None]


def _line(record: Record, other: Record) -> str:
    names = record.names
    objective = record.settings["attack"].get("objective", names["attack"])
    start = f"{objective}, {names['protocol']}, {names['model']}, batch {names['batch_size']}: "
    one, two = (_every_target(side) for side in (record, other))
    if one is None or two is None:
        return f"{start}no gain, simulated: {record.status}, as one gradient: {other.status}, or targets without a PSNR"
    gain = statistics.mean([a - b for a, b in zip(one, two, strict=True)])
    low, high = paired_interval(two, one) or (float("nan"), float("nan"))
    controls = [mean(target_means(scores["psnr"])) or 0.0 for scores in record.controls.values()]
    return (
        f"{start}simulated {statistics.mean(one):.2f} dB, as one gradient {statistics.mean(two):.2f} dB, "
        f"gain {gain:+.2f} dB [{low:+.2f}, {high:+.2f}], {record.targets} targets, "
        f"strongest control {max(controls):.2f} dB"
    )


def _every_target(record: Record) -> list[float] | None:
    """The mean PSNR of each target; None where the cell has not ended or any picture is without one."""
    targets = record.scores.get("psnr", [])
    complete = [[value for value in target if value is not None] for target in targets]
    if not targets or any(len(there) < len(target) for there, target in zip(complete, targets, strict=True)):
        return None
    return [statistics.mean(target) for target in complete]


def _simulates(record: Record) -> bool:
    simulates: bool = record.settings["attack"].get("simulate", True)
    return simulates


def _without(settings: Mapping[str, Any]) -> str:
    attack = {key: value for key, value in settings["attack"].items() if key != "simulate"}
    return str(sorted((settings | {"attack": attack}).items(), key=lambda pair: pair[0]))


if __name__ == "__main__":
    main()
