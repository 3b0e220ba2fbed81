"""Who is in the batch behind one update? Every attack of game `batch-membership` at batches of 1 to 256.

python benchmarks/one_round.py [--model lenet] [--data cifar10-train-4660.npz] [--only 64] [--so-far] [--anew]

A part is one batch size. Parts that are done are kept in unfinished/, so that they may be measured one by one
(`--only`, without a table; `--anew` throws away what another commit measured). `--so-far` measures nothing and writes
the table of the parts that are done.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _cells import TRAIN
from _measure import record
from _parts import UNFINISHED, finish
from _parts import read as read_parts
from _raw import Kept, Name
from _revision import clean_revision, refuse_other_code
from _table import Table

import invbench
from invbench.cell import Cell
from invbench.core import execution
from invbench.core.attack import Attack
from invbench.games import Scores, game_of
from invbench.matrix import load
from invbench.numbers.whole_cell import Estimate, Statistic, estimate, paired
from invbench.play.asking import why_unsupported
from invbench.play.knowing import told_observations
from invbench.sheets import sheet_of

PUBLIC = 1000
ROUNDS = {"1": 1000, "8": 125, "64": 16, "256": 8}
"""Rounds of each batch size, for 1,000 members and 1,000 others at least (2,048 at 256)."""
MODELS = {
    "lenet": "lenet",
    "lenet,relu": "{name: lenet, activation: relu, start: pytorch}",
    "lenet,relu,trained": "{name: lenet, activation: relu, start: pytorch, trained: true}",
}
BEST = "filter"
ATTACKS = {
    "cosine": "name: gradient-alignment, score: cosine",
    "cosine,last": "name: gradient-alignment, score: cosine, layers: last",
    "inner": "name: gradient-alignment, score: inner-product",
    "inner,last": "name: gradient-alignment, score: inner-product, layers: last",
    "difference": "name: gradient-alignment, score: difference",
    "difference,last": "name: gradient-alignment, score: difference, layers: last",
    "ratio": "name: neuron-ratio",
    BEST: "name: matched-filter",
    "filter,unlabelled": "name: matched-filter, by_label: false",
    "filter,last": "name: matched-filter, layers: last",
}
JOINT = "name: matched-filter, joint: true"
MATRIX = """\
dataset: {data}
targets: {rounds}
controls: [labels]
grid:
  attack: [{attacks}]
  model: [{model}]
  batch_size: [{batch}]
  defense: [none]
  protocol: [{{name: fedsgd, public: {public}}}]
"""


class Row(Kept, frozen=True):
    """One attack. Intervals are of 95 %, rounds drawn; `tpr`, at a false positive rate of 1 %, None where it is empty.

    `over_control`, `best_over`: AUC above the label control's, and the matched filter's above this one's, paired."""

    attack: Name
    auc: float
    auc_interval: list[float]
    tpr: float | None
    tpr_interval: list[float]
    over_control: list[float]
    best_over: list[float]
    seconds: float


class Part(Kept, frozen=True):
    batch: int
    rounds: int
    control: float
    control_interval: list[float]
    rows: list[Row]


class Settings(Kept, frozen=True):
    model: Name = "lenet"
    public: int = PUBLIC


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default="lenet", choices=list(MODELS))
    arguments.add_argument("--data", type=Path, default=TRAIN)
    arguments.add_argument("--only", action="append", choices=list(ROUNDS), help="this batch alone, without a table")
    arguments.add_argument("--so-far", action="store_true", help="measure nothing, write the table of what there is")
    arguments.add_argument("--anew", action="store_true", help="throw away parts that another commit measured")
    said = arguments.parse_args()
    refuse_other_code(invbench.__file__)
    torch.set_num_threads(1)
    execution.multiply_in_float32()
    folder = UNFINISHED / f"one_round-{said.model}"
    wanted = [name for name in ROUNDS if (folder / f"{name}.json").exists()] if said.so_far else said.only or [*ROUNDS]
    text = f"{{name: npz, path: {said.data.absolute()}}}"
    settings = Settings(said.model)

    def part(name: str) -> Part:
        return measure(settings, text, int(name), ROUNDS[name])

    finish(folder, wanted, part, clean_revision(), said.anew)
    if not said.only:
        record("one_round", settings, lambda: Samples(read_parts(folder, wanted, Part)))


def measure(settings: Settings, data: str, batch: int, rounds: int, attacks: Mapping[str, str] = ATTACKS) -> Part:
    """Every attack on the same rounds, and where the batch is small enough for it all candidates together."""
    asked = {**attacks, "joint": JOINT}
    cells = dict(zip(asked, cells_of(settings, data, batch, rounds, [*asked.values()]), strict=True))
    first = next(iter(cells.values()))
    deal = game_of(first).deal(first, torch.device("cpu"))
    played, seconds = dict[str, Scores](), dict[str, float]()
    for name, cell in cells.items():
        if (why := why_unsupported(cell)) is not None:
            raise SystemExit(f"{name}: {why}")
        started = time.process_time()
        answers = cell.attack.build(Attack).attack_all(told_observations(cell, deal.observations))
        seconds[name] = time.process_time() - started
        if notes := [note for answer in answers for note in answer.notes]:
            raise SystemExit(f"{name}: {notes[0]}")
        played[name] = deal.score(answers)
        print(batch, name, round(_value(_auc(), played[name]), 4), round(seconds[name], 1), flush=True)
    control = deal.controls()["labels"]
    whole = estimate(_auc(), control)
    rows = [_row(name, played, control, seconds[name]) for name in cells]
    return Part(batch, rounds, _value(_auc(), control), [whole.ci_low, whole.ci_high], rows)


def cells_of(settings: Settings, data: str, batch: int, rounds: int, attacks: Sequence[str]) -> tuple[Cell, ...]:
    words = {"data": data, "batch": batch, "rounds": rounds, "public": settings.public}
    words |= {"model": MODELS[settings.model], "attacks": ", ".join(f"{{{text}}}" for text in attacks)}
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cells.yaml"
        matrix.write_text(MATRIX.format(**words))
        return load(matrix).cells


def _row(name: str, played: Mapping[str, Scores], control: Scores, seconds: float) -> Row:
    own = played[name]
    whole, rate = estimate(_auc(), own), estimate(_statistic("round_tpr_at_fpr_0.01"), own)
    return Row(
        attack=name,
        auc=_value(_auc(), own),
        auc_interval=[whole.ci_low, whole.ci_high],
        tpr=rate.value,
        tpr_interval=[] if rate.value is None else [rate.ci_low, rate.ci_high],
        over_control=_gain(control, own),
        best_over=_gain(own, played[BEST]),
        seconds=seconds,
    )


def _gain(before: Scores, after: Scores) -> list[float]:
    found = paired(_auc(), before, after)
    if isinstance(found, str):
        raise SystemExit(found)
    return [*found.interval]


def _auc() -> Statistic:
    return _statistic("round_auc")


def _statistic(column: str) -> Statistic:
    statistic = sheet_of("batch-membership").by_name[column].statistic
    assert statistic is not None
    return statistic


def _value(statistic: Statistic, scores: Scores) -> float:
    found: Estimate = estimate(statistic, scores)
    if found.value is None:
        raise SystemExit(found.why_empty)
    return found.value


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Who is in the batch behind one update?",
        question="Each round has the B pictures of its batch and B others as candidates, of CIFAR-10 training "
        f"pictures and `{settings.model}`, labels known, {settings.public:,} pictures of the attacker's own. AUC of "
        "the scores of all rounds together with its 95 % interval, which draws whole rounds, and the true positive "
        "rate at a false positive rate of 1 %; a star where the AUC is above that of counting labels, outside the "
        "paired interval. `joint` judges all candidates at once, which hold the whole batch, and is another question.",
        command="python benchmarks/one_round.py",
        columns=["batch", "rounds", "attack", "AUC", "TPR at FPR 1 %", "CPU seconds"],
        rows=[line for part in samples.parts for line in _lines(part)],
        text=[line for part in samples.parts for line in _said(part)],
    )


def _lines(part: Part) -> Iterator[list[str]]:
    where = [str(part.batch), str(part.rounds)]
    yield [*where, "labels (control)", _shown(part.control, part.control_interval), "", ""]
    for row in part.rows:
        star = " *" if row.over_control[0] > 0 else ""
        rate = "" if row.tpr is None else _shown(row.tpr, row.tpr_interval)
        yield [*where, row.attack, _shown(row.auc, row.auc_interval) + star, rate, f"{row.seconds:.1f}"]


def _shown(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _said(part: Part) -> Iterator[str]:
    """Whether the whitened score is below another."""
    others = [row for row in part.rows if row.attack not in (BEST, "joint")]
    ahead = [row.attack for row in others if row.best_over[0] > 0]
    behind = [row.attack for row in others if row.best_over[1] < 0]
    yield (
        f"Batch {part.batch}: the matched filter is above {len(ahead)} of {len(others)} other scores outside the "
        f"paired interval, and below {', '.join(behind) or 'none'}."
    )


if __name__ == "__main__":
    main()
