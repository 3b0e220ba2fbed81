"""What does a dosing model give away of a genotype beyond what race and the other columns say of it anyway?

python benchmarks/attributes.py [--data iwpc.csv] [--people 1205] [--seeds 0 1 2 3 4]

`map-inversion` on models trained on three quarters of the IWPC warfarin file, against everybody held out, beside the
same prior without the output, a classifier without it, and private regressions with the error that they cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.core.attack import Attack
from invbench.games import Scores, game_of
from invbench.matrix import load
from invbench.numbers.statistics import mean, paired_interval, target_means
from invbench.play.asking import why_unsupported

DATA = Path(__file__).parents[2] / "shared" / "data" / "iwpc-warfarin-whitened.csv"
"""4,819 people; numbers are whitened, the dose too. Beside the checkout unless `--data` says where."""
CONTENT = {
    "vkorc1": "e938aea93853b5cd23ba6ae9f3f9d6670eb8ed8974a2afae2a71a3f786fbaf95",
    "cyp2c9": "0d5694c8260285d3e7d233f17dd9dc5e4efdf15e7378bff1c2948d79a5bb892b",
}
"""The hash of the file's people by what is sensitive: the table says that it is these."""
METRICS = ("accuracy", "macro_auc")
CONTROLS = ("mode", "imputation", "classifier")
MATRIX = """\
dataset: {{name: table, path: {data}, target: dose, sensitive: {secret}}}
targets: {people}
seed: {seed}
grid:
  attack: [{{name: map-inversion, prior: {prior}}}]
  model: [{model}]
  defense: [{defense}]
  protocol: [{{name: release, people: {whose}, access: {access}}}]
"""


class Case(NamedTuple):
    """One row of the table, as a matrix writes it."""

    model: str
    prior: str = "conditional"
    defense: str = "none"
    whose: str = "held-out"
    access: str = "black-box"


STEADY = "{name: ridge, alpha: 1000}"
"""A penalty that steadies coefficients: output perturbation adds the less noise, the larger it is."""
GROWN = "{name: tree, max_depth: 30, leaf_rows: 1}"
"""A tree that knows its training rows by heart."""
PRIVATE = ("functional-mechanism", "output-perturbation")
CASES = (
    Case("ridge", "marginal"),
    Case("ridge"),
    Case("ridge", whose="training"),
    *(Case("tree", whose=whose) for whose in ("held-out", "training")),
    # Counts tell how attributes go together, race and genotype among them: with a conditional prior that counts twice.
    *(Case("tree", "marginal", access=access) for access in ("black-box", "leaf-counts")),
    *(Case(GROWN, whose=whose) for whose in ("held-out", "training")),
    *(Case("ridge", defense=f"{{name: {name}, epsilon: {e}}}") for name in PRIVATE for e in (10, 1)),
    Case(STEADY),
    *(Case(STEADY, defense=f"{{name: output-perturbation, epsilon: {e}}}") for e in (10, 1)),
)


class Settings(Kept, frozen=True):
    people: int
    seeds: list[int]


class Score(Kept, frozen=True):
    """One metric: of the attack, of each control in order, and the paired 95 % interval above the strongest."""

    attack: float
    controls: list[float]
    low: float
    high: float


class Row(Kept, frozen=True):
    """One seed of one case; `accuracy` and `auc` by `Score`; `error`: mean absolute error of the predicted dose."""

    secret: Name
    model: Name
    prior: Name
    defense: Name
    whose: Name
    access: Name
    seed: int
    accuracy: Score
    auc: Score
    error: float


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--people", type=int, default=1205)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    settings = Settings(asked.people, asked.seeds)
    record("attributes", settings, lambda: measure(asked.data, settings))


def measure(data: Path, settings: Settings) -> Samples:
    return Samples([*_rows(data, settings)])


def _rows(data: Path, settings: Settings) -> Iterator[Row]:
    for secret in CONTENT:
        for case in CASES:
            for seed in settings.seeds:
                yield attacked(data, secret, case, settings.people, seed)


def attacked(data: Path, secret: str, case: Case, people: int, seed: int) -> Row:
    """One cell, played. SystemExit where the file holds other people than those of the table."""
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(data=data, secret=secret, people=people, seed=seed, **case._asdict()))
        (cell,) = load(matrix).cells
    if cell.data_hash != CONTENT[secret]:
        raise SystemExit(f"{data} does not hold the 4,819 people of the IWPC file, which the table speaks of")
    if (why := why_unsupported(cell)) is not None:
        raise SystemExit(f"{case}: {why}")
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    scores, controls = deal.score(cell.attack.build(Attack).attack_all(deal.observations)), deal.controls()
    accuracy, auc = (_score(metric, scores, [controls[name] for name in CONTROLS]) for metric in METRICS)
    names = cell.names
    return Row(
        secret=secret,
        model=names["model"],
        prior=case.prior,
        defense=names["defense"],
        whose=case.whose,
        access=case.access,
        seed=seed,
        accuracy=accuracy,
        auc=auc,
        error=_mean(scores, "error"),
    )


def _score(metric: str, scores: Scores, controls: Sequence[Scores]) -> Score:
    means = [_mean(control, metric) for control in controls]
    strongest = controls[max(range(len(means)), key=means.__getitem__)]
    interval = paired_interval(target_means(strongest[metric]), target_means(scores[metric]))
    assert interval is not None
    return Score(_mean(scores, metric), means, *interval)


def _mean(scores: Scores, metric: str) -> float:
    found = mean(target_means(scores[metric]))
    assert found is not None
    return found


def answer(settings: Settings, samples: Samples) -> Table:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in samples.rows:
        key = (row.secret, row.model, row.defense, row.prior, row.whose, row.access)
        groups.setdefault(key, []).append(row)
    return Table(
        title="What does a dosing model give away of a genotype?",
        question=f"`map-inversion` on the IWPC file (4,819 people, numbers whitened, dose too), 75 % training, "
        f"{settings.people:,} people, mean of {len(settings.seeds)} seeds. Above control: over the strongest of mode, "
        "imputation (the same prior and attributes, no output) and a classifier on those attributes; in brackets the "
        "least and the largest end of the seeds' own paired 95 % intervals. Error: of the predicted dose, mean "
        "absolute, in the file's own (whitened) unit.",
        command=f"python benchmarks/attributes.py --people {settings.people} --seeds "
        f"{' '.join(map(str, settings.seeds))}",
        columns=[
            *("genotype", "model", "defence", "prior", "people"),
            *("accuracy", "mode", "imputation", "classifier", "above control"),
            *("macro AUC", "imputation", "classifier", "above control", "error"),
        ],
        rows=[_line(rows) for rows in groups.values()],
        text=[
            "A prior of marginal frequencies, as the paper takes it, is worse than race alone: its score needs no "
            "model. What people of the training set lose more than people held out is memorised, as by the tree that "
            "is grown to single rows; the rest is what the population gives away.",
            "Fredrikson et al. 2014 report, on the consortium's own rows before whitening and with their own split, "
            "accuracy up to 22 % above marginal guessing (quoted from memory); they have no control that is given "
            "race.",
        ],
    )


def _line(rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    whose = first.whose if first.access == "black-box" else f"{first.whose}, leaf counts"
    accuracy, auc = [row.accuracy for row in rows], [row.auc for row in rows]
    return [
        *(first.secret, f"`{first.model}`", f"`{first.defense}`", first.prior, whose),
        *(f"**{_of(accuracy)}**", *(_of(accuracy, k) for k in range(3)), _above(accuracy)),
        *(f"**{_of(auc)}**", *(_of(auc, k) for k in (1, 2)), _above(auc)),
        f"{fmean(row.error for row in rows):.3f}",
    ]


def _of(scores: Sequence[Score], control: int | None = None) -> str:
    return f"{fmean(one.attack if control is None else one.controls[control] for one in scores):.3f}"


def _above(scores: Sequence[Score]) -> str:
    gain = fmean(one.attack - max(one.controls) for one in scores)
    return f"{gain:+.3f} [{min(one.low for one in scores):+.3f}, {max(one.high for one in scores):+.3f}]"


if __name__ == "__main__":
    main()
