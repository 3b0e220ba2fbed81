"""What do malicious servers read of real pictures: LOKI of many clients, fishing of one class or of one picture?

python benchmarks/malicious.py [--data cifar10-train-4660.npz] [--only loki ...] [--anew]
"""

from __future__ import annotations

import statistics
from pathlib import Path

import _parts
import torch
from _cells import TRAIN, cell_of, decibels
from _measure import clock_of, steps_on
from _raw import Kept, Name
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.metrics._dominance import INFINITE
from invbench.observation import Guess
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt

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
    read: float = READ


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
    asked = _parts.options(__doc__, TRAIN, [*CASES]).parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()

    def make(case: str) -> Row:
        return measure(case, asked.data, asked.device)

    _parts.measure("malicious", asked, [*CASES], make, Row, Settings(), Samples)


def measure(case: str, data: Path, device: str = "cpu") -> Row:
    cell, clock = _cell(case, data), clock_of(device)
    deal = dealt(cell, torch.device(device))
    started = clock()
    answers = answered(attack_of(cell), deal.observations, steps_on(device)).answers
    seconds = clock() - started
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


def _cell(case: str, data: Path) -> Cell:
    attack, batch, _, targets, protocol = CASES[case]
    words = {"data": data, "attack": attack, "batch": batch, "protocol": protocol, "targets": targets}
    return cell_of(MATRIX.format(**words, model=MODELS.get(case, "lenet")))


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What do malicious servers read of real pictures?",
        question="CIFAR-10 training pictures, untrained `lenet` (`trap-weights`: an `mlp` of 1,000 units). Of each "
        f"target the share of its pictures above {settings.read:g} dB, and of those given back and identified among "
        "100 candidates (what is not given back is scored as a mean, which is identified by chance); targets of which "
        "at least one is; D-SNR, which a client could check, as the lower median.",
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
            "time, s",
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
        _outweighs(d_snr),
        f"{row.seconds:.0f}",
    ]


def _outweighs(values: list[float]) -> str:
    """The lower median, and in how many targets a picture has a layer to itself."""
    if not values:
        return ""
    middle, alone = statistics.median_low(values), sum(value >= INFINITE for value in values)
    shown = "infinite" if middle >= INFINITE else f"{middle:.3g}"
    return f"{shown}, {alone} infinite" if alone else shown


def _shown(values: list[int] | list[int | None]) -> str:
    return ", ".join("none" if value is None else str(value) for value in values)


if __name__ == "__main__":
    main()
