"""Whom does a face recogniser give away? AT&T's 40 people, by weights and by answers.

python benchmarks/faces.py [--data att-faces.npz] [--rows mi-face,linear steal,linear]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.attacks import Attack
from invbench.cell import Cell
from invbench.games import Scores
from invbench.games.model import ModelGame
from invbench.matrix import load

DATA = Path(__file__).parents[2] / "shared" / "data" / "att-faces.npz"
CONTENT = "f9223ae92893c67487aff5013a0c072aeb99ef574bf1b0ac29aee8d5fcbea14d"
"""The hash of its pictures, labels and split: the table says that these are the people."""
SIGMOID = "{name: mlp, width: 3000, depth: 1, activation: sigmoid}"
BLACK = "{name: black-box, queries: 50000}"
ROUND = "{name: round, step: 0.05}"
ROWS = {
    "mi-face,linear": ("mi-face", "linear", "white-box", "none"),
    "steal,linear": ("steal", "linear", BLACK, "none"),
    "steal,linear,round": ("steal", "linear", BLACK, ROUND),
    "nes,linear": ("query-inversion", "linear", BLACK, "none"),
    "nes,linear,round": ("query-inversion", "linear", BLACK, ROUND),
    "mi-face,mlp": ("mi-face", SIGMOID, "white-box", "none"),
    "nes,mlp": ("query-inversion", SIGMOID, BLACK, "none"),
    "nes,mlp,round": ("query-inversion", SIGMOID, BLACK, ROUND),
}
"""Attack, model, protocol and defence as a matrix has them. Those of `mlp` take an hour."""
MATRIX = """\
dataset: {{name: npz, path: {data}}}
targets: 40
seed: 0
controls: [mean]
grid: {{attack: [{attack}], model: [{model}], protocol: [{protocol}], defense: [{defense}]}}
"""


class Settings(Kept, frozen=True):
    rows: list[Name]


class Row(Kept, frozen=True):
    """People found of 40, by nearest class mean, by the separate classifier, and on shuffled labels by class mean.

    `queries`: the most that one person took. `weight_error`: of stolen weights. `seconds`: CPU seconds of the attack.
    """

    found: int
    by_classifier: int
    shuffled: int
    to_mean: float
    to_nearest: float
    queries: int
    weight_error: float | None
    validation_error: float
    seconds: float


class Samples(Kept, frozen=True):
    rows: dict[Name, Row]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    given = asked.parse_args()
    torch.set_num_threads(1)
    settings = Settings(given.rows)
    record("faces", settings, lambda: measure(given.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    return Samples({name: measured(data, name) for name in settings.rows})


def cell_of(data: Path, name: str) -> Cell:
    """The cell of a row. SystemExit where `data` is of others."""
    attack, model, protocol, defense = ROWS[name]
    words = {"attack": attack, "model": model, "protocol": protocol, "defense": defense}
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(data=data, **words))
        (cell,) = load(matrix).cells
    if cell.data_hash != CONTENT:
        raise SystemExit(f"{data} does not hold AT&T's 40 people, of whom the table speaks")
    return cell


def measured(data: Path, name: str) -> Row:
    """The attack on its victim, then on the one of shuffled labels."""
    cell, game, device = cell_of(data, name), ModelGame(), torch.device("cpu")
    deal, attack = game.deal(cell, device), cell.attack.build(Attack)
    started = time.process_time()
    answers = attack.attack_all(deal.observations)
    seconds = time.process_time() - started
    scores, limits = deal.score(answers), deal.limits()
    control = deal.score(attack.attack_all(game.reruns(cell)["shuffled"].observe(device)))
    row = Row(
        found=count(scores, "class_found"),
        by_classifier=count(scores, "class_found_by_classifier"),
        shuffled=count(control, "class_found"),
        to_mean=statistics.mean(values(scores, "psnr_to_mean")),
        to_nearest=statistics.mean(values(scores, "psnr_to_nearest")),
        queries=max(answer.evaluations for answer in answers),
        weight_error=max(values(scores, "weight_error"), default=None),
        validation_error=statistics.mean(values(limits, "validation_error")),
        seconds=seconds,
    )
    print(name, row, flush=True)
    return row


def values(scores: Scores, metric: str) -> list[float]:
    return [value for [value] in scores.get(metric, []) if value is not None]


def count(scores: Scores, metric: str) -> int:
    return round(sum(values(scores, metric)))


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="Whom does a face recogniser give away?",
        question="AT&T's 40 people, seven pictures of each trained on, three held out; seed 0. Found: the nearest "
        "class mean of the answer, by correlation, is the person's; by a separately trained mlp; and by the same "
        "attack on a model of shuffled labels; chance is 1 of 40. Queries: the most for one person, of a "
        "budget of 50,000 (mi-face: evaluations; steal: all people at once). PSNR in dB, CPU seconds of all people.",
        command=" ".join(["python benchmarks/faces.py", *_asked(settings.rows)]),
        columns=[
            *("attack", "found", "by classifier", "shuffled labels", "PSNR to mean", "to nearest", "queries"),
            *("weight error", "validation error", "CPU, s"),
        ],
        rows=[row(name, found) for name, found in samples.rows.items()],
    )


def row(name: str, found: Row) -> list[str]:
    error = "" if found.weight_error is None else f"{found.weight_error:.1e}"
    shares = [f"**{found.found} of 40**", f"{found.by_classifier} of 40", f"{found.shuffled} of 40"]
    levels = [f"{found.to_mean:.1f}", f"{found.to_nearest:.1f}", f"{found.queries:,}"]
    return [f"`{name}`", *shares, *levels, error, f"{found.validation_error:.1%}", f"{found.seconds:.1f}"]


def _asked(rows: Sequence[str]) -> list[str]:
    return [] if list(rows) == list(ROWS) else ["--rows", *rows]


if __name__ == "__main__":
    main()
