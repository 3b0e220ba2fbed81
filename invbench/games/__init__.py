"""Games: one file a threat model. A game builds the victim, makes what the attacker sees and scores the answers.

A game is a frozen dataclass marked `@game(data=..., axes=..., protocol=...)` with the base `Game`; for one cell it
deals a `Deal`: observations for the attack, and behind the wall what scores its answers. Games know no attack: who
plays a cell is `invbench/play/`'s business. How a game's results are shown and judged stands on its sheet (`sheets/`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy.typing as npt
import torch

from invbench import registry
from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.defenses import Stage
from invbench.observation import Observation, Tensors

Known = TypeVar("Known", covariant=True)
Seen = TypeVar("Seen", bound=Observation[object])
Said = TypeVar("Said")

Scores = dict[str, list[list[float | None]]]
"""Metric to target to item; None is an empty value."""


Craft = Callable[[Any, Tensors, int], Tensors]
"""What is public, the global weights and buffers by name, a client's number: what this client is given instead."""


@dataclass(frozen=True, eq=False)
class Rerun(Generic[Seen]):
    """The same attack on other observations, scored as the cell's own answers are: a control that may be asked for.

    `cell`: the cell without what the rerun does not depend on, so that cells that differ in it alone share the
    answers. `observe(device)`: what the attack sees instead. `needs`: artefacts that making it takes. `of_dealt`: where
    it is made of what the rerun's cell deals, the same of that, which a malicious server may have crafted.
    """

    cell: Cell
    observe: Callable[[torch.device], Sequence[Seen]]
    needs: tuple[Artefact, ...] = ()
    of_dealt: Callable[[Sequence[Seen]], Sequence[Seen]] | None = None


class Deal(ABC, Generic[Seen, Said]):
    """One cell's observations, and behind the wall the truth that scores the answers."""

    observations: Sequence[Seen]

    def complaint(self, index: int, answer: object) -> str | None:
        """What makes an answer none to the observation of this index, in words; None where it is one.

        Only what this does not complain of is scored.
        """
        return self.observations[index].complaint(answer)

    @abstractmethod
    def score(self, answers: Sequence[Said]) -> Scores:
        """Every metric of the game, of the answers in the order of the observations."""

    @abstractmethod
    def arrays(self, answers: Sequence[Said]) -> dict[str, npt.NDArray[Any]]:
        """What is kept of the answers and of the truth, for whoever opens `arrays.npz`."""

    def controls(self) -> Mapping[str, Scores]:
        """Answers that read nothing from the victim, scored, by name."""
        return {}

    def limits(self) -> Scores:
        """How far any attack of a stated kind can get, as metrics of their own."""
        return {}

    def files(self, answers: Sequence[Said], scores: Scores, controls: Mapping[str, Scores]) -> Mapping[str, bytes]:
        """Pictures and the like, by file name. `controls`: the scored controls, by name."""
        return {}

    def of_rerun(self, answers: Sequence[Said]) -> dict[str, npt.NDArray[Any]]:
        """What `files` draws of the answers to a rerun; it is kept with the rerun's scores."""
        return {}

    def beside(self, reruns: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> Deal[Seen, Said]:
        """The same deal, told what `of_rerun` kept of each requested rerun, by its name, before `files` is asked."""
        return self

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers must know."""
        return ()


class Game(ABC, Generic[Known, Seen, Said]):
    """A threat model. What it says of a cell before it deals does not depend on the cell's seed."""

    stages: ClassVar[frozenset[Stage]] = frozenset()
    """Of defences, those that it passes through; told by `invbench list`."""

    @abstractmethod
    def unsupported(self, cell: Cell) -> str | None:
        """Why this cell cannot be played, or None."""

    @abstractmethod
    def public(self, cell: Cell) -> Known:
        """What everybody knows before anything is seen: each observation's `public`."""

    @abstractmethod
    def deal(self, cell: Cell, device: torch.device) -> Deal[Seen, Said]:
        """Build the victim and make what the attacker sees."""

    def deal_crafted(self, cell: Cell, device: torch.device, craft: Craft) -> Deal[Seen, Said]:
        """`deal` where a malicious server gives each client weights of its own."""
        raise ValueError(f"game {cell.game} has no clients to whom a server gives weights")

    def trial(self, cell: Cell, device: torch.device) -> Sequence[Seen]:
        """Observations that cost an attack as much as the cell's own, of a victim that nobody trained."""
        settings = tuple((name, False if name == "trained" else value) for name, value in cell.model.settings)
        return self.deal(replace(cell, model=replace(cell.model, settings=settings)), device).observations

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        """Trained victims and the like, made once and shared by cells."""
        return ()

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[Seen]]:
        """Reruns that can be asked for among the controls, by name."""
        return {}


def game_of(cell: Cell) -> Game[Any, Any, Any]:
    """The cell's game."""
    return registry.load("game", cell.game).build({}, Game)
