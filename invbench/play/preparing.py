"""What an attack prepares from public knowledge, as artefacts that cells share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from types import CodeType
from typing import TypeVar

from invbench.cell import Cell
from invbench.core.artefacts import Artefact, Tensors, fetch
from invbench.core.attack import Attack
from invbench.core.sources import ATTACKER, hash_of
from invbench.defenses import Defense
from invbench.observation import Observation, Preparation
from invbench.play.knowing import public_of, told_observations

Seen = TypeVar("Seen", bound=Observation[object])


def preparations(cell: Cell) -> dict[str, Artefact]:
    """The artefacts of the cell's attack, by the names that it gives them.

    Their keys hold what is public of the cell: its model, data, protocol, batch size and those defences that they
    depend on, not its seed's victim, its targets or the attack's name, so attacks that prepare the same share it.
    """
    public = _public(cell)
    return {name: _artefact(cell, preparation, public) for name, preparation in _wanted(cell).items()}


def stand_ins(cell: Cell) -> tuple[dict[str, Tensors], dict[str, float]]:
    """What the attack prepares, or what stands in for it; and the seconds of making what is not made, by its `what`.

    ValueError where something that is not made cannot say how long it takes.
    """
    public, seconds = _public(cell), dict[str, float]()
    return {name: _stand_in(cell, one, public, seconds) for name, one in _wanted(cell).items()}, seconds


def _wanted(cell: Cell) -> Mapping[str, Preparation]:
    return cell.attack.build(Attack).preparations(public_of(cell))


def _public(cell: Cell) -> dict[str, object]:
    """What is public of the cell, but its defences."""
    return {
        "game": cell.game,
        "data": cell.data_hash,
        "normalisation": cell.normalisation,
        "model": cell.model.key,
        "batch_size": cell.batch_size,
        "protocol": None if cell.protocol is None else cell.protocol.key,
        "code": hash_of(ATTACKER, *cell.classes),
    }


def _defenses(cell: Cell, stages: frozenset[str] | None) -> list[object] | None:
    """The keys of the cell's defences that act at one of these stages; of all where these are None.

    An attack that is not adaptive is told of none; those of the network itself it sees in the model.
    """
    if cell.defense is not None and not cell.attack.adaptive:
        stages = frozenset({"model"}) if stages is None else stages & {"model"}
    if cell.defense is None or stages is None:
        return None if cell.defense is None else [d.key for d in cell.defense]
    return [d.key for d in cell.defense if stages & set(d.build(Defense).stages())]


def prepared(cell: Cell, observations: Sequence[Seen]) -> Sequence[Seen]:
    """The observations as the attack gets them: with what it knows, and with what it prepared."""
    observations = told_observations(cell, observations)
    made = {name: fetch(artefact) for name, artefact in preparations(cell).items()}
    return [replace(seen, prepared=made) for seen in observations] if made else observations


def _artefact(cell: Cell, preparation: Preparation, public: Mapping[str, object]) -> Artefact:
    needs = {name: _artefact(cell, need, public) for name, need in preparation.needs.items()}

    def make() -> Tensors:
        return dict(preparation.make({name: fetch(need) for name, need in needs.items()}))

    told = {**public, "defense": _defenses(cell, preparation.stages)}
    key = {"prepared": preparation.key, "by": _body(preparation.make), "public": told}
    return Artefact(preparation.what, key, make, tuple(needs.values()))


def _stand_in(cell: Cell, preparation: Preparation, public: Mapping[str, object], seconds: dict[str, float]) -> Tensors:
    artefact = _artefact(cell, preparation, public)
    if artefact.made:
        return fetch(artefact)
    if preparation.trial is None:
        raise ValueError(f"{cell.attack.name} first makes what it prepares, which has not been timed")
    made = {name: _stand_in(cell, need, public, seconds) for name, need in preparation.needs.items()}
    tensors, seconds[artefact.what] = preparation.trial(made)
    return dict(tensors)


def _body(make: Callable[..., object]) -> str:
    """What the function does, wherever it stands: two preparations of one key are not taken for one another."""
    function = make.func if isinstance(make, partial) else make
    code = getattr(function, "__code__", None)
    return type(function).__qualname__ if code is None else sha256(repr(_of_code(code)).encode()).hexdigest()


def _of_code(code: CodeType) -> tuple[object, ...]:
    return code.co_code, code.co_names, code.co_freevars, [_of_constant(constant) for constant in code.co_consts]


def _of_constant(constant: object) -> object:
    """The same in every process: a set's own order is not."""
    if isinstance(constant, CodeType):
        return _of_code(constant)
    if isinstance(constant, tuple):
        return [_of_constant(one) for one in constant]
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
