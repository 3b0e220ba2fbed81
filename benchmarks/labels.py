"""Which labels does one update of a large batch tell, by each strategy, and how much of that is the class prior?

python benchmarks/labels.py [--data cifar10-train-4660.npz] [--only lenet-64 ...] [--anew]
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import _parts
import torch
from _cells import TRAIN, cell_of
from _raw import Kept, Name
from _summary import summary
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.labels import Counting, label_strategy
from invbench.metrics import label_overlap
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of
from invbench.play.dealing import dealt
from invbench.scoring.controls import prior_labels
from invbench.scoring.reconstruction import Truth

CPU = torch.device("cpu")
WAYS: tuple[Counting, ...] = ("llg", "llg-dummy", "llg-aux", "ilrg", "rlu")
"""All but `column-min`, which finds different labels and is `unsupported` where some repeat."""
PUBLIC, TRAINED_PUBLIC = 500, 350
FEDSGD = "{{name: fedsgd, labels: hidden, public: {public}}}"
LOCAL = "{{name: fedavg, steps: 5, lr: {lr}, labels: hidden, public: {public}}}"
RELU = "name: lenet, activation: relu, start: pytorch"
CASES = {
    "lenet": ("lenet", FEDSGD, (64, 256)),
    "lenet,relu": (f"{{{RELU}}}", FEDSGD, (64, 256)),
    "resnet18": ("resnet18", FEDSGD, (64, 256)),
    "lenet,relu,trained": (f"{{{RELU}, trained: true}}", FEDSGD, (64,)),
    "lenet,relu,5,steps": (f"{{{RELU}}}", LOCAL.replace("{lr}", "0.01"), (64,)),
    "lenet,relu,trained,5,steps": (f"{{{RELU}, trained: true}}", LOCAL.replace("{lr}", "0.01"), (64,)),
}
"""Name to model, protocol and batch sizes."""
MATRIX = """\
dataset: {{name: npz, path: {data}}}
targets: {targets}
grid:
  attack: [{{name: label-recovery, labels: {way}}}]
  model: [{model}]
  batch_size: [{batch}]
  protocol: [{protocol}]
"""


class Settings(Kept, frozen=True):
    targets: int = 16


class Row(Kept, frozen=True):
    """Mean overlap of each batch by one strategy."""

    way: Name
    overlap: list[float]


class Part(Kept, frozen=True):
    """One victim and batch size: pictures of the attacker's own, and what the class prior has of each batch."""

    case: Name
    batch: int
    public: int
    prior: list[float]
    rows: list[Row]


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    asked = _parts.options(__doc__, TRAIN, names()).parse_args()
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    settings = Settings()

    def make(name: str) -> Part:
        case, batch = name.split("-", 1)
        return measure(settings, case, int(batch), asked.data)

    _parts.measure("labels", asked, names(), make, Part, settings, Samples)


def names() -> list[str]:
    return [f"{case}-{batch}" for case, (_, _, batches) in CASES.items() for batch in batches]


def measure(settings: Settings, case: str, batch: int, data: Path) -> Part:
    """Every strategy on the same updates."""
    public = TRAINED_PUBLIC if "trained" in case else PUBLIC
    rows, cells = [], [_cell(case, batch, settings.targets, data, way, public) for way in WAYS]
    deal = dealt(cells[0], CPU)
    truths = deal.truths
    prior = [_overlap(prior_labels(deal.pool, truth.indexes), truth) for truth in truths]
    for way, cell in zip(WAYS, cells, strict=True):
        if (why := label_strategy(way, deal.observations[0].public)[1]) is not None:
            raise SystemExit(f"{case}: {why}")
        answers = answered(attack_of(cell), deal.observations, execution.Settings()).answers
        overlap = [_overlap(one.labels.numpy(), truth) for one, truth in zip(answers, truths, strict=True)]
        print(case, batch, way, round(statistics.mean(overlap), 4), round(statistics.mean(prior), 4), flush=True)
        rows.append(Row(way, overlap))
    return Part(case, batch, public, prior, rows)


def _cell(case: str, batch: int, targets: int, data: Path, way: str, public: int) -> Cell:
    model, protocol, _ = CASES[case]
    words = {"data": data, "targets": targets, "way": way, "model": model, "batch": batch}
    return cell_of(MATRIX.format(**words, protocol=protocol.format(public=public)))


def _overlap(labels: Any, truth: Truth) -> float:
    return float(label_overlap(labels, truth.labels).mean())


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Which labels does one update of a large batch tell?",
        question=f"`label-recovery` on {settings.targets} batches of CIFAR-10 training pictures, labels as they come: "
        "share of the labels read, as multisets, with its 95 % interval over batches; a star where it is above the "
        "class prior, which reads nothing, outside the paired interval. `llg-aux` and `rlu` have pictures of their "
        f"own, {PUBLIC} or (trained) {TRAINED_PUBLIC}. `relu`: PyTorch's start; `trained`: on 70 % of the pictures, "
        "and others are attacked; `5,steps`: of SGD on the whole batch, rate 0.01.",
        command="python benchmarks/labels.py",
        columns=["victim", "batch", "prior", *WAYS],
        rows=[_line(part) for part in samples.parts],
    )


def _line(part: Part) -> list[str]:
    prior, mine = summary([[value] for value in part.prior]), {row.way: row for row in part.rows}
    return [f"`{part.case}`", str(part.batch), f"{prior.mean:.3f}", *(_shown(mine[way], part.prior) for way in WAYS)]


def _shown(row: Row, prior: list[float]) -> str:
    found = summary([[value] for value in row.overlap])
    gain = summary([[a - b] for a, b in zip(row.overlap, prior, strict=True)])
    star = " *" if gain.ci_low is not None and gain.ci_low > 0 else ""
    return f"{found.mean:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}]{star}"


if __name__ == "__main__":
    main()
