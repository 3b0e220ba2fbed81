"""Who finds members, with how many shadows: every attack of game `membership` at 4, 8, 16 and 32 of them.

python benchmarks/membership.py [--model lenet] [--shadows 32] [--data cifar10-train.npz] [--only cifar10-1] [--so-far]

A part is one model, data set and seed. Parts that are done are kept in unfinished/, so that they may be measured one by
one (`--only`, without a table; `--anew` throws away what another commit measured). `--so-far` measures nothing and
writes the table of the parts that are done. Parts that the table has and nobody measured again stay in it, with the
commit of each, while their cells have the ids of now.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec
import torch
from _measure import record
from _membership import AT, ATTACKS, FIRST, LIRA, Asked, Case, Part, agreement, cells_of, measure
from _parts import UNFINISHED, finish
from _parts import read as read_parts
from _raw import RAW, Kept, read
from _revision import clean_revision, refuse_other_code
from _table import Table

import invbench

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train-4660.npz"
"""The first 932 pictures of each training batch of CIFAR-10, beside the checkout unless `--data` says where."""
COUNTS = (4, 8, 16, 32)
TARGETS, EPOCHS = 3, 30


@dataclass(frozen=True)
class Model:
    """A victim, as a matrix says it; `seeds` of each data set; `shadows`: most of them. `lenet-uniform` has the
    published start, with which a ReLU network hardly learns.

    One core alone takes 22 s a shadow of CIFAR-10 of `lenet`, some 6 minutes of `resnet20`.
    """

    text: str
    seeds: Mapping[str, int]
    shadows: int = 16


MODELS = {
    "lenet": Model("{name: lenet, activation: relu, start: pytorch}", {"natural": 3, "cifar10": 3}, shadows=32),
    "lenet-uniform": Model("{name: lenet, activation: relu}", {"natural": 1, "cifar10": 1}),
    "convnet": Model("{name: convnet, width: 8}", {"cifar10": 1}),
    "resnet20": Model("resnet20", {"cifar10": 1}),
}


class Settings(Kept, frozen=True):
    targets: int = TARGETS
    epochs: int = EPOCHS
    shadows: list[int] = msgspec.field(default_factory=lambda: [*COUNTS])


class Samples(Kept, frozen=True):
    parts: list[Part]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default="lenet", choices=list(MODELS))
    arguments.add_argument("--shadows", type=int, choices=COUNTS, help="the most of them")
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--only", action="append", metavar="PART", help="this part alone, without a table")
    arguments.add_argument("--so-far", action="store_true", help="measure nothing, write the table of what there is")
    arguments.add_argument("--anew", action="store_true", help="throw away parts that another commit measured")
    said = arguments.parse_args()
    refuse_other_code(invbench.__file__)
    torch.set_num_threads(1)
    parts = parts_of(said.model, said.data, said.shadows or MODELS[said.model].shadows)
    if unknown := [name for name in said.only or () if name not in parts]:
        raise SystemExit(f"{said.model} has no part {unknown[0]!r}; it has {', '.join(parts)}")
    folder = UNFINISHED / f"membership-{said.model}"
    wanted = [name for name in parts if (folder / f"{name}.json").exists()] if said.so_far else said.only or [*parts]
    finish(folder, wanted, lambda name: measure(parts[name]), clean_revision(), said.anew)
    if not said.only:
        found = read_parts(folder, wanted, Part)
        record("membership", Settings(), lambda: gathered(found, said.data))


def parts_of(model: str, data: Path, shadows: int) -> dict[str, Asked]:
    """What is measured of a model, by the name of the part."""
    texts = {"natural": "natural", "cifar10": f"{{name: npz, path: {data.absolute()}}}"}
    return {
        f"{name}-{seed}": Asked(
            name=model,
            data=name,
            text=texts[name],
            model=MODELS[model].text,
            seed=seed,
            shadows=[count for count in COUNTS if count <= shadows],
            targets=TARGETS,
            epochs=EPOCHS,
        )
        for name, seeds in MODELS[model].seeds.items()
        for seed in range(seeds)
    }


def gathered(found: Sequence[Part], data: Path) -> Samples:
    """What was measured, beside the parts that the table has while their cells have the ids of now."""
    parts = {_place(part): part for part in found}
    if (RAW / "membership.json").exists():
        raw = read("membership")
        (measured,) = raw.facts.revisions
        for part in raw.samples.parts:
            if _place(part) not in parts and set(part.ids) <= known_ids(part, data):
                parts[_place(part)] = msgspec.structs.replace(part, revision=part.revision or measured)
    order = [(model, name, seed) for model, of in MODELS.items() for name in of.seeds for seed in range(of.seeds[name])]
    return Samples([parts[place] for place in order if place in parts])


def known_ids(part: Part, data: Path) -> set[str]:
    """The ids that the cells of a part have now."""
    most = max(case.shadows for case in part.cases)
    asked = parts_of(part.model, data, most)[f"{part.data}-{part.seed}"]
    return {cell.id for cell in cells_of(asked, most).values()}


def _place(part: Part) -> tuple[str, str, int]:
    return part.model, part.data, part.seed


def answer(settings: Settings, samples: Samples) -> Table:
    groups = list(dict.fromkeys((part.model, part.data) for part in samples.parts))
    said = [line for group in groups for line in _said(settings, group, samples)]
    return Table(
        title="Who finds members, with how many shadows?",
        question="True positive rate at a false positive rate of 1 %, mean of seeds, by the number of shadow models: "
        f"{settings.targets} victims a seed, their candidates taken together, {settings.epochs} epochs, half of the "
        f"pictures candidates. AUC and balanced accuracy with {AT} shadows, or with the most that all seeds have where "
        "these are fewer; in how many seeds that rate is then above the global threshold's, outside the paired 95 % "
        "interval; AUC on victims that saw no candidate.",
        command="python benchmarks/membership.py",
        columns=[
            "victim", "data", "attack", *map(str, settings.shadows), "AUC", "balanced", "above the threshold", "unseen"
        ],
        rows=[
            _row(settings, group, name, _of(samples, *group))
            for group in groups
            for name in ATTACKS
            if _cases(_of(samples, *group), name, COUNTS[0])
        ],
        text=[*said, *_earlier(samples), *_left(samples)],
    )  # fmt: skip


def _of(samples: Samples, model: str, data: str) -> list[Part]:
    return [part for part in samples.parts if (part.model, part.data) == (model, data)]


def _at(parts: Sequence[Part]) -> int:
    """Shadows at which these parts are compared."""
    return min(AT, *(max(case.shadows for case in part.cases) for part in parts))


def _cases(parts: Sequence[Part], attack: str, shadows: int) -> list[Case]:
    return [case for part in parts for case in part.cases if (case.attack, case.shadows) == (attack, shadows)]


def _rate(parts: Sequence[Part], attack: str, shadows: int) -> float | None:
    cases = _cases(parts, attack, shadows)
    return statistics.mean(case.tpr for case in cases) if cases else None


def _row(settings: Settings, group: tuple[str, str], attack: str, parts: Sequence[Part]) -> list[str]:
    rates, at = (_rate(parts, attack, count) for count in settings.shadows), _cases(parts, attack, _at(parts))
    return [
        *group,
        attack,
        *("" if rate is None else f"{rate:.3f}" for rate in rates),
        f"{statistics.mean(case.auc for case in at):.3f}",
        f"{statistics.mean(case.balanced for case in at):.3f}",
        "" if attack == FIRST else f"{sum(case.above[0] > 0 for case in at)} of {len(at)}",
        f"{statistics.mean(case.unseen for case in at):.3f}",
    ]


def _said(settings: Settings, group: tuple[str, str], samples: Samples) -> Iterator[str]:
    """What is read off the table of one victim on one data set."""
    parts, where = _of(samples, *group), f"{group[0]} on {group[1]}"
    members, others = ([part.member_accuracy for part in parts], [part.other_accuracy for part in parts])
    yield (
        f"**{where}**, `{MODELS[group[0]].text}`: victims classify {statistics.mean(members):.0%} of their members "
        f"right and {statistics.mean(others):.0%} of the other candidates."
    )
    for count in settings.shadows:
        rates = {name: rate for name in ATTACKS if (rate := _rate(parts, name, count)) is not None}
        if rates:
            seeds = _seeds(_cases(parts, FIRST, count))
            order = sorted(rates, key=lambda name: -rates[name])
            told = ", ".join(f"{name} {rates[name]:.3f}" for name in order)
            yield f"{where}, {count} shadows, {seeds}: {told}."
    yield _lira(parts, where)
    yield _few(parts, where)
    least = min(one.spearman for part in parts for one in part.matched)
    cases = [case for part in parts for case in part.cases]
    inside = sum(case.unseen_interval[0] <= 0.5 <= case.unseen_interval[1] for case in cases)
    yield (
        f"{where}: BASE and RMIA with gamma 1 agree in ranks by a Spearman correlation of at least {least:.5f}. On "
        f"victims that saw no candidate the AUC's 95 % interval holds 0.5 in {inside} of {len(cases)} cases, which are "
        f"not independent; the AUCs are {min(c.unseen for c in cases):.3f} to {max(c.unseen for c in cases):.3f}."
    )
    yield from _agreed(parts, where)


def _lira(parts: Sequence[Part], where: str) -> str:
    """LiRA beside the global threshold, seed by seed."""
    at = _at(parts)
    told = [
        f"seed {part.seed} {case.tpr:.3f} against {first.tpr:.3f} ({case.above[0]:+.3f} to {case.above[1]:+.3f})"
        for part in parts
        for case, first in zip(_cases([part], LIRA, at), _cases([part], FIRST, at), strict=True)
    ]
    return f"{where}, {at} shadows: LiRA with one variance against the global threshold: {'; '.join(told)}."


def _few(parts: Sequence[Part], where: str) -> str:
    """Others beside LiRA with one variance, with the fewest shadows."""
    told, few = [], COUNTS[0]
    for name in ("rmia", "lira,per-example", "lira,bayesian"):
        if cases := _cases(parts, name, few):
            ahead, behind = (sum(one > 0 for one in side) for side in _sides(cases))
            rate = f"{name} {_rate(parts, name, few):.3f}"
            told.append(f"{rate}, surely above it in {ahead} and below in {behind} of {_seeds(cases)}")
    return f"{where}, {few} shadows, beside LiRA with one variance, {_rate(parts, LIRA, few):.3f}: {'; '.join(told)}."


def _seeds(cases: Sequence[Case]) -> str:
    return f"{len(cases)} seed{'' if len(cases) == 1 else 's'}"


def _sides(cases: Sequence[Case]) -> tuple[list[float], list[float]]:
    """By how much at least each is above LiRA with one variance, and below it."""
    return [case.over_lira[0] for case in cases], [-case.over_lira[1] for case in cases]


def _agreed(parts: Sequence[Part], where: str) -> Iterator[str]:
    found = [agreement(one.exposed, two.exposed) for one, two in combinations(parts, 2)]
    if found:
        members, correlations, shares = zip(*found, strict=True)
        yield (
            f"{where}, {_at(parts)} shadows: on how exposed the pictures are that are members in both, {min(members)} "
            f"or more, two seeds agree by a Spearman correlation of {min(correlations):.2f} to "
            f"{max(correlations):.2f}; "
            f"{min(shares):.0%} to {max(shares):.0%} of the most exposed tenth of one seed are in the other's, 10 % by "
            "chance."
        )


def _earlier(samples: Samples) -> Iterator[str]:
    """Which parts came into the table at other commits."""
    told = [
        f"{part.model} on {part.data}, seed {part.seed}, at {part.revision}" for part in samples.parts if part.revision
    ]
    if told:
        yield f"Measured before, with cells of the same ids: {'; '.join(told)}."


def _left(samples: Samples) -> Iterator[str]:
    """Which parts are not in the table."""
    there = {_place(part) for part in samples.parts}
    left = [
        f"{model} on {data}, seed {seed}"
        for model, of in MODELS.items()
        for data, seeds in of.seeds.items()
        for seed in range(seeds)
        if (model, data, seed) not in there
    ]
    if left:
        yield f"Not measured yet: {'; '.join(left)}."


if __name__ == "__main__":
    main()
