"""What does each defence leave of a leak, and what does it cost? One table for all games of trained models.

python benchmarks/defended.py [--groups attribute,ridge membership,lenet]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.cell import Cell
from invbench.core import execution
from invbench.core.randomness import numpy_stream
from invbench.data.warfarin import Warfarin
from invbench.games import Scores, game_of
from invbench.matrix import load
from invbench.models.iwpc import IWPC
from invbench.numbers.statistics import summarise
from invbench.numbers.whole_cell import estimate
from invbench.play.answering import answer as answered
from invbench.play.asking import attack_of, why_unsupported
from invbench.play.preparing import prepared
from invbench.sheets import sheet_of

CPU = torch.device("cpu")
PEOPLE = 5000
"""Of the synthetic cohort."""
Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class Group:
    """Cells that differ in defence and attack alone. `attacks`: each with its protocol, as a matrix has them.

    `metrics`: what leaks, each with what chance says, None where the strongest control is measured. `cost`: a metric
    and its words.
    """

    dataset: str
    targets: int
    model: str
    attacks: Sequence[tuple[str, str]]
    defenses: Sequence[str]
    metrics: Metrics
    cost: tuple[str, str]
    seeds: int = 1


WHITE = [("{name: mi-face, iterations: 500}", "white-box")]
BLACK = [
    ("{name: steal, iterations: 500}", "{name: black-box, queries: 65}"),
    ("query-inversion", "{name: black-box, queries: 2000}"),
]
RELEASED = "{name: released, epochs: 30, pictures: 240}"
MEMBERSHIP = [(f"{{name: {attack}, shadows: 8}}", RELEASED) for attack in ("loss-threshold", "lira", "rmia")]
PROMPTING = "{name: prompting, repeats: 16, digits: 4}"
EXTRACTION = [("exposure", PROMPTING), ("{name: sampling, samples: 50}", PROMPTING)]
GENOTYPE = [(f"{{name: map-inversion, prior: {prior}}}", "release") for prior in ("marginal", "conditional")]
SHORTER = "{name: early-stopping, fraction: 0.25}"
SMOOTH = "{name: label-smoothing, share: 0.2}"
ANSWERS = ["{name: round, step: 0.05}", "{name: mask, k: 2}", "top-label"]
CLASSES = {"class_found": 0.1}
WRONG = ("validation_error", "error on held-out pictures")
MATRIX = """\
dataset: {dataset}
targets: {targets}
seed: {seed}
timeout: 86400
grid: {{attack: [{attack}], model: [{model}], defense: [{defense}]{protocol}}}
"""


def _private(*settings: str) -> list[str]:
    return [f"{{name: dp-sgd, {one}}}" for one in settings]


def _regression(name: str, *epsilons: float) -> list[str]:
    return [f"{{name: {name}, epsilon: {epsilon:g}}}" for epsilon in epsilons]


GROUPS = {
    "attribute,ridge": Group(
        *("{cohort}", 1250, "ridge", GENOTYPE, _regression("functional-mechanism", 10, 1)),
        *({"accuracy": None}, ("error", "dosing error, mg/week")),
    ),
    "attribute,ridge(alpha=1000)": Group(
        *("{cohort}", 1250, "{name: ridge, alpha: 1000}", GENOTYPE, _regression("output-perturbation", 10, 1)),
        *({"accuracy": None}, ("error", "dosing error, mg/week")),
    ),
    "model,linear,weights": Group(
        *("digits", 10, "linear", WHITE, [*_private("epsilon: 8", "epsilon: 1"), SHORTER, SMOOTH], CLASSES, WRONG, 2),
    ),
    "model,mlp,weights": Group(
        *("digits", 10, "{name: mlp, width: 100, depth: 1}", WHITE),
        *([*_private("epsilon: 8", "epsilon: 1"), SHORTER, SMOOTH], CLASSES, WRONG, 2),
    ),
    "model,linear,answers": Group("digits", 10, "linear", BLACK, ANSWERS, CLASSES, WRONG, 2),
    "membership,lenet": Group(
        *("natural", 3, "{name: lenet, activation: relu, start: pytorch}", MEMBERSHIP),
        [*_private("noise: 0.3", "epsilon: 8"), SHORTER, SMOOTH, *ANSWERS],
        {"auc": 0.5, "tpr_at_fpr_0.01": 0.01},
        ("other_accuracy", "accuracy on others"),
    ),
    "extraction,gpt": Group(
        *(
            "{name: pydoc, characters: 50000}",
            10,
            "{name: gpt, width: 64, pairs: 512, training_steps: 1000}",
            EXTRACTION,
        ),
        ["deduplication", *_private("noise: 0.3", "epsilon: 8"), SHORTER, SMOOTH],
        {"exposure": None, "extracted": 0.0},
        ("bits_per_byte", "bits a byte of public text"),
    ),
}


class Settings(Kept, frozen=True):
    groups: list[Name]


class Row(Kept, frozen=True):
    """One metric behind one defence: of the attack that has most, its 95 % interval, and the strongest control's.

    `cost`: the group's, in its own unit. `epsilon`: of `dp-sgd` at delta 1e-5, as its record says.
    """

    group: Name
    metric: Name
    defense: Name
    attack: Name
    value: float
    low: float
    high: float
    control: float
    cost: float
    epsilon: float | None


class Samples(Kept, frozen=True):
    rows: list[Row]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    settings = Settings(arguments.parse_args().groups)
    torch.set_num_threads(1)
    record("defended", settings, lambda: measure({name: GROUPS[name] for name in settings.groups}))


def measure(groups: Mapping[str, Group]) -> Samples:
    return Samples([row for name, group in groups.items() for row in _rows(name, group)])


def _rows(name: str, group: Group) -> Iterator[Row]:
    controls: dict[str, float] = {}
    for defense in ("none", *group.defenses):
        played = [one for attack in group.attacks if (one := _played(group, *attack, defense)) is not None]
        for metric, chance in group.metrics.items():
            found = [(_estimated(one.cell.game, metric, one.scores), one) for one in played if _has(one, metric)]
            (value, low, high), best = max(found, key=lambda pair: pair[0][0])
            if defense == "none":
                controls[metric] = max(map(_control(best, metric), best.controls)) if chance is None else chance
            row = Row(
                group=name,
                metric=metric,
                defense=best.cell.names["defense"],
                attack=best.cell.attack.short,
                value=value,
                low=low,
                high=high,
                control=controls[metric],
                cost=_estimated(best.cell.game, group.cost[0], best.scores)[0],
                epsilon=best.epsilon,
            )
            print(row, flush=True)
            yield row


@dataclass(frozen=True)
class Played:
    """One attack behind one defence, the targets of all seeds together. `controls`: where no model was defended."""

    cell: Cell
    scores: Scores
    controls: list[Scores]
    epsilon: float | None


def _played(group: Group, attack: str, protocol: str, defense: str) -> Played | None:
    """None where the attack is none against this defence, as against labels alone."""
    every: dict[str, list[Any]] = {}
    controls, told, cell = list[Scores](), "", None
    for seed in range(group.seeds):
        with TemporaryDirectory() as folder:
            cell = _cell(Path(folder), group, attack, protocol, defense, seed)
            if why_unsupported(cell) is not None:
                return None
            deal = game_of(cell).deal(cell, CPU)
            for metric, targets in {**deal.score(_answers(cell, deal.observations)), **deal.limits()}.items():
                every.setdefault(metric, []).extend(targets)
            told = " ".join(deal.notes)
            if defense == "none" and None in group.metrics.values():
                reruns = [rerun.observe(CPU) for rerun in game_of(cell).reruns(cell).values()]
                controls = [*deal.controls().values(), *(deal.score(_answers(cell, seen)) for seen in reruns)]
    assert cell is not None
    said = re.search(r"epsilon ([\d.e+]+) at delta", told)
    return Played(cell, every, controls, float(said[1]) if said else None)


def _answers(cell: Cell, observations: Sequence[Any]) -> Sequence[Any]:
    return answered(attack_of(cell), prepared(cell, observations), execution.Settings()).answers


def _control(played: Played, metric: str) -> Callable[[Scores], float]:
    return lambda scores: _estimated(played.cell.game, metric, scores)[0]


def _cell(folder: Path, group: Group, attack: str, protocol: str, defense: str, seed: int) -> Cell:
    words = {"attack": attack, "defense": defense, "seed": seed, "model": group.model, "targets": group.targets}
    words |= {"dataset": group.dataset.replace("{cohort}", _cohort(folder)), "protocol": f", protocol: [{protocol}]"}
    (folder / "cell.yaml").write_text(MATRIX.format(**words))
    (cell,) = load(folder / "cell.yaml").cells
    return cell


def _cohort(folder: Path) -> str:
    """The synthetic people on warfarin as a file, each with a dose drawn by the published formula: rows to train on."""
    table, formula, drawn = Warfarin(sensitive="vkorc1").load(), IWPC(), numpy_stream("doses of the cohort")
    names = list(table.people[0])
    lines = [",".join([*(str(p[n]) for n in names), f"{formula.output(p, drawn):.3f}"]) for p in table.people[:PEOPLE]]
    (folder / "cohort.csv").write_text("\n".join([",".join([*names, "dose"]), *lines]))
    return f"{{name: table, path: {folder / 'cohort.csv'}, target: dose, sensitive: vkorc1}}"


def _has(played: Played, metric: str) -> bool:
    return metric in played.scores or sheet_of(played.cell.game).by_name[metric].statistic is not None


def _estimated(game: str, metric: str, scores: Scores) -> tuple[float, float, float]:
    """A column's value and its 95 % interval."""
    column = sheet_of(game).by_name[metric]
    if column.statistic is not None:
        whole = estimate(column.statistic, scores)
        assert whole.value is not None
        return whole.value, whole.ci_low, whole.ci_high
    found = summarise(scores[metric])
    assert found is not None
    found = found.within(column.least, column.most)
    low, high = (found.mean if end is None else end for end in (found.ci_low, found.ci_high))
    return found.mean, low, high


def answer(settings: Settings, samples: Samples) -> Table:
    return Table(
        title="What does each defence leave of a leak, and what does it cost?",
        question="Of the attacks of a group the one that reads most, with its 95 % interval, without and with each "
        "defence; both are chosen after the fact. Attackers know the defence: shadow models are trained behind it. "
        "Chance: of a guess, or the strongest control (attribute; exposure: the model without canaries); of a rate of "
        "true positives that of false ones. Attribute: VKORC1 of 1,250 held-out people of 5,000, the synthetic "
        "warfarin cohort. Model: ten digits, 2 seeds. "
        "Membership: 120 candidates of `natural`, 30 epochs, 3 victims, 8 shadows. Extraction: ten canaries of 4 "
        "digits (13.3 bits), 16 times each in 50,000 characters, 1,000 steps. Epsilon at delta 1e-5, by RDP.",
        command=" ".join(["python benchmarks/defended.py", *_asked(settings.groups)]),
        columns=[
            *("attacked", "defence", "epsilon", "leak", "strongest attack", "without", "with", "chance"),
            *("cost", "without", "with"),
        ],
        rows=[_line(row, _undefended(row, samples)) for row in samples.rows if row.defense != "none"],
        text=_said(samples),
    )


def _undefended(row: Row, samples: Samples) -> Row:
    return next(r for r in samples.rows if (r.group, r.metric, r.defense) == (row.group, row.metric, "none"))


def _line(row: Row, bare: Row) -> list[str]:
    return [
        *(row.group.replace(",", ", "), f"`{row.defense}`", "" if row.epsilon is None else f"{row.epsilon:.3g}"),
        *(row.metric.replace("_", " "), f"`{row.attack}`", _of(bare), f"**{_of(row)}**", f"{row.control:.3g}"),
        *(GROUPS[row.group].cost[1], f"{bare.cost:.3g}", f"{row.cost:.3g}"),
    ]


def _of(row: Row) -> str:
    return f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _said(samples: Samples) -> list[str]:
    """Which defences leave less than the leak's interval without them; which leaks are none without any."""
    rows = [(row, _undefended(row, samples)) for row in samples.rows if row.defense != "none"]
    below = [f"`{row.defense}` ({_named(row)})" for row, bare in rows if row.high < bare.low]
    nothing = [_named(row) for row in samples.rows if row.defense == "none" and row.low <= row.control]
    return [
        "The whole interval lies below the one without a defence: " + (", ".join(below) or "nowhere") + ".",
        *(f"Not surely above chance without a defence, so that none can show there: {one}." for one in nothing),
        "An attack that finds less in one row is no proof of safety: stronger attacks may come; an epsilon stays.",
    ]


def _named(row: Row) -> str:
    return f"{row.group.replace(',', ', ')}: {row.metric.replace('_', ' ')}"


def _asked(groups: Sequence[str]) -> list[str]:
    return [] if list(groups) == list(GROUPS) else ["--groups", *groups]


if __name__ == "__main__":
    main()
