"""What holds for every registered part, whoever wrote it: cells found by asking the registry, and what is claimed.

No game, data set or model is named here, so a part that is added, by a file or by an entry point, is held to the same.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import torch

import invbench
from invbench import registry
from invbench.attacks import Attack
from invbench.cell import Cell, Choice
from invbench.core.parameters import Parameter
from invbench.data import BadData, Dataset, ImagePool, Pool
from invbench.defenses import STAGES, Defense
from invbench.matrix.blocks import Batches, Block, Data, Limits
from invbench.models import ImageModel, TableLearner, TableModel
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt
from invbench.play.preparing import prepared
from invbench.protocol import UpdateProtocol

BRIEF = {
    **{"iterations": 3, "restarts": 2, "evaluations": 4, "training_steps": 10, "steps": 2, "epochs": 2, "shadows": 4},
    **{"digits": 2, "samples": 5, "depth": 1, "canaries": 10},
}
"""Settings, of whatever part has them, that keep a cell short."""
SHORT = {
    "many-rounds": {"clients": 3, "taking_part": 2, "rounds": 6, "window": 3},
    "property-classifier": {"batches": 10, "trees": 5},
    "convnet": {"depth": 8},
}
"""The same of parts whose settings other parts have by that name."""
TOGETHER = {"fedavg": {"epochs": 2, "local_batch_size": 1, "order": "shuffled"}}
"""Settings of a part that mean something together and nothing alone."""
SOME = {"public": 20}
"""Counts that are 0 where nobody asks for any, and what is then asked for."""
TARGETS, CELLS = 3, 5
"""Observations of a cell; cells of an attack at most."""
MODELS = 3
"""How many models, the smallest ones; of data sets the smallest."""
SEALED = (
    "games", "scoring", "data", "metrics", "sheets", "play", "store", "matrix", "cell", "core.artefacts",
    "core.randomness", "runs",
)  # fmt: skip
"""What the attacker's process must have had no use for. What a declared defence does to an update is public."""
SEALED_KINDS = ("game", "dataset", "metric", "sheet")

ATTACKER = """
import dataclasses, pickle, sys
import torch
from invbench import registry
from invbench.attacks import Attack

asked = []

class Told(torch.Generator):
    def initial_seed(self):
        asked.append("initial_seed")
        return super().initial_seed()

    def seed(self):
        asked.append("seed")
        return super().seed()

    def get_state(self):
        asked.append("get_state")
        return super().get_state()

def told(seen):
    stream = Told()
    stream.set_state(seen.generator.get_state())
    return dataclasses.replace(seen, generator=stream)

answers = {}
for key, (name, settings, observations) in pickle.load(sys.stdin.buffer).items():
    attack = registry.load("attack", name).build(settings, Attack)
    asked.clear()
    given = attack.attack_all([told(seen) for seen in pickle.loads(observations)])
    answers[key] = (given, sorted(set(asked)))
sys.stdout.buffer.write(pickle.dumps((answers, sorted(sys.modules))))
"""


# Cells


def names(kind: str) -> list[str]:
    """The parts of a kind whose settings can be guessed: none of those that must be given is a path or a free word."""
    every = {name: registry.load(kind, name).parameters.values() for name in registry.names(kind)}
    return [name for name, fields in every.items() if not any(_free(field) for field in fields if field.required)]


def choice(kind: str, name: str, /, **given: Any) -> Choice:
    """The part with brief settings; one that must be given is its first word, 0.5, or the least whole number."""
    part = registry.load(kind, name)
    needed = {key: _some(field) for key, field in part.parameters.items() if field.required}
    words = {key: field.choices for key, field in part.parameters.items()}
    brief = {key: value for key, value in BRIEF.items() if key in words and (not words[key] or value in words[key])}
    brief |= SHORT.get(name, {})
    return Choice(kind, name, tuple(part.settings({**needed, **brief, **given}).items()))


def variants(kind: str, name: str) -> list[Choice]:
    """The part as it comes, then with another word, each yes or no turned, two where one is the default, and those
    that go together."""
    found = [choice(kind, name)]
    for key, field in registry.load(kind, name).parameters.items():
        others: Sequence[Any] = [word for word in field.choices if word != dict(found[0].settings)[key]][:1]
        if field.annotation is bool:
            others = [not field.default]
        elif field.annotation is int and (field.default == 1 or key in SOME):
            others = [SOME.get(key, 2)]
        found += [choice(kind, name, **{key: other}) for other in others]
    return [*found, *([choice(kind, name, **TOGETHER[name])] if name in TOGETHER else [])]


def cells_of(attack: str) -> list[Cell]:
    """Supported cells of an attack, few of them, in which every value of every axis occurs that it supports.

    They are of the smallest models; of an attack that takes none of these, of the next one that it takes.
    """
    part = registry.load("attack", attack)
    kind = registry.load("game", part.facts["game"]).facts["data"]
    data = _smallest_data(kind)
    axes: dict[str, tuple[Any, ...]] = {
        "attack": (choice("attack", attack),),
        "batch_size": (1, 2),
        "defense": ((), *((one,) for one in _one_a_stage())),
        "protocol": tuple(v for name in _protocols(part.facts["game"]) for v in variants("protocol", name)),
    }
    models = _by_size(kind, part.facts["game"])
    axes["model"] = tuple(v for name in models[:MODELS] for v in variants("model", name))
    plain = tuple(choice("protocol", name) for name in _protocols(part.facts["game"]))
    one = {"batch_size": (1,), "defense": ((),), "protocol": plain}
    if not _takes(axes | one, data):
        others = (tuple(variants("model", name)) for name in models[MODELS:])
        axes["model"] = next((some for some in others if _takes(axes | one | {"model": some}, data)), axes["model"])
    found: list[Cell] = []
    seen: set[Any] = set()
    for cell in _mixed([list(_cells(axes, one)) for one in data]):
        new = {(axis, value) for axis, value in _axes(cell).items()} - seen
        if new and why_unsupported(cell) is None:
            found.append(cell)
            seen |= new
        if len(found) == CELLS:
            break
    return found


def _takes(axes: Mapping[str, tuple[Any, ...]], data: Sequence[Data]) -> bool:
    """Whether any of these cells is supported."""
    return any(why_unsupported(cell) is None for one in data for cell in _cells(axes, one))


def _cells(axes: Mapping[str, tuple[Any, ...]], data: Data) -> Iterator[Cell]:
    return Block(axes, Batches(data, TARGETS, 0, (0,))).cells(Limits(1, "off", (), 60.0))


def _mixed(lists: Sequence[Sequence[Cell]]) -> Iterator[Cell]:
    """All cells, in an order in which those that follow each other differ in every axis: steps of a coprime length."""
    every = [cell for some in itertools.zip_longest(*lists) for cell in some if cell is not None]
    step = next(k for k in range(len(every) * 5 // 13 + 1, 2 * len(every) + 2) if math.gcd(k, len(every)) == 1)
    return (every[k * step % len(every)] for k in range(len(every)))


def _axes(cell: Cell) -> dict[str, Any]:
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "batch_size": cell.batch_size,
        "defense": cell.defense,
        "protocol": cell.protocol,
    }


def _smallest_data(kind: str) -> list[Data]:
    """The smallest data set of that kind that is at hand without a path, in its variants."""
    found: list[tuple[int, str, list[Data]]] = []
    for name in names("dataset"):
        if registry.load("dataset", name).facts["data"] == kind:
            with contextlib.suppress(BadData):
                choices = variants("dataset", name)
                pools = [one.build(Dataset).load() for one in choices]
                data = [Data(c, p.content, p.normalisation) for c, p in zip(choices, pools, strict=True)]
                found.append((_size(pools[0]), name, data))
    return min(found)[2]


def _by_size(kind: str, game: str) -> list[str]:
    """The models of that kind of data, the smallest first; of a table none but networks where clients share updates."""
    every = {name: registry.load("model", name) for name in names("model")}
    takers = [name for name, part in every.items() if part.facts["data"] == kind]
    if any(issubclass(registry.load("protocol", name).cls, UpdateProtocol) for name in _protocols(game)):
        takers = [name for name in takers if not issubclass(every[name].cls, TableModel | TableLearner)]
    return sorted(takers, key=lambda name: (_weights(name), name))


@cache
def _weights(name: str) -> int:
    """Weights of a network for pictures of 8 x 8; many where it takes none so small, none where it is no network."""
    built = choice("model", name).build(object)
    if not isinstance(built, ImageModel):
        return 0
    if built.unsupported((1, 8, 8), 10) is not None:
        return 2**40
    with torch.device("meta"):
        return sum(p.numel() for p in built.build((1, 8, 8), 10).parameters())


def _protocols(game: str) -> list[str]:
    return [name for name in names("protocol") if registry.serves(registry.load("protocol", name), game)]


def _one_a_stage() -> list[Choice]:
    """For each stage a defence that acts there, the last by name; none where nobody does."""
    every = [choice("defense", name) for name in names("defense")]
    acting = {stage: one for one in every for stage in one.build(Defense).stages()}
    return list(dict.fromkeys(acting[stage] for stage in STAGES if stage in acting))


def _size(pool: Pool) -> int:
    """Numbers that it holds, where it is of pictures."""
    return pool.images.size if isinstance(pool, ImagePool) else 0


def _free(field: Parameter) -> bool:
    return not field.choices and (Path in _kinds(field) or str in _kinds(field))


def _some(field: Parameter) -> Any:
    if field.choices:
        return field.choices[0]
    return 0.5 if float in _kinds(field) else int(field.at_least or 1)


def _kinds(field: Parameter) -> tuple[Any, ...]:
    return (field.annotation, *get_args(field.annotation))


# Attacks


@dataclass(frozen=True)
class Answers:
    """An attack's answers to a cell: all in order, in a fresh process, turned round (put back in order), alone.

    `read`: what of its generator it read there beside its draws: a seed tells whose stream it is.
    """

    cell: Cell
    here: list[Any]
    there: list[Any]
    turned: list[Any]
    alone: list[Any]
    read: list[str]


def answered(attacks: Sequence[str], elsewhere: Path) -> tuple[dict[str, list[Answers]], list[str]]:
    """Every attack's answers, and the modules that the fresh process had. It starts in the folder `elsewhere`."""
    cells = [(name, cell) for name in attacks for cell in cells_of(name)]
    jobs = {cell.id: (name, dict(cell.attack.settings), _observed(cell)) for name, cell in cells}
    done = subprocess.run(
        [sys.executable, "-c", ATTACKER],
        input=pickle.dumps(jobs),
        stdout=subprocess.PIPE,
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(invbench.__file__).parents[1]), *_sites()])},
        check=True,
        timeout=300,
    )
    there, modules = pickle.loads(done.stdout)
    found: dict[str, list[Answers]] = {name: [] for name in attacks}
    for name, cell in cells:
        attack, observed = cell.attack.build(Attack), jobs[cell.id][2]
        turned = attack.attack_all(pickle.loads(observed)[::-1])[::-1]
        alone = attack.attack_all(pickle.loads(observed)[1:2])
        given, read = there[cell.id]
        found[name].append(Answers(cell, attack.attack_all(pickle.loads(observed)), given, turned, alone, read))
    return found, modules


def _observed(cell: Cell) -> bytes:
    """The cell's observations, pickled: whoever answers has his own copy."""
    return pickle.dumps(list(prepared(cell, dealt(cell, torch.device("cpu")).observations)))


def _sites() -> list[str]:
    """Where packages lie that were put on the path after Python started."""
    return [path for path in sys.path if Path(path).name == "site"]


def check_fresh_process(answers: Sequence[Answers]) -> None:
    """The same bits where game, data and truth do not exist."""
    assert answers, "no cell that it supports was found"
    for one in answers:
        assert len(one.here) == len(one.there) == TARGETS
        assert all(alike(a, b) for a, b in zip(one.here, one.there, strict=True)), f"other bits: {one.cell.names}"
    told_apart = [not alike(one.here[0], one.here[1]) for one in answers]
    assert any(told_apart), "the comparison cannot tell two answers apart"


def check_draws_alone(answers: Sequence[Answers]) -> None:
    """Of its generator an attack takes draws and nothing else: who knows a cell's seed can draw the client's noise."""
    for one in answers:
        assert not one.read, f"an attack read its generator's {', '.join(one.read)}: {one.cell.names}"


def check_company(answers: Sequence[Answers]) -> None:
    """An answer does not depend on the other observations: the same bits, up to rounding where work is shared.

    Three iterations of L-BFGS make 0.016 of the last bits where a client rounds and gradients are 1e-4.
    """
    assert answers, "no cell that it supports was found"
    for one in answers:
        rounding = 3e-2 if one.cell.attack.build(Attack).shares_work else 0.0
        assert (len(one.turned), len(one.alone)) == (TARGETS, 1)
        same = all(alike(a, b, rounding) for a, b in zip(one.here, one.turned, strict=True))
        assert same, f"an answer depends on the others' order: {one.cell.names}"
        assert alike(one.here[1], one.alone[0], rounding), f"an answer depends on the others: {one.cell.names}"


def check_sealed(modules: Sequence[str]) -> None:
    """The attacker's process loaded nothing that stands behind the wall, of invbench or of another package."""
    sealed = tuple(f"invbench.{folder}" for folder in SEALED)
    theirs = {registry._plugins(kind)[name] for kind in SEALED_KINDS for name in registry.plugin_names(kind)}
    used = [name for name in modules if name.startswith(sealed) or name in theirs]
    assert not used, f"the attacker's process loaded {', '.join(used)}"
    assert "invbench.attacks" in modules


def alike(one: Any, two: Any, rounding: float = 0.0) -> bool:
    """Every field equal bit for bit; with `rounding` numbers up to that much, and words are not compared."""
    if isinstance(one, torch.Tensor):
        if rounding and one.is_floating_point():
            return one.shape == two.shape and torch.allclose(one, two, rtol=rounding, atol=rounding, equal_nan=True)
        return one.dtype == two.dtype and one.shape == two.shape and one.numpy().tobytes() == two.numpy().tobytes()
    if hasattr(one, "__dataclass_fields__"):
        asked = [name for name in vars(one) if not (rounding and name in ("notes", "facts", "stopped"))]
        return type(one) is type(two) and all(alike(getattr(one, f), getattr(two, f), rounding) for f in asked)
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(alike(one[key], two[key], rounding) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(alike(a, b, rounding) for a, b in zip(one, two, strict=True))
    if rounding and isinstance(one, float):
        return math.isclose(one, two, rel_tol=rounding, abs_tol=rounding)
    return bool(one == two)
