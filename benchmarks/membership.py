"""Who finds members, with how many shadows: every attack of game `membership` at 4, 8, 16 and 32 of them.

python benchmarks/membership.py [--model lenet] [--data cifar10-train.npz] [--only cifar10-1] [--anew]

A part is one data set and seed of one model; parts that are done are kept in unfinished/, so that they may be measured
one by one (`--only`, without a table). The table is written when a model's parts are all there. What it says of other
models stays, with the commit of each, while their cells have the ids of now.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec
import torch
from _measure import record
from _membership import ATTACKS, FIRST, LIRA, Asked, Case, Exposed, Measured, Part, agreement, cells_of, measure
from _parts import UNFINISHED, finish
from _parts import read as read_parts
from _raw import RAW, Kept, Name, read
from _revision import clean_revision, refuse_other_code
from _table import Table

import invbench

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train-4660.npz"
"""The first 932 pictures of each training batch of CIFAR-10, beside the checkout unless `--data` says where."""
COUNTS = (4, 8, 16, 32)
"""Shadow models; a part has as many of these numbers as it trains shadows."""
TARGETS, EPOCHS = 3, 30


@dataclass(frozen=True)
class Model:
    """A victim, as a matrix says it; `shadows`: most of them for each seed, by data set. What an hour of one core can
    measure was chosen beforehand: a shadow of CIFAR-10 takes 22 s of `lenet`, some 6 minutes of `resnet20`."""

    text: str
    shadows: Mapping[str, Sequence[int]]


MODELS = {
    "lenet": Model("{name: lenet, activation: relu}", {"natural": (32, 32, 32), "cifar10": (32, 16, 16)}),
    "convnet": Model("{name: convnet, width: 8}", {"cifar10": (16,)}),
    "resnet20": Model("resnet20", {"cifar10": (16,)}),
}


class Settings(Kept, frozen=True):
    targets: int = TARGETS
    epochs: int = EPOCHS
    shadows: list[int] = msgspec.field(default_factory=lambda: [*COUNTS])


class Agreement(Kept, frozen=True):
    """Of two seeds, over the pictures that are members in both: Spearman's correlation of LiRA's scores, and the share
    of the most exposed tenth of one that is in the other's."""

    model: Name
    data: Name
    shadows: int
    members: int
    spearman: float
    tenth: float


class Samples(Kept, frozen=True):
    parts: list[Part]
    agreements: list[Agreement]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", default="lenet", choices=list(MODELS))
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--only", action="append", metavar="PART", help="this part alone, without a table")
    arguments.add_argument("--anew", action="store_true", help="throw away parts that are done")
    said = arguments.parse_args()
    refuse_other_code(invbench.__file__)
    torch.set_num_threads(1)
    parts = parts_of(said.model, said.data)
    if unknown := [name for name in said.only or () if name not in parts]:
        raise SystemExit(f"{said.model} has no part {unknown[0]!r}; it has {', '.join(parts)}")
    folder = UNFINISHED / f"membership-{said.model}"
    finish(folder, said.only or list(parts), lambda name: measure(parts[name]), clean_revision(), said.anew)
    if not said.only:
        found = read_parts(folder, list(parts), Measured)
        record("membership", Settings(), lambda: gathered(found, lambda model: known_ids(model, said.data)))


def parts_of(model: str, data: Path) -> dict[str, Asked]:
    """What is measured of a model, by the name of the part."""
    texts = {"natural": "natural", "cifar10": f"{{name: npz, path: {data.absolute()}}}"}
    return {
        f"{name}-{seed}": Asked(
            name=model,
            data=name,
            text=texts[name],
            model=MODELS[model].text,
            seed=seed,
            shadows=[count for count in COUNTS if count <= most],
            targets=TARGETS,
            epochs=EPOCHS,
        )
        for name, of_seeds in MODELS[model].shadows.items()
        for seed, most in enumerate(of_seeds)
    }


def known_ids(model: str, data: Path) -> set[str]:
    """The ids that the cells of a model's parts have now."""
    asked = parts_of(model, data).values()
    return {cell.id for part in asked for cell in cells_of(part, part.shadows[-1]).values()}


def gathered(found: Sequence[Measured], ids: Callable[[str], set[str]]) -> Samples:
    """What was measured of one model, beside what the table has of others while their cells have the same `ids`."""
    parts, agreements = [one.part for one in found], list(agreements_of(found))
    if (RAW / "membership.json").exists():
        raw = read("membership")
        (measured,) = raw.facts.revisions
        others = [one for one in raw.samples.parts if one.model != parts[0].model]
        stay = {
            one.model for one in others if all(set(of.ids) <= ids(of.model) for of in others if of.model == one.model)
        }
        kept = [msgspec.structs.replace(one, revision=one.revision or measured) for one in others if one.model in stay]
        parts = sorted([*parts, *kept], key=lambda one: [*MODELS].index(one.model))
        agreements += [one for one in raw.samples.agreements if one.model in stay]
    return Samples(parts, agreements)


def agreements_of(found: Sequence[Measured]) -> Iterator[Agreement]:
    """Every two seeds of one data set, with every number of shadows that both have."""
    for one, two in combinations(found, 2):
        if one.part.data == two.part.data:
            for side, other in _same_number(one.exposed, two.exposed):
                yield Agreement(one.part.model, one.part.data, side.shadows, *agreement(side, other))


def _same_number(one: Sequence[Exposed], two: Sequence[Exposed]) -> Iterator[tuple[Exposed, Exposed]]:
    return ((side, other) for side in one for other in two if side.shadows == other.shadows)


def answer(settings: Settings, samples: Samples) -> Table:
    groups = list(dict.fromkeys((part.model, part.data) for part in samples.parts))
    return Table(
        title="Who finds members, with how many shadows?",
        question="True positive rate at a false positive rate of 1 %, mean of seeds, by the number of shadow models: "
        f"{settings.targets} victims a seed, their candidates taken together, {settings.epochs} epochs, half of the "
        "pictures candidates. AUC and balanced accuracy with 16 shadows; in how many seeds that rate is then above the "
        "global threshold's, outside the paired 95 % interval; AUC on victims that saw no candidate.",
        command="python benchmarks/membership.py",
        columns=[
            "victim", "data", "attack", *map(str, settings.shadows), "AUC", "balanced", "above the threshold", "unseen"
        ],
        rows=[_row(settings, group, name, _of(samples, *group)) for group in groups for name in ATTACKS],
        text=[line for group in groups for line in _said(settings, group, samples)] + [*_earlier(samples)],
    )  # fmt: skip


AT = 16
"""Shadows at which rows are compared: every part has as many."""


def _of(samples: Samples, model: str, data: str) -> list[Part]:
    return [part for part in samples.parts if (part.model, part.data) == (model, data)]


def _cases(parts: Sequence[Part], attack: str, shadows: int) -> list[Case]:
    return [case for part in parts for case in part.cases if (case.attack, case.shadows) == (attack, shadows)]


def _rate(parts: Sequence[Part], attack: str, shadows: int) -> float | None:
    cases = _cases(parts, attack, shadows)
    return statistics.mean(case.tpr for case in cases) if cases else None


def _row(settings: Settings, group: tuple[str, str], attack: str, parts: Sequence[Part]) -> list[str]:
    rates, at = (_rate(parts, attack, count) for count in settings.shadows), _cases(parts, attack, AT)
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
        f"**{where}.** Victims classify {statistics.mean(members):.0%} of their members right and "
        f"{statistics.mean(others):.0%} of the other candidates."
    )
    for count in settings.shadows:
        rates = {name: rate for name in ATTACKS if (rate := _rate(parts, name, count)) is not None}
        if rates:
            seeds = len(_cases(parts, FIRST, count))
            order = sorted(rates, key=lambda name: -rates[name])
            told = ", ".join(f"{name} {rates[name]:.3f}" for name in order)
            yield f"{where}, {count} shadows, {seeds} seed{'s' * (seeds > 1)}: {told}."
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
    yield from _agreed(group, samples)


def _lira(parts: Sequence[Part], where: str) -> str:
    """LiRA beside the global threshold, seed by seed."""
    told = [
        f"seed {part.seed} {case.tpr:.3f} against {first.tpr:.3f} ({case.above[0]:+.3f} to {case.above[1]:+.3f})"
        for part in parts
        for case, first in zip(_cases([part], LIRA, AT), _cases([part], FIRST, AT), strict=True)
    ]
    return f"{where}, {AT} shadows: LiRA with one variance against the global threshold: {'; '.join(told)}."


def _few(parts: Sequence[Part], where: str) -> str:
    """The others beside LiRA with one variance, with the fewest shadows."""
    told = []
    for name in ("rmia", "lira,per-example", "lira,bayesian"):
        cases = _cases(parts, name, COUNTS[0])
        ahead, behind = sum(case.over_lira[0] > 0 for case in cases), sum(case.over_lira[1] < 0 for case in cases)
        told.append(f"{name} is surely above it in {ahead} and below in {behind} of {len(cases)} seeds")
    rates = ", ".join(f"{name} {_rate(parts, name, COUNTS[0]):.3f}" for name in (LIRA, "rmia"))
    return f"{where}, {COUNTS[0]} shadows: {rates}; beside LiRA with one variance, {', '.join(told)}."


def _agreed(group: tuple[str, str], samples: Samples) -> Iterator[str]:
    found = [one for one in samples.agreements if (one.model, one.data, one.shadows) == (*group, AT)]
    if found:
        correlations, shares = [one.spearman for one in found], [one.tenth for one in found]
        yield (
            f"{group[0]} on {group[1]}, {AT} shadows: on how exposed those pictures are that are members in both, "
            f"{min(one.members for one in found)} or more, two seeds agree by a Spearman correlation of "
            f"{min(correlations):.2f} to {max(correlations):.2f}; of the most exposed tenth of one seed "
            f"{min(shares):.0%} to {max(shares):.0%} are in the other's, 10 % by chance."
        )


def _earlier(samples: Samples) -> Iterator[str]:
    """Which parts came into the table at other commits."""
    of = dict.fromkeys((part.model, part.revision) for part in samples.parts if part.revision)
    if of:
        yield f"Measured before, with cells of the same ids: {', '.join(f'{model} at {at}' for model, at in of)}."


if __name__ == "__main__":
    main()
