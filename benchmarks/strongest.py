"""Is `auto` at least as good as every other attack? Networks, batch sizes, labels and defences, in parts.

python benchmarks/strongest.py [--results results/strongest] [--only NAME] [--so-far] [--device cpu] [--workers 1]

Hours on a CPU. What a results folder holds is kept, so parts may be computed one by one, on several machines, and
interrupted; without `--only` every part is completed, and the table written. `--so-far` writes the table of the places
that are complete, and how many are not. Places that the table has already stay in it where the results folder lacks
them, while their cells keep their ids: a part that computes something else has another version, which is in the id.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import yaml
from _cells import DATA
from _measure import record
from _raw import RAW, Kept, Name, Revision, Version, read
from _table import Table

from invbench.matrix import load
from invbench.numbers.intervals import mean_intervals
from invbench.store import Record, Results

AUTO, SEARCH, TARGETS, SLACK = "auto", "inverting-gradients", 4, 0.5
BATCHES = (1, 2, 4, 8)
OBJECTIVES = ("cosine", "l2", "layer-l2", "masked-cosine", "interval-cosine")
SMALL = ("mlp", "lenet", {"name": "lenet", "activation": "relu"}, {"name": "lenet", "activation": "tanh"})
DEFENSES: tuple[Any, ...] = (
    {"name": "gaussian", "std": 0.001},
    {"name": "laplace", "std": 0.001},
    {"name": "clip", "norm": 1.0},
    {"name": "per-example-clip", "norm": 1.0},
    {"name": "top-k", "fraction": 0.1},
    {"name": "random-k", "fraction": 0.5},
    {"name": "quantize", "bits": 4},
    {"name": "quantize", "bits": 4, "rounding": "nearest"},
    {"name": "quantize", "bits": 2, "rounding": "nearest"},
    "sign",
    [{"name": "clip", "norm": 1.0}, {"name": "gaussian", "std": 0.001}],
)
LATER = frozenset(
    (
        *("ats", "dp-sgd", "homomorphic", "instahide", "mixup", "partial"),
        *("precode", "prune", "qsgd", "secure-aggregation", "soteria"),
    )
)
"""Defences of updates that came after this table, which no place of it has."""
LATER_OBJECTIVES = ("declared", "layer-norms")
LATER_ATTACKS = ("cpl", "fedleak", "gradinversion", "learned-inverse", "tag", "unmix")
OF_BATCHES = tuple(DEFENSES[k] for k in (0, 4, 5, 7))
"""Of each kind one: noise, entries left out by size and by chance, rounding."""
LABELS: tuple[Literal["known", "hidden"], ...] = ("known", "hidden")


@dataclass(frozen=True)
class Part:
    """One matrix: a grid of places, each attacked by `auto` and by everybody else, so many evaluations each.

    `evaluations`: None for each attack's own, the published ones. `objectives`: those that inverting-gradients tries.
    """

    models: Sequence[Any]
    evaluations: int | None = 2400
    labels: Sequence[Literal["known", "hidden"]] = LABELS
    batches: Sequence[int] = BATCHES
    defenses: Sequence[Any] = ("none",)
    objectives: Sequence[str] = OBJECTIVES

    def matrix(self, name: str, data: Path, targets: int) -> str:
        """As YAML."""
        grid = {"model": list(self.models), "batch_size": list(self.batches), "defense": list(self.defenses)}
        grid["protocol"] = [{"name": "fedsgd", "labels": labels} for labels in self.labels]
        grid["attack"] = list(self.attacks())
        sought = {"attack": {"name": SEARCH, "labels": "joint"}, "protocol": {"name": "fedsgd", "labels": "known"}}
        exclude = [sought] if set(self.labels) == set(LABELS) else []
        mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
        dataset = {"name": "npz", "path": str(data.absolute()), "mean": mean, "std": std}
        said = {"name": name, "dataset": dataset, "targets": targets, "seed": 0, "timeout": 7200, "grid": grid}
        said |= {"exclude": exclude} if exclude else {}
        return yaml.safe_dump(said, sort_keys=False)

    @property
    def places(self) -> int:
        """How many places it has."""
        return len(self.models) * len(self.batches) * len(self.labels) * len(self.defenses)

    def attackers(self, labels: str) -> int:
        """How many attacks there are where labels are known or hidden: nobody seeks labels that are known."""
        sought = [one for one in self.attacks() if isinstance(one, dict) and one.get("labels") == "joint"]
        return len(self.attacks()) - (len(sought) if labels == "known" else 0)

    def attacks(self) -> list[Any]:
        """Labels that are hidden are read (at batch 1) or sought with the pictures, as `labels` says."""
        steps = {} if self.evaluations is None else {"iterations": self.evaluations}
        own = {"name": AUTO, "evaluations": self.evaluations or 4800}
        searches = [
            {"name": SEARCH, "objective": objective, "labels": labels, **steps}
            for objective in self.objectives
            for labels in ("known", *(("joint",) if "hidden" in self.labels else ()))
        ]
        starts = {} if self.evaluations is None else {"restarts": 1}
        return [own, *searches, *({"name": name, **steps, **starts} for name in ("dlg", "idlg")), "analytic", "peel"]


PARTS = {
    "deep": Part([{"name": "convnet", "width": 16}, "resnet20"], evaluations=600, objectives=OBJECTIVES[:1]),
    "convnet": Part([{"name": "convnet", "width": 8}], objectives=OBJECTIVES[:1]),
    "mlp": Part(SMALL[:1]),
    "lenet": Part(SMALL[1:2]),
    "activations": Part(SMALL[2:], batches=(1, 4)),
    "mlp-defended": Part(SMALL[:1], labels=LABELS[:1], batches=(4,), defenses=OF_BATCHES),
    "lenet-defended": Part(SMALL[1:2], labels=LABELS[:1], batches=(1,), defenses=DEFENSES),
    "published": Part(SMALL[1:], evaluations=None, batches=(1,), objectives=OBJECTIVES[:1]),
}
"""By name. What is tuned on other pictures is on these for the first time."""


class Settings(Kept, frozen=True):
    """`slack`: dB by which `auto` may be below the best other and count as good. `left`: places not measured yet."""

    targets: int = TARGETS
    slack: float = SLACK
    left: int = 0


Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Cell(Kept, frozen=True):
    """One attack at one place: PSNR of every target, and that of the control with the highest mean; both are empty
    where the cell did not end `ok`. `seconds`: of the attack, all targets together. `device`: where it was computed.
    `torch`: its version there. `revision`: the commit at which it came into the table, None for the table's own. `id`:
    the cell's."""

    part: Name
    model: Name
    batch_size: int
    labels: Literal["known", "hidden"]
    defense: Name
    attack: Name
    status: Literal["ok", "unsupported", "failed", "timeout"]
    psnr: list[float] = msgspec.field(default_factory=list)
    control: list[float] = msgspec.field(default_factory=list)
    seconds: float | None = None
    device: Literal["cpu", "cuda"] | None = None
    torch: Version | None = None
    revision: Revision | None = None
    id: Id | None = None


class Samples(Kept, frozen=True):
    cells: list[Cell]


Place = tuple[str, str, int, str, str]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=DATA)
    asked.add_argument("--results", type=Path, default=Path("results/strongest"))
    asked.add_argument("--only", action="append", choices=list(PARTS), help="this part alone, without a table")
    asked.add_argument("--so-far", action="store_true", help="compute nothing, write the table of what there is")
    asked.add_argument("--device", default="cpu")
    asked.add_argument("--workers", type=int, default=1)
    asked.add_argument("--gpu", help="the GPU on which some of what the results folder holds was computed")
    given = asked.parse_args()
    if given.only:
        for name in given.only:
            run(name, given.data, given.results, given.device, given.workers)
        return
    for name in () if given.so_far else PARTS:
        run(name, given.data, given.results, given.device, given.workers)
    found = [one for name in PARTS for one in complete(name, Results(given.results / name))]
    cells = sorted([*found, *still_true(placed(found), given.data)], key=lambda one: [*PARTS].index(one.part))
    left = sum(part.places for part in PARTS.values()) - len(placed(cells))
    record("strongest", Settings(left=left), lambda: Samples(cells), gpu=given.gpu)


def complete(name: str, results: Results) -> list[Cell]:
    """The cells of those places of a part at which every attack has its record."""
    if not (results.path / "plan.json").exists():
        return []
    found = [cell(name, one) for one in results.each_record(settings=True)]
    return [
        one
        for (_, _, _, labels, _), attacks in placed(found).items()
        if len(attacks) == PARTS[name].attackers(labels)
        for one in attacks.values()
    ]


def still_true(found: Mapping[Place, Any], data: Path) -> list[Cell]:
    """The cells of places that the table has and nobody measured again, of those places whose cells' ids are as now."""
    if not (RAW / "strongest.json").exists():
        return []
    raw, known = read("strongest"), ids(data)
    (measured,) = raw.facts.revisions
    cells = [msgspec.structs.replace(one, revision=one.revision or measured) for one in raw.samples.cells]
    kept = {place: attacks.values() for place, attacks in placed(cells).items() if place not in found}
    return [one for attacks in kept.values() if {one.id for one in attacks} <= known for one in attacks]


def ids(data: Path) -> set[str]:
    """The ids of all cells, as this invbench computes them."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "matrix.yaml"
        found = set[str]()
        for name, part in PARTS.items():
            file.write_text(part.matrix(name, data, TARGETS))
            found |= {one.id for one in load(file).cells}
    return found


def run(name: str, data: Path, results: Path, device: str, workers: int) -> None:
    """Complete one part's results folder; a cell that failed is in the table."""
    results.mkdir(parents=True, exist_ok=True)
    matrix = results / f"{name}.yaml"
    matrix.write_text(PARTS[name].matrix(name, data, TARGETS))
    words = ["run", str(matrix), "-o", str(results / name), "--device", device, "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "invbench", *words], check=False, env=environment)


def cell(part: str, one: Record) -> Cell:
    """What is kept of a record. One that has no number for some picture has not ended: no mean is over survivors."""
    names = {axis: one.names[axis] for axis in ("model", "defense", "attack")}
    place = {
        "part": part,
        "batch_size": one.names["batch_size"],
        "labels": one.settings["protocol"]["labels"],
        "id": one.id,
    }
    if one.status != "ok" or not _whole(one.scores.get("psnr")):
        return Cell(**place, **names, status=one.status if one.status != "ok" else "failed")
    controls = [_means(scores["psnr"]) for scores in one.controls.values() if _whole(scores.get("psnr"))]
    return Cell(
        **place,
        **names,
        status=one.status,
        psnr=_means(one.scores["psnr"]),
        control=max(controls, key=fmean, default=[]),
        seconds=one.seconds["attack"],
        device="cpu" if one.device == "cpu" else "cuda",
        torch=one.torch,
    )


def answer(settings: Settings, samples: Samples) -> Table:
    places = placed(samples.cells)
    good = [place for place, attacks in places.items() if is_as_good(attacks, settings.slack)]
    beaten = {place: attacks for place, attacks in places.items() if place not in good}
    lost = [place for place, attacks in places.items() if is_lost(attacks)]
    return Table(
        title="Is `auto` the strongest?",
        question=f"Mean PSNR in dB of {settings.targets} batches of CIFAR-10 test pictures, on which nothing was "
        "tuned; untrained victims, weight seed 0. `auto` beside the best of `inverting-gradients` (on `mlp` and "
        "`lenet` with every objective; hidden labels read or sought), `dlg` and `idlg` (one start), `analytic` and "
        f"`peel`, so many evaluations each. {len(good)} of {len(places)} places: `auto` at most {settings.slack} dB "
        f"below the best other, in bold. In {len(lost)} it is surely below its own control where another is above it. "
        "A place in which an attack failed is not counted for `auto`.",
        command="python benchmarks/strongest.py",
        columns=["network", "labels", "defence", "evaluations", *(f"batch {batch}" for batch in BATCHES)],
        rows=[row(group, of, settings.slack) for group, of in _rows(places).items()],
        text=[
            "In each place: `auto` / best other; in brackets where neither is above the control. Not as good: "
            + ("; ".join(_told(place, attacks) for place, attacks in beaten.items()) or "none")
            + ".",
            *_machines(samples.cells),
            *_earlier(places),
            f"In no place, for they came later: the defences {', '.join(f'`{name}`' for name in sorted(LATER))}, the"
            f" objectives {' and '.join(f'`{name}`' for name in LATER_OBJECTIVES)} and the attacks"
            f" {', '.join(f'`{name}`' for name in LATER_ATTACKS)}.",
            *([f"Not measured yet: {settings.left} of {settings.left + len(places)} places."] if settings.left else []),
        ],
        failed=[
            f"{one.attack}, {one.model}, batch {one.batch_size}, labels {one.labels}, {one.defense}: {one.status}"
            for one in samples.cells
            if one.status in ("failed", "timeout")
        ],
    )  # fmt: skip


def placed(cells: Sequence[Cell]) -> dict[Place, dict[str, Cell]]:
    """Attacks by name, by the place that they attack."""
    places: dict[Place, dict[str, Cell]] = defaultdict(dict)
    for one in cells:
        name = AUTO if one.attack.startswith(AUTO) else one.attack
        places[one.part, one.model, one.batch_size, one.labels, one.defense][name] = one
    return places


def is_as_good(attacks: Mapping[str, Cell], slack: float) -> bool:
    """Whether every attack ended (or cannot be played) and none is more than `slack` dB above `auto`."""
    others = [one for name, one in attacks.items() if name != AUTO and one.status != "unsupported"]
    ended = all(one.psnr for one in others) and attacks[AUTO].psnr
    return bool(ended) and all(fmean(attacks[AUTO].psnr) >= fmean(one.psnr) - slack for one in others)


def is_lost(attacks: Mapping[str, Cell]) -> bool:
    """Whether `auto` is surely below its own control, and another attack above it."""
    own = attacks[AUTO]
    if not own.psnr or not own.control:
        return False
    above = any(one.psnr and fmean(one.psnr) > fmean(own.control) for one in attacks.values())
    difference = np.array([own.psnr]) - np.array([own.control])
    return above and bool(mean_intervals(difference, np.ones_like(difference))[0, 1] < 0)


def row(group: tuple[str, ...], of_batch: Mapping[int, Mapping[str, Cell]], slack: float) -> list[str]:
    return [*group, *(_shown(of_batch[batch], slack) if batch in of_batch else "" for batch in BATCHES)]


def _rows(places: Mapping[Place, Mapping[str, Cell]]) -> dict[tuple[str, ...], dict[int, Mapping[str, Cell]]]:
    rows: dict[tuple[str, ...], dict[int, Mapping[str, Cell]]] = defaultdict(dict)
    for (part, model, batch, labels, defense), attacks in places.items():
        evaluations = PARTS[part].evaluations
        rows[model, labels, defense, f"{evaluations:,}" if evaluations else "published"][batch] = attacks
    return rows


def _machines(cells: Sequence[Cell]) -> list[str]:
    """How many cells were computed on which kind of device, by which torch where that was kept."""
    ended = (one for one in cells if one.device)
    of = Counter(f"{one.device} by torch {one.torch}" if one.torch else f"{one.device}" for one in ended)
    told = ", ".join(f"{count} on {machine}" for machine, count in sorted(of.items()))
    return [f"Cells computed: {told}."] if told else []


def _earlier(places: Mapping[Place, Mapping[str, Cell]]) -> list[str]:
    """What is said of places that came into the table at other commits than its own."""
    of = Counter(one.revision for attacks in places.values() for one in [attacks[AUTO]] if one.revision)
    told = ", ".join(f"{count} at {revision}" for revision, count in sorted(of.items()))
    return [f"Places measured before, whose cells have the same ids: {told}."] if told else []


def _shown(attacks: Mapping[str, Cell], slack: float) -> str:
    own, best = attacks[AUTO], _best(attacks)
    level = "**" if is_as_good(attacks, slack) else ""
    told = f"{level}{_decibels(own)}{level} / {_decibels(best) if best else 'none'}"
    ended = [fmean(one.psnr) for one in attacks.values() if one.psnr]
    return f"({told})" if ended and max(ended) <= fmean(own.control or [0.0]) else told


def _told(place: Place, attacks: Mapping[str, Cell]) -> str:
    _, model, batch, labels, defense = place
    best = _best(attacks)
    other = f"{_decibels(best)} of {best.attack}" if best else "none"
    return f"`{model}`, batch {batch}, labels {labels}, {defense}: {_decibels(attacks[AUTO])} against {other}"


def _best(attacks: Mapping[str, Cell]) -> Cell | None:
    others = [one for name, one in attacks.items() if name != AUTO and one.psnr]
    return max(others, key=lambda one: fmean(one.psnr), default=None)


def _decibels(one: Cell) -> str:
    return f"{fmean(one.psnr):.1f}" if one.psnr else "none"


def _means(targets: Sequence[Sequence[float | None]]) -> list[float]:
    """Mean PSNR of each target."""
    return [fmean(item for item in items if item is not None) for items in targets]


def _whole(targets: Sequence[Sequence[float | None]] | None) -> bool:
    """Whether every picture of every target has a number."""
    return bool(targets) and all(items and None not in items for items in targets or ())


if __name__ == "__main__":
    main()
