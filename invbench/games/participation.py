"""Game `participation`: who took part in which round of a federation whose server sees sums alone.

Lam, Wei, Brooks, Reddi and Mitzenmacher 2021 (arXiv 2106.06089): secure aggregation promises that a client's update is
one of many; over many rounds, with what device analytics tell, it may not be.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.randomness import stream
from invbench.data import ImagePool
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._batches import clients_seen, named_defenses, target_pool
from invbench.games._federation import Attendance, Rounds, attendance, many_rounds_of, one_round, own_pictures, played
from invbench.games._guaranteed import Guaranteed, of_round
from invbench.games._planning import STAGES, why_unplayable
from invbench.games.update import UpdateGame
from invbench.observation import Guess, ParticipationGuess, ParticipationObservation, ParticipationPublic
from invbench.registry import game
from invbench.scoring import reconstruction
from invbench.scoring.computing import computed
from invbench.scoring.controls import mean_control, stand_in
from invbench.scoring.reconstruction import Truth
from invbench.victims import (
    architecture,
    model_of,
    network_defenses,
    pool_of,
    shape_of,
    stack_of,
    training_notes,
    usual_training,
    victim,
    victim_artefacts,
)

MOST_SEEN = 1 << 28
"""Numbers in the sums of all rounds: 1 GiB, and the attack takes twice that."""


@game(data="images", axes=("attack", "model", "defense"), protocol="many-rounds")
@dataclass(frozen=True, kw_only=True)
class Participation(Game[ParticipationPublic, ParticipationObservation, ParticipationGuess]):
    """Which clients are in which round's sum, what each of them shares, and its pictures.

    Target k is a federation of its own, with n clients and pictures k*n*N .. (k+1)*n*N-1 of the target pool. Clients
    that drop out or collude are in no sum of that round, and do not count as having taken part.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        asked, own = many_rounds_of(cell), own_pictures(cell)
        assert cell.batch_size is not None
        if asked.taking_part > asked.clients:
            return f"{asked.taking_part} of {asked.clients} clients cannot take part: there are not as many"
        if own < cell.batch_size:
            return f"batches of {cell.batch_size} cannot be drawn of a client's {own} pictures"
        if (why := why_unplayable(one_round(cell))) is not None:
            return why
        there = len(target_pool(cell, pool_of(cell)))
        if (wanted := (cell.offset + cell.targets) * asked.clients * own) > there:
            each = f"{asked.clients} clients with {own} pictures each"
            return f"{cell.targets} federations of {each} need {wanted} pictures; the target pool has {there}"
        if (numbers := asked.rounds * _length(cell)) > MOST_SEEN:
            return f"{asked.rounds} sums of {_length(cell):,} numbers are {numbers:,}; at most {MOST_SEEN:,}"
        return None

    def public(self, cell: Cell) -> ParticipationPublic:
        """What everybody knows before a round is seen."""
        assert cell.protocol is not None
        one, asked = UpdateGame().public(one_round(cell)), many_rounds_of(cell)
        return ParticipationPublic(
            model=one.model,
            network=one.network,
            image_shape=one.image_shape,
            classes=one.classes,
            clients=asked.clients,
            summed=clients_seen(one_round(cell)),
            rounds=asked.rounds,
            window=asked.window,
            batch_size=one.batch_size,
            pictures=own_pictures(cell),
            labels=asked.labels,
            server_lr=asked.server_lr,
            mean=one.mean,
            std=one.std,
            update_protocol=one.protocol,
            update_settings=one.protocol_settings,
            protocol=cell.protocol.name,
            protocol_settings=dict(cell.protocol.settings),
            defenses=one.defenses,
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return victim_artefacts(cell)

    def deal(self, cell: Cell, device: torch.device) -> ParticipationDeal:
        """Build the victim, then run every federation."""
        pool, one = pool_of(cell), UpdateGame().public(one_round(cell))
        network = victim(cell).to(device)
        numbers = range(cell.offset, cell.offset + cell.targets)
        rounds = tuple(attendance(cell, pool, number) for number in numbers)
        found = tuple(played(cell, one, network, of, k, device) for k, of in zip(numbers, rounds, strict=True))
        public = self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        observations = tuple(
            ParticipationObservation(
                public=public,
                generator=stream("attack", cell.seed, cell.attack.key, number),
                model=copy.deepcopy(network),
                sums=sums.sums.clone(),
                counts=torch.from_numpy(counts_of(of, public.window)),
                labels=torch.from_numpy(pool.labels[of.pictures]) if public.labels == "known" else None,
                device=device,
            )
            for number, of, sums in zip(numbers, rounds, found, strict=True)
        )
        return ParticipationDeal(cell=cell, observations=observations, attendances=rounds, rounds=found, pool=pool)

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[ParticipationObservation]]:
        """`noise`: Gaussian noise of each sum's own size in its place, beside the same counts."""
        bare = replace(cell, defense=network_defenses(cell))

        def instead(device: torch.device) -> list[ParticipationObservation]:
            seen = self.deal(bare, device).observations
            return [_noise(bare, one, bare.offset + k) for k, one in enumerate(seen)]

        return {"noise": Rerun(bare, instead, victim_artefacts(bare))}


@dataclass(frozen=True, eq=False)
class ParticipationDeal(Deal[ParticipationObservation, ParticipationGuess]):
    """One cell's federations, and behind the wall who took part, with which pictures and which updates."""

    cell: Cell
    observations: tuple[ParticipationObservation, ...]
    attendances: tuple[Attendance, ...]
    rounds: tuple[Rounds, ...]
    pool: ImagePool

    def score(self, answers: Sequence[ParticipationGuess]) -> Scores:
        """Metrics get both participation matrices `(T, n)`, and both sides' updates `(n, d)`: one value a client.

        Those of pictures get `pictures` and `originals`: one value a picture, client by client. An answer that lacks
        what another has, as of an attack that failed on this target, is scored as zero updates and as no picture.
        """
        updates = any(answer.updates is not None for answer in answers)
        pictures = any(answer.guesses is not None for answer in answers)

        def of_target(k: int, answer: ParticipationGuess) -> dict[str, list[float | None]]:
            told = self._updates(k, answer) if updates else None
            of_clients = self._of_clients(k, answer.participation.cpu().numpy(), told)
            return of_clients | (self._of_pictures(k, answer) if pictures else {})

        return reconstruction.by_metric([of_target(k, answer) for k, answer in enumerate(answers)])

    def _updates(self, k: int, answer: ParticipationGuess) -> npt.NDArray[Any]:
        if answer.updates is None:
            return np.zeros_like(self.rounds[k].own)
        updates: npt.NDArray[Any] = answer.updates.detach().cpu().double().numpy()
        return updates

    def _of_clients(
        self, k: int, guessed: npt.NDArray[np.bool_], updates: npt.NDArray[Any] | None
    ) -> dict[str, list[float | None]]:
        there = self.attendances[k].participation
        given: dict[str, object] = {"guessed_participation": guessed, "participation": there}
        if updates is not None:
            given |= {"recovered_updates": updates, "own_updates": self.rounds[k].own}
        return computed(self.cell.game, given)

    def _of_pictures(self, k: int, answer: ParticipationGuess) -> dict[str, list[float | None]]:
        missing, truths = stand_in(self.pool, self.attendances[k].pictures.reshape(-1)), self._truths(k)
        guesses = answer.guesses or [Guess(images=torch.zeros(0, *shape_of(self.pool)))] * len(truths)
        pairs = [
            (reconstruction.match(guess, truth, missing).images, truth.images)
            for guess, truth in zip(guesses, truths, strict=True)
        ]
        pictures, originals = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return computed(self.cell.game, {"pictures": pictures, "originals": originals})

    def _truths(self, k: int) -> list[Truth]:
        """Each client's own pictures."""
        pool, places = self.pool, np.arange(self.attendances[k].pictures.shape[1])
        return [Truth(pool.unit(own), pool.labels[own], places, own) for own in self.attendances[k].pictures]

    def controls(self) -> dict[str, Scores]:
        """`counts`: in all rounds of a window in which it took part in more than half, and the mean of all updates.

        `mean`: what labels and pictures that are not attacked tell of each picture.
        """
        found = {}
        if "counts" in self.cell.controls:
            found["counts"] = reconstruction.by_metric(
                [self._by_counts(k, seen) for k, seen in enumerate(self.observations)]
            )
        if "mean" in self.cell.controls:
            found["mean"] = reconstruction.by_metric([self._by_mean(k) for k in range(len(self.attendances))])
        return found

    def _by_counts(self, k: int, seen: ParticipationObservation) -> dict[str, list[float | None]]:
        public, counts = seen.public, seen.counts.numpy()
        windows = np.arange(public.rounds) // public.window
        likely = 2 * counts > np.bincount(windows)[:, None]
        mean = seen.sums.double().cpu().numpy().mean(axis=0) / public.summed
        return self._of_clients(k, likely[windows], np.broadcast_to(mean, (public.clients, len(mean))))

    def _by_mean(self, k: int) -> dict[str, list[float | None]]:
        indexes = self.attendances[k].pictures.reshape(-1)
        originals = self.pool.unit(indexes)
        told = mean_control(self.pool, originals, self.pool.labels[indexes], indexes)
        scores = computed(self.cell.game, {"pictures": originals if told is None else told, "originals": originals})
        return {name: [None] * len(values) for name, values in scores.items()} if told is None else scores

    def limits(self) -> Scores:
        """`epsilon`: of all that the client sends who takes part most often."""
        return self._guaranteed.limits(self.cell)

    @cached_property
    def _guaranteed(self) -> Guaranteed:
        return of_round(named_defenses(one_round(self.cell)), rounds=self._most_often)

    @cached_property
    def _most_often(self) -> int:
        """In how many rounds a client takes part at most, those too in which it is not in the sum."""
        return max(int(np.bincount(of.order.ravel()).max()) for of in self.attendances)

    def arrays(self, answers: Sequence[ParticipationGuess]) -> dict[str, npt.NDArray[Any]]:
        """`participation` and `guessed_participation` `(targets, T, n)`, `pictures` `(targets, n, N)`: indexes."""
        return {
            "participation": np.stack([of.participation for of in self.attendances]),
            "guessed_participation": np.stack([answer.participation.cpu().numpy() for answer in answers]),
            "pictures": np.stack([of.pictures for of in self.attendances]),
        }

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is the same in all rounds and what is not, and what defences say of a round."""
        asked = many_rounds_of(self.cell)
        ones = [of.participation for of in self.attendances]
        below = sum(int(np.linalg.matrix_rank(one.astype(float))) < asked.clients for one in ones)
        never = sum(int((~one.any(axis=0)).sum()) for one in ones)
        same = own_pictures(self.cell) == self.cell.batch_size and not asked.server_lr
        found = [
            *self.pool.notes,
            "a client's update is the same in all rounds, but for its defences" if same else None,
            *stack_of(self.cell).round_notes(asked.taking_part),
            f"in {below} of {len(ones)} federations rounds do not tell all clients apart (rank below n)"
            if below
            else None,
            f"{never} clients never took part" if never else None,
        ]
        found += model_of(self.cell).weights_notes()
        if model_of(self.cell).trained:
            found += training_notes(self.cell, usual_training(self.cell))
        found += self._guaranteed.notes
        if not isinstance(self._guaranteed.found, str):
            found.append(
                f"epsilon is of a client in {self._most_often} of {asked.rounds} rounds, the most that one takes part"
                " in; who takes part when counts as public, and sampling is not counted"
            )
        return tuple(note for note in found if note)


def counts_of(of: Attendance, window: int) -> npt.NDArray[np.int64]:
    """The side information `(W, n)`."""
    there = of.participation.astype(np.int64)
    return np.add.reduceat(there, np.arange(0, len(there), window), axis=0)


def _noise(cell: Cell, seen: ParticipationObservation, number: int) -> ParticipationObservation:
    drawn = stream("noise control", cell.seed, number)
    noise = torch.randn(seen.sums.shape, generator=drawn).to(seen.sums.device)
    lengths = seen.sums.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    attacker = stream("attack", cell.seed, cell.attack.key, number)
    return replace(seen, sums=noise * lengths, generator=attacker, model=copy.deepcopy(seen.model))


def _length(cell: Cell) -> int:
    """Numbers in one update."""
    return sum(math.prod(p.shape) for p in architecture(cell).parameters())
