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
from invbench.games import game_of
from invbench.observation import Observation, Preparation

Seen = TypeVar("Seen", bound=Observation[object])


def preparations(cell: Cell) -> dict[str, Artefact]:
    """The artefacts of the cell's attack, by the names that it gives them.

    Their keys hold what is public of the cell: its model, data, protocol, defences and batch size, not its seed's
    victim, its targets or the attack's name, so attacks that prepare the same from one code share it.
    """
    attack = cell.attack.build(Attack)
    wanted = attack.preparations(game_of(cell).public(cell))
    public = {
        "game": cell.game,
        "data": cell.data_hash,
        "normalisation": cell.normalisation,
        "model": cell.model.key,
        "batch_size": cell.batch_size,
        "defense": None if cell.defense is None else [d.key for d in cell.defense],
        "protocol": None if cell.protocol is None else cell.protocol.key,
        "code": hash_of(ATTACKER, *cell.classes),
    }
    return {name: _artefact(preparation, public) for name, preparation in wanted.items()}


def prepared(cell: Cell, observations: Sequence[Seen]) -> Sequence[Seen]:
    """The observations with what the attack prepared."""
    made = {name: fetch(artefact) for name, artefact in preparations(cell).items()}
    return [replace(seen, prepared=made) for seen in observations] if made else observations


def _artefact(preparation: Preparation, public: Mapping[str, object]) -> Artefact:
    needs = {name: _artefact(need, public) for name, need in preparation.needs.items()}

    def make() -> Tensors:
        return dict(preparation.make({name: fetch(need) for name, need in needs.items()}))

    key = {"prepared": preparation.key, "by": _body(preparation.make), "public": public}
    return Artefact(preparation.what, key, make, tuple(needs.values()))


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
