"""How often must a secret stand in a training text before a language model gives it away?

python benchmarks/extraction.py [--seeds 0 1 2]

Ten canaries of five digits in Python's help text, 0 to 16 times each, behind deduplication, and in the whole text:
`exposure` (the whole space ranked, and extrapolated by a skew-normal distribution) and `sampling`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table

from invbench.cell import Cell
from invbench.core.artefacts import fetch
from invbench.matrix import load
from invbench.numbers.statistics import summarise
from invbench.play.asking import artefacts
from invbench.play.playing import play

PART, WHOLE = 100_000, "null"
ATTACKS = {
    "exact": "exposure",
    "skew-normal": "{name: exposure, method: skew-normal}",
    "prefix": "sampling",
    "newline": "{name: sampling, prompt: newline, start: 10, tokens: 48, samples: 1000}",
}
MATRIX = """\
dataset: {{name: pydoc, characters: {characters}}}
targets: 10
seed: {seed}
timeout: 86400
grid:
  attack: [{attack}]
  model: [{{name: gpt, training_steps: {steps}}}]
  defense: [{defense}]
  protocol: [{{name: prompting, repeats: {repeats}, digits: {digits}}}]
"""


class Case(NamedTuple):
    """One row: a victim. The first seed alone trains on the whole text."""

    repeats: int
    defense: str = "none"
    characters: int | str = PART
    steps: int = 2000
    digits: int = 5


CASES = (
    *(Case(repeats) for repeats in (0, 1, 2, 4, 8, 16)),
    Case(16, "deduplication"),
    *(Case(repeats, characters=WHOLE, steps=4000) for repeats in (1, 16)),
)


class Settings(Kept, frozen=True):
    seeds: list[int]


class Victim(Kept, frozen=True):
    """One victim: of each of its canaries the exposure in bits by attack, whether it was said, its probability."""

    repeats: int
    defense: Name
    whole: bool
    seed: int
    exact: list[float]
    skew_normal: list[float]
    said_ranked: list[float]
    said_prefix: list[float]
    said_newline: list[float]
    probability: list[float]


class Samples(Kept, frozen=True):
    victims: list[Victim]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    settings = Settings(arguments.parse_args().seeds)
    torch.set_num_threads(1)
    record("extraction", settings, lambda: Samples([*_victims(settings)]))


def _victims(settings: Settings) -> Iterator[Victim]:
    for case in CASES:
        for seed in settings.seeds if case.characters == PART else settings.seeds[:1]:
            yield attacked(case, seed)
            print(case, seed, flush=True)


def attacked(case: Case, seed: int, attacks: Mapping[str, str] = ATTACKS) -> Victim:
    """Every attack on one victim. SystemExit where one fails."""
    found = {name: _scores(_cell(case, seed, attack)) for name, attack in attacks.items()}
    return Victim(
        repeats=case.repeats,
        defense=case.defense,
        whole=case.characters == WHOLE,
        seed=seed,
        exact=found["exact"]["exposure"],
        skew_normal=found["skew-normal"]["exposure"],
        said_ranked=found["exact"]["extracted"],
        said_prefix=found["prefix"]["extracted"],
        said_newline=found["newline"]["extracted"],
        probability=found["prefix"]["probability"],
    )


def _cell(case: Case, seed: int, attack: str) -> Cell:
    with TemporaryDirectory() as folder:
        matrix = Path(folder) / "cell.yaml"
        matrix.write_text(MATRIX.format(attack=attack, seed=seed, **case._asdict()))
        (cell,) = load(matrix).cells
    return cell


def _scores(cell: Cell) -> dict[str, list[float]]:
    for artefact in artefacts(cell):
        fetch(artefact)
    played = play(cell, "cpu")
    if played.record.status != "ok":
        raise SystemExit(f"{cell.attack.short}: {played.record.reason}")
    scores = played.record.scores
    return {metric: [value for [value] in own if value is not None] for metric, own in scores.items()}


def answer(settings: Settings, samples: Samples) -> Table:
    groups: dict[tuple[bool, str, int], list[Victim]] = {}
    for victim in samples.victims:
        groups.setdefault((victim.whole, victim.defense, victim.repeats), []).append(victim)
    return Table(
        title="How often must a secret stand in a text before a model gives it away?",
        question="`gpt` of two layers and width 64, trained on the first 100,000 characters of Python's help text "
        f"(2,000 batches; {len(settings.seeds)} seeds of ten canaries) or the whole of it (4,000 batches, one seed). "
        "Exposure: bits, of 16.61, with its 95 % interval over canaries; 1.44 is the mean of numbers never seen. "
        "Skew-normal: the same, extrapolated from 1,000 numbers. Said: canaries found verbatim among ten answers, by "
        "ranking all numbers, by 200 samples after the words before it, and by 1,000 samples after an empty line. "
        "Probability: that one sample (top-k 40) after those words is the number, from the logits.",
        command=f"python benchmarks/extraction.py --seeds {' '.join(map(str, settings.seeds))}",
        columns=[
            *("text", "defence", "repeats", "exposure", "skew-normal"),
            *("said: ranked", "said: prefix", "said: nothing given", "probability"),
        ],
        rows=[_row(victims) for victims in groups.values()],
        text=[
            "Carlini et al. 2019 see exposure rise with repeats to the most there is; how many it takes is a matter of "
            "text and training, so only the order is compared.",
        ],
    )


def _row(victims: Sequence[Victim]) -> list[str]:
    first = victims[0]
    exact = [value for victim in victims for value in victim.exact]
    bits = summarise([[value] for value in exact])
    assert bits is not None
    said = ([v for one in victims for v in getattr(one, f"said_{how}")] for how in ("ranked", "prefix", "newline"))
    return [
        "whole" if first.whole else "part",
        first.defense,
        str(first.repeats),
        f"{bits.mean:.2f} [{bits.ci_low:.2f}, {bits.ci_high:.2f}]",
        f"{fmean(value for victim in victims for value in victim.skew_normal):.2f}",
        *(f"{sum(of):.0f} of {len(of)}" for of in said),
        f"{fmean(value for victim in victims for value in victim.probability):.2g}",
    ]


if __name__ == "__main__":
    main()
