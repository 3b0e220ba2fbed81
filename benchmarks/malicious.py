"""What do malicious servers read of real pictures: LOKI of many clients, fishing of one class or of one picture?

python benchmarks/malicious.py [--data cifar10-train-4660.npz] [--only loki ...]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from _cells import TRAIN, cell_of, decibels
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.observation import Guess
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

CPU = torch.device("cpu")
READ = 25.0
"""PSNR in dB above which a picture of LOKI's counts as read: its contrast is known up to half a bin."""
CASES = {
    "loki": (
        "name: loki",
        8,
        20,
        4,
        "{name: fedavg, clients: 20, steps: 2, local_batch_size: 4, lr: 0.001, public: 2000}",
    ),
    "loki,64": (
        "name: loki",
        64,
        4,
        2,
        "{name: fedavg, clients: 4, steps: 4, local_batch_size: 16, lr: 0.001, public: 2000}",
    ),
    "fishing,class": ("name: fishing", 32, 1, 10, "{name: fedsgd, public: 1000}"),
    "fishing,feature": ("name: fishing, by: feature", 32, 1, 10, "{name: fedsgd, public: 1000}"),
    "trap-weights": ("name: trap-weights", 32, 1, 10, "{name: fedsgd, public: 1000}"),
}
"""Name to attack, pictures of a client, clients, targets, protocol."""
MODELS = {"trap-weights": "{name: mlp, width: 1000}"}
MATRIX = """\
dataset: {{name: npz, path: {data}}}
targets: {targets}
grid:
  attack: [{{{attack}}}]
  model: [{model}]
  batch_size: [{batch}]
  protocol: [{protocol}]
"""


class Settings(Kept, frozen=True):
    cases: list[Name]


class Row(Kept, frozen=True):
    """Of each target: PSNR of each picture, how many of those given back are identified, how many it fished."""

    case: Name
    pictures: int
    psnr: list[list[float]]
    given: list[int]
    identified: list[int]
    fished: list[int | None]
    d_snr: list[float | None]
    seconds: float


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=TRAIN)
    arguments.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    settings = Settings(asked.only)
    record("malicious", settings, lambda: measure(settings, asked.data))


def measure(settings: Settings, data: Path) -> Samples:
    return Samples([measure_one(case, data) for case in settings.cases])


def measure_one(case: str, data: Path, targets: int | None = None) -> Row:
    cell = _cell(case, data, targets)
    deal, started = dealt(cell, CPU), time.process_time()
    answers = answered(attack_of(cell), deal.observations, execution.Settings()).answers
    seconds = time.process_time() - started
    scores, told = deal.score(answers), deal.limits()
    guesses = [one if isinstance(one, Guess) else Guess(torch.zeros(0, 3, 32, 32)) for one in answers]
    psnr = [decibels(deal, k, one.images) for k, one in enumerate(guesses)]
    row = Row(
        case=case,
        pictures=len(psnr[0]),
        psnr=psnr,
        given=[len(one.images) for one in guesses],
        identified=[
            round(sum((hit or 0) * (there or 0) for hit, there in zip(*of, strict=True)))
            for of in zip(scores["identified"], scores["recovered"], strict=True)
        ],
        fished=[getattr(one, "facts", {}).get("fished") for one in answers],
        d_snr=[of[0] for of in told["d_snr"]],
        seconds=seconds,
    )
    print(case, [sum(v > READ for v in of) for of in psnr], row.identified, row.fished, round(seconds), flush=True)
    return row


def _cell(case: str, data: Path, targets: int | None = None) -> Cell:
    attack, batch, _, many, protocol = CASES[case]
    words = {"data": data, "attack": attack, "batch": batch, "protocol": protocol, "targets": targets or many}
    return cell_of(MATRIX.format(**words, model=MODELS.get(case, "lenet")))


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What do malicious servers read of real pictures?",
        question="CIFAR-10 training pictures, untrained `lenet` (`trap-weights`: an `mlp` of 1,000 units). Of each "
        f"target the share of its pictures above {READ:g} dB, and of those given back and identified among 100 "
        "candidates (what is not given back is scored as a mean, which is identified by chance); targets of which at "
        "least one is; D-SNR as the median, which a client could check.",
        command="python benchmarks/malicious.py",
        columns=[
            "attack",
            "clients",
            "pictures",
            "given back",
            "above 25 dB",
            "identified",
            "targets read",
            "D-SNR",
            "CPU, s",
        ],
        rows=[_line(row) for row in samples.rows],
        text=[
            "`fishing` reads the pictures of one class: "
            + "; ".join(
                f"`{row.case}` identified {_shown(row.identified)} of {_shown(row.fished)} of that class"
                for row in samples.rows
                if row.case.startswith("fishing")
            )
            + "."
        ]
        if any(row.case.startswith("fishing") for row in samples.rows)
        else [],
    )


def _line(row: Row) -> list[str]:
    above = statistics.mean(sum(value > READ for value in of) / len(of) for of in row.psnr)
    d_snr = [value for value in row.d_snr if value is not None]
    return [
        f"`{row.case}`",
        str(CASES[row.case][2]),
        str(row.pictures),
        f"{statistics.mean(row.given):.1f}",
        f"{above:.3f}",
        f"{statistics.mean(row.identified) / row.pictures:.3f}",
        f"{sum(value > 0 for value in row.identified)} of {len(row.identified)}",
        f"{statistics.median(d_snr):.3g}" if d_snr else "",
        f"{row.seconds:.0f}",
    ]


def _shown(values: list[int] | list[int | None]) -> str:
    return ", ".join("none" if value is None else str(value) for value in values)


if __name__ == "__main__":
    main()
