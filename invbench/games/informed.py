"""Game `informed`: which of a few candidates a training used, asked by whoever knows all else.

The informed adversary of Balle, Cherubin and Hayes 2022 (arXiv 2201.04845) with the discrete prior of Hayes,
Mahloujifar and Balle 2023 (arXiv 2302.07225, section 4): what differential privacy promises, it promises against this.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.randomness import stream
from invbench.defenses import Defense, Stage
from invbench.games import Deal, Game, Scores
from invbench.games._candidates import different
from invbench.games._every_step import Deck, deck, defended_training, descended, every_step_of, training_of
from invbench.games._guaranteed import Guaranteed, of_training
from invbench.games._planning import brings_weights, idle_defense, no_network, not_of_kind
from invbench.observation import InformedGuess, InformedObservation, InformedPublic, Labelled, PublicDefense
from invbench.registry import game
from invbench.scoring.computing import computed
from invbench.victims import (
    Indexes,
    architecture,
    model_of,
    pool_of,
    shape_of,
    training_notes,
    victim,
    why_untrainable,
)
from invbench.victims.pictures import labelled

STAGES: frozenset[Stage] = frozenset({"model", "training"})
"""The stages of defences that such a training passes through."""


@game(data="images", axes=("attack", "model", "defense"), protocol="every-step")
@dataclass(frozen=True, kw_only=True)
class Informed(Game[InformedPublic, InformedObservation, InformedGuess]):
    """Which candidate was trained on, from every step's gradient and all other training pictures.

    Target k is a training of its own: seed and k draw its candidates, its others, the secret and the network's start.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        if (why := not_of_kind(cell) or brings_weights(cell) or idle_defense(cell, STAGES)) is not None:
            return why
        if model_of(cell).trained:
            return "trains a network of its own on few pictures: leave `trained` out"
        said, there = every_step_of(cell), len(different(pool_of(cell)))
        if (wanted := said.candidates + said.others) > there:
            return f"{said.candidates} candidates and {said.others} others are {wanted} pictures; there are {there}"
        why = no_network(cell) or why_untrainable(cell, architecture(cell), training_of(cell))
        if why is None:
            try:
                defended_training(cell, 0)
            except ValueError as error:
                return str(error)
        return why

    def public(self, cell: Cell) -> InformedPublic:
        """What everybody knows before a step is seen."""
        assert cell.protocol is not None
        said, pool = every_step_of(cell), pool_of(cell)
        return InformedPublic(
            model=cell.model.short,
            network=architecture(cell),
            image_shape=shape_of(pool),
            classes=pool.classes,
            steps=said.steps,
            lr=said.lr,
            trained_on=said.others + 1,
            candidates=said.candidates,
            protocol=cell.protocol.name,
            protocol_settings=dict(cell.protocol.settings),
            defenses=tuple(PublicDefense(d.name, d.build(Defense).public_parameters()) for d in cell.defense or ()),
        )

    def deal(self, cell: Cell, device: torch.device) -> InformedDeal:
        """Train each target's network, and keep every step."""
        numbers = range(cell.offset, cell.offset + cell.targets)
        decks = tuple(deck(cell, number) for number in numbers)
        seen = tuple(self._observe(cell, of, number, device) for number, of in zip(numbers, decks, strict=True))
        return InformedDeal(cell=cell, observations=seen, decks=decks)

    def _observe(self, cell: Cell, of: Deck, number: int, device: torch.device) -> InformedObservation:
        network, public = victim(cell, number=number).to(device), self.public(cell)
        own = _pictures(cell, of.trained_on, device)
        draws = stream("informed batches", cell.seed, cell.data_hash, number)
        gradients, present = descended(
            network, own.images, own.labels, defended_training(cell, number), public.lr, draws
        )
        return InformedObservation(
            public=public,
            generator=stream("attack", cell.seed, cell.attack.key, number),
            model=copy.deepcopy(network),
            gradients=tuple(gradients),
            others=_pictures(cell, of.others, device),
            present=present[:, :-1].clone(),  # whether the secret one was in a batch is not told
            candidates=_pictures(cell, of.candidates, device),
            device=device,
        )


@dataclass(frozen=True, eq=False)
class InformedDeal(Deal[InformedObservation, InformedGuess]):
    """One cell's trainings, and behind the wall which candidate each used."""

    cell: Cell
    observations: tuple[InformedObservation, ...]
    decks: tuple[Deck, ...]

    def score(self, answers: Sequence[InformedGuess]) -> Scores:
        """Metrics get `candidate_scores` `(N, K)` and the `secret` one's place `(N,)`: one value a target."""
        found = computed(self.cell.game, {"candidate_scores": _scores(answers), "secret": self._secrets})
        return {metric: [[value] for value in values] for metric, values in found.items()}

    def controls(self) -> dict[str, Scores]:
        """`blind`: what a guess without any observation finds, on average."""
        share = 1 / every_step_of(self.cell).candidates
        return {"blind": {"matched": [[share]] * len(self.decks)}} if "blind" in self.cell.controls else {}

    def limits(self) -> Scores:
        """What the defences guarantee, where they guarantee anything."""
        return self._guaranteed.limits(self.cell)

    def arrays(self, answers: Sequence[InformedGuess]) -> dict[str, npt.NDArray[Any]]:
        """`scores` `(N, K)`, `candidates` `(N, K)` and `others` `(N, M)`: indexes; `secret` `(N,)`: a place of them."""
        return {
            "scores": _scores(answers),
            "candidates": np.stack([of.candidates for of in self.decks]),
            "others": np.stack([of.others for of in self.decks]),
            "secret": self._secrets,
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What the defences made of the training, and what they guarantee."""
        own = training_notes(self.cell, training_of(self.cell))
        return tuple(note for note in (*own, *self._guaranteed.bound_notes, *pool_of(self.cell).notes) if note)

    @property
    def _guaranteed(self) -> Guaranteed:
        return of_training(self.cell, training_of(self.cell), every_step_of(self.cell).candidates)

    @property
    def _secrets(self) -> npt.NDArray[np.int64]:
        return np.array([of.secret for of in self.decks])


def _scores(answers: Sequence[InformedGuess]) -> npt.NDArray[np.float64]:
    return np.stack([answer.scores.detach().cpu().double().numpy() for answer in answers])


def _pictures(cell: Cell, indexes: Indexes, device: torch.device) -> Labelled:
    own = labelled(pool_of(cell), indexes, cell.normalisation)
    return Labelled(own.images.to(device), own.labels.to(device))
