"""What a defence costs in use: a federated training under it, asked for by the matrix's key `utility`.

It is no cell: a `Federation` has an id of its own, and no cell's id knows of it. Cells that differ in attack, batch
size, number of targets or in what the attacker is told share one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from invbench import registry
from invbench.cell import Cell, Choice
from invbench.core.parameters import parameter

UTILITY_VERSION = 1
"""Raised by hand when a change of the code changes what every federation computes; a part has a version of its own."""

ATTACKERS = ("labels", "clients", "model_check", "property_share")
"""Settings of a protocol that say what the server sees and may do, and change nothing of how a client trains."""


TRAITORS = ("colluding",)
"""Settings of a defence that say what clients tell the server, which trains on what they share all the same."""


CODERS = ("partial", "prune", "qsgd", "quantize", "random-k", "secure-aggregation", "sign", "soteria", "top-k")
"""Defences after which a message has a form of its own. Where another one, or noise, followed one of them, its bytes
were counted wrongly before MESSAGES_VERSION."""
NOISE = ("dp-sgd", "gaussian", "laplace")
MESSAGES_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Utility:
    """How a federation trains (McMahan et al. 2017, arXiv 1602.05629, Algorithm 1; the server's step: `optimizer`)."""

    clients: int = parameter(10, at_least=1, unit="clients", help="among whom the training pictures are dealt")
    rounds: int = parameter(300, at_least=1, unit="rounds", help="how often clients share and the server takes a step")
    batch_size: int = parameter(
        8, at_least=1, unit="pictures", help="of one client in a round; whoever has fewer takes all"
    )
    participation: float = parameter(
        0.4, above=0, at_most=1, help="share of the clients that take part in a round, drawn anew for each"
    )
    optimizer: Literal["adam", "sgd"] = parameter(
        "adam", help="the server's step along what clients share, taken for a gradient; adam is FedAdam (2003.00295)"
    )
    lr: float = parameter(
        0.003, above=0, help="the server's peak learning rate: a tenth of the rounds up to it, then a half cosine to 0"
    )
    split: Literal["iid", "dirichlet"] = parameter(
        "iid", help="pictures dealt at random, or each class by shares drawn from Dirichlet(alpha) (1905.12022)"
    )
    alpha: float = parameter(0.5, above=0, help="of split dirichlet: small is one class a client, large is iid")

    @property
    def key(self) -> dict[str, Any]:
        """JSON form: what can change a result."""
        said = asdict(self)
        return said if self.split == "dirichlet" else {name: said[name] for name in said if name != "alpha"}

    @property
    def taking_part(self) -> int:
        """Clients in a round."""
        return max(1, round(self.participation * self.clients))


@dataclass(frozen=True, eq=False)
class Federation:
    """One federated training. `cell`: data, model, defences, protocol, seed and threads, with nothing of an attack."""

    cell: Cell
    utility: Utility

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that can change the result, as JSON."""
        cell = self.cell
        assert cell.protocol is not None
        names = [defense.name for defense in cell.defense or ()]
        coded = next((place for place, name in enumerate(names) if name in CODERS), len(names))
        recoded = any(name in (*CODERS, *NOISE) for name in names[coded + 1 :])
        return {
            **({"messages": MESSAGES_VERSION} if recoded else {}),
            "version": UTILITY_VERSION,
            "data": [cell.data_hash, registry.version("dataset", cell.dataset.name)],
            "normalisation": cell.normalisation,
            "model": cell.model.identity,
            "defense": [defense.identity for defense in cell.defense or ()],
            "protocol": cell.protocol.identity,
            "seed": cell.seed,
            "threads": cell.threads,
            "utility": self.utility.key,
        }

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of the settings' SHA-256."""
        text = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def names(self) -> dict[str, Any]:
        """The axes as they print: those of a cell that a federation knows; its clients are a setting of `utility`."""
        assert self.cell.protocol is not None
        of_cell = replace(self.cell, protocol=_at_defaults(self.cell.protocol, ("clients",))).names
        return {axis: of_cell[axis] for axis in ("dataset", "model", "defense", "protocol", "seed")}


def federation_of(cell: Cell, utility: Utility) -> Federation | None:
    """The federation that says what the cell's defences cost in use; None where nobody shares updates in it.

    Victims that are trained before they are attacked and those that are not have one: it starts where the latter are.
    """
    if cell.protocol is None or "update" not in cell.protocol.part.facts["games"]:
        return None
    protocol = _set(_at_defaults(cell.protocol, ATTACKERS), "clients", utility.taking_part)
    model = _at_defaults(cell.model, ("trained", "training_steps"))
    bare = replace(
        cell,
        model=model,
        protocol=protocol,
        defense=tuple(_at_defaults(defense, TRAITORS) for defense in cell.defense or ()),
        batch_size=utility.batch_size,
        targets=1,
        offset=0,
        controls=(),
    )
    return Federation(bare, utility)


def federations_of(cells: Iterable[Cell], utility: Utility) -> dict[str, Federation]:
    """The federations of these cells by the cells' ids; equal ones are one object."""
    found, every = dict[str, Federation](), dict[str, Federation]()
    for cell in cells:
        federation = federation_of(cell, utility)
        if federation is not None:
            found[cell.id] = every.setdefault(federation.id, federation)
    return found


def _set(choice: Choice, name: str, value: Any) -> Choice:
    """The choice with another value of this setting, where the part has it."""
    return replace(choice, settings=tuple((k, value if k == name else v) for k, v in choice.settings))


def _at_defaults(choice: Choice, names: tuple[str, ...]) -> Choice:
    """The choice with these settings at their defaults, where the part has them."""
    known = choice.part.parameters
    return replace(choice, settings=tuple((k, known[k].default if k in names else v) for k, v in choice.settings))
