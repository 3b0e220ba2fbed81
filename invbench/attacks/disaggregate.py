"""Gradient disaggregation: who took part, and with what (Lam, Wei, Brooks, Reddi and Mitzenmacher 2021,
arXiv 2106.06089)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from invbench import registry
from invbench.attacks import Attack, UpdateAttack
from invbench.disaggregation.counts import Counts
from invbench.disaggregation.recovering import Recovered, Search, recovered
from invbench.disaggregation.updates import individual
from invbench.observation import (
    Failed,
    Guess,
    ParticipationGuess,
    ParticipationObservation,
    ParticipationPublic,
    UpdateObservation,
)
from invbench.registry import attack, parameter


@attack(game="participation")
@dataclass(frozen=True, kw_only=True)
class Disaggregate(Attack[ParticipationPublic, ParticipationObservation, ParticipationGuess]):
    """Who took part in which round, from sums and counts, then each client's own update, then its pictures.

    Each client's column of the participation matrix is the one of zeros and ones that lies in the space of the sums
    and has its counts (section 4); the individual updates follow by least squares, and may go to an attack on pictures.

    The paper gives min |(I - U U') p|^2 with C p = c, a programme a client, to Gurobi. Here projections look for all
    columns at once, and HiGHS is asked for those that are left (`nodes`). A column that fits no better than in a random
    space is not believed; its answer is what the counts alone make likelier. Least squares average a client's noise
    over all rounds in which it took part.
    """

    rank: int | None = parameter(
        None,
        at_least=1,
        unit="directions",
        help="of the sums; by default n, where the model moves the one of n, 1.5 n, 2 n by which most columns fit",
    )
    iterations: int = parameter(1000, at_least=1, unit="iterations", help="of projections, from each start")
    restarts: int = parameter(
        3, at_least=0, unit="restarts", help="from random starts, for columns that do not fit yet"
    )
    nodes: int = parameter(
        10, at_least=0, unit="nodes", help="of branch and bound for a column that does not fit yet; 0: no programme"
    )
    inner: Literal["none", "auto", "analytic", "peel", "inverting-gradients"] = parameter(
        "none", help="attack that reads each client's pictures from its recovered update"
    )
    evaluations: int = parameter(400, at_least=1, help="most evaluations of a client, where the inner attack counts")

    def unsupported(self, public: ParticipationPublic) -> str | None:
        if self.inner == "none":
            return None
        if public.server_lr:
            return f"{self.inner}: a mean over rounds of a model that moves is no update of one model (server_lr)"
        why = self._inner().unsupported(public.of_one())
        return None if why is None else f"{self.inner}: {why}"

    def trial(self) -> tuple[Disaggregate, float]:
        few = min(self.evaluations, 50) if self.inner != "none" else self.evaluations
        return replace(self, evaluations=few), self.evaluations / few

    def __call__(self, seen: ParticipationObservation) -> ParticipationGuess:
        public, sums = seen.public, seen.sums.cpu().double().numpy()
        if not np.isfinite(sums).all():
            raise Failed("the sums are not finite: the model diverged as it moved")
        found = recovered(
            sums,
            Counts(seen.counts.cpu().numpy(), public.rounds, public.window),
            public.summed,
            self._ranks(public),
            Search(iterations=self.iterations, restarts=self.restarts, nodes=self.nodes),
            _numpy(seen.generator),
        )
        updates = torch.from_numpy(individual(sums, found.participation)).float()
        return ParticipationGuess(
            participation=torch.from_numpy(found.participation > 0.5),
            updates=updates,
            guesses=None if self.inner == "none" else tuple(self._pictures(seen, updates)),
            objective=float(found.misfit.mean()),
            facts=_facts(found),
        )

    def _ranks(self, public: ParticipationPublic) -> tuple[int, ...]:
        """A model that moves adds directions. Half of the rounds at most: in a larger space anything fits."""
        if self.rank is not None:
            return (self.rank,)
        clients = public.clients
        if not public.server_lr:
            return (clients,)
        return (clients, *(r for r in (3 * clients // 2, 2 * clients) if clients < r <= public.rounds // 2))

    def _pictures(self, seen: ParticipationObservation, updates: Tensor) -> list[Guess]:
        """The inner attack's answer to each client's update."""
        public, shapes = seen.public.of_one(), [weight.shape for weight in seen.model.parameters()]
        labels = [None] * len(updates) if seen.labels is None else list(seen.labels)
        observations = []
        for update, known in zip(updates.to(seen.device), labels, strict=True):
            pieces = update.split([shape.numel() for shape in shapes])
            observations.append(
                UpdateObservation(
                    public=replace(public, network=copy.deepcopy(public.network)),
                    generator=seen.generator,
                    model=copy.deepcopy(seen.model),
                    update=tuple(piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)),
                    labels=None if known is None else known.to(seen.device),
                    device=seen.device,
                )
            )
        return self._inner().attack_all(observations)

    def _inner(self) -> UpdateAttack:
        part = registry.load("attack", self.inner)
        counting = [name for name in ("evaluations", "iterations") if name in part.parameters]
        return part.build(dict.fromkeys(counting, self.evaluations), UpdateAttack)


def _facts(found: Recovered) -> dict[str, float | int]:
    """How well the columns fit, for the record: nothing of it is the truth's."""
    return {
        "rank": found.rank,
        "explained": int(found.explained.sum()),
        "believed": int(found.believed.sum()),
        "programmes": found.programmes,
        "proven": found.proven,
    }


def _numpy(generator: torch.Generator) -> np.random.Generator:
    """A NumPy stream from a draw of the attacker's own."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
