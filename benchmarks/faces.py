"""Whom does a face recogniser give away? AT&T's 40 people, by weights, by answers and by labels alone.

python benchmarks/faces.py [--data att-faces.npz] [--rows mi-face,linear steal,linear]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from invbench.play.preparing import prepared

DATA = Path(__file__).parents[2] / "shared" / "data" / "att-faces.npz"
CONTENT = "f9223ae92893c67487aff5013a0c072aeb99ef574bf1b0ac29aee8d5fcbea14d"
"""The hash of its pictures, labels and split: the table says that these are the people."""
SIGMOID = "{name: mlp, width: 3000, depth: 1, activation: sigmoid, training_steps: 60}"
STACKED = "{name: autoencoder, pretraining_steps: 60, training_steps: 80}"
CONVNET = "{name: convnet, width: 4, training_steps: 100}"
OTHERS = "{name: white-box, public: other-classes}"
BLACK = "{name: black-box, queries: 50000}"
BLACK_OTHERS = "{name: black-box, queries: 50000, public: other-classes}"
ROUND = "{name: round, step: 0.05}"


@dataclass(frozen=True)
class Asked:
    """Attack, model, protocol and defence as a matrix has them; how many people are asked; and whether the attack also
    runs on a model of shuffled labels, which takes as long again."""

    attack: str
    model: str
    protocol: str = "white-box"
    defense: str = "none"
    people: int = 40
    control: bool = True


def _code(process: str, iterations: int) -> str:
    return f"{{name: mi-face, space: code, step: 10, iterations: {iterations}, process: {process}}}"


ROWS = {
    "mi-face,linear": Asked("mi-face", "linear"),
    "steal,linear": Asked("steal", "linear", BLACK),
    "steal,linear,round": Asked("steal", "linear", BLACK, ROUND),
    "nes,linear": Asked("query-inversion", "linear", BLACK),
    "nes,linear,round": Asked("query-inversion", "linear", BLACK, ROUND),
    "nes,linear,top-label": Asked("query-inversion", "linear", BLACK, "top-label"),
    "brep-mi,linear,top-label": Asked("brep-mi", "linear", BLACK, "top-label"),
    "mi-face,mlp": Asked("{name: mi-face, iterations: 300}", SIGMOID),
    "mi-face,autoencoder": Asked("{name: mi-face, iterations: 300}", STACKED),
    "mi-face,autoencoder,code": Asked(_code("none", 500), STACKED),
    "mi-face,autoencoder,process": Asked(_code("denoise-sharpen", 40), STACKED),
    "mi-face,convnet": Asked("{name: mi-face, iterations: 100}", CONVNET, OTHERS, people=20),
    "deep-inversion,convnet": Asked("{name: deep-inversion, iterations: 100}", CONVNET, OTHERS, people=20),
    "deep-inversion,convnet,tv-alone": Asked(
        "{name: deep-inversion, iterations: 100, statistics: 0}", CONVNET, OTHERS, people=20
    ),
    "generator-inversion,convnet": Asked(
        "{name: generator-inversion, iterations: 60, restarts: 2, training_steps: 300}",
        CONVNET,
        OTHERS,
        people=20,
    ),
    "generator-inversion,linear": Asked(
        "{name: generator-inversion, training_steps: 300}", "linear", OTHERS, people=20
    ),
    "brep-mi,linear,generator,top-label": Asked(
        "{name: brep-mi, space: generator, training_steps: 300}", "linear", BLACK_OTHERS, "top-label", people=20
    ),
}
MATRIX = """\
dataset: {{name: npz, path: {data}}}
targets: {people}
seed: 0
controls: [mean]
grid: {{attack: [{attack}], model: [{model}], protocol: [{protocol}], defense: [{defense}]}}
"""


class Settings(Kept, frozen=True):
    rows: list[Name]


class Row(Kept, frozen=True):
    """People found of those `asked`, by nearest class mean, by the separate classifier, and by class mean on shuffled
    labels, None where that was not measured; `among`: how many people the model knows.

    `queries`: the most that one person took. `weight_error`: of stolen weights. `seconds`: CPU seconds of the attack,
    of all people, without what it prepares.
    """

    asked: int
    among: int
    found: int
    by_classifier: int
    shuffled: int | None
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
    asked.add_argument("--pictures", type=Path, help="a folder for one picture a row, of every person's answer")
    asked.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    given = asked.parse_args()
    torch.set_num_threads(1)
    settings = Settings(given.rows)
    record("faces", settings, lambda: measure(given.data, settings, given.pictures))


def measure(data: Path, settings: Settings, pictures: Path | None = None) -> Samples:
    return Samples({name: measured(data, name, pictures) for name in settings.rows})


def cell_of(data: Path, asked: Asked) -> Cell:
    """The cell of a row. SystemExit where `data` is of others."""
    words = {"attack": asked.attack, "model": asked.model, "protocol": asked.protocol, "defense": asked.defense}
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(data=data, people=asked.people, **words))
        (cell,) = load(matrix).cells
    if cell.data_hash != CONTENT:
        raise SystemExit(f"{data} does not hold AT&T's 40 people, of whom the table speaks")
    return cell


def measured(data: Path, name: str, pictures: Path | None = None) -> Row:
    """The attack on its victim, then on the one of shuffled labels; its answers as a file in the folder `pictures`."""
    asked = ROWS[name]
    cell, game, device = cell_of(data, asked), ModelGame(), torch.device("cpu")
    deal, attack = game.deal(cell, device), cell.attack.build(Attack)
    observations = prepared(cell, deal.observations)
    started = time.process_time()
    answers = attack.attack_all(observations)
    seconds = time.process_time() - started
    scores, limits = deal.score(answers), deal.limits()
    if pictures is not None:
        (pictures / f"{name}.png").write_bytes(deal.files(answers, scores, {})["grid.png"])
    shuffled = None
    if asked.control:
        control = attack.attack_all(prepared(cell, game.reruns(cell)["shuffled"].observe(device)))
        shuffled = count(deal.score(control), "class_found")
    public = game.public(cell)
    row = Row(
        asked=asked.people,
        among=public.classes - public.known_classes,
        found=count(scores, "class_found"),
        by_classifier=count(scores, "class_found_by_classifier"),
        shuffled=shuffled,
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
        question="AT&T's people, seven pictures of each trained on, three held out; seed 0. Found: the nearest class "
        "mean of the answer, by correlation, is the person's; by a separately trained mlp of all 40; and by the same "
        "attack on a model of shuffled labels. Of 40 people a model knows all, or the first 20, where the attacker has "
        "the pictures of the others and may train a generator on them: chance is one in as many. Queries: the most for "
        "one person, of a budget of 50,000 (with weights: evaluations; steal: all people at once). PSNR in dB; CPU "
        "seconds a person, without what is prepared once.",
        command=" ".join(["python benchmarks/faces.py", *_asked(settings.rows)]),
        columns=[
            *("attack", "found", "by classifier", "shuffled labels", "people known", "PSNR to mean", "to nearest"),
            *("queries", "weight error", "validation error", "CPU a person, s"),
        ],
        rows=[row(name, found) for name, found in samples.rows.items()],
        text=[
            "Sized to minutes: the mlp of 3,000 sigmoid units trains for 60 batches of 32, the autoencoder of 1,000 "
            "and 300 units for 60 a layer and 80 with labels, the convnet of width 4 for 100. A person is "
            "found by the pattern alone, however faint: correlation ignores contrast, PSNR does not.",
        ],
    )


def row(name: str, found: Row) -> list[str]:
    error = "" if found.weight_error is None else f"{found.weight_error:.1e}"
    shuffled = "not measured" if found.shuffled is None else f"{found.shuffled} of {found.asked}"
    shares = [f"**{found.found} of {found.asked}**", f"{found.by_classifier} of {found.asked}", shuffled]
    levels = [f"{found.to_mean:.1f}", f"{found.to_nearest:.1f}", f"{found.queries:,}"]
    each = f"{found.seconds / found.asked:.2g}"
    return [f"`{name}`", *shares, f"{found.among}", *levels, error, f"{found.validation_error:.1%}", each]


def _asked(rows: Sequence[str]) -> list[str]:
    return [] if list(rows) == list(ROWS) else ["--rows", *rows]


if __name__ == "__main__":
    main()
