"""Game `update`: the server sees global weights and what clients share, and wants their pictures."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.data import ImagePool
from invbench.games import Craft, Deal, Game, Rerun, Scores
from invbench.games._batches import (
    attackers_own,
    batches,
    clients_seen,
    named_defenses,
    protocol_of,
    round_stack,
    target_pool,
    told_settings,
    wanted_of,
)
from invbench.games._crafted import crafted, with_inserted
from invbench.games._detectability import Detectability, detectability_of
from invbench.games._guaranteed import Guaranteed, of_round
from invbench.games._limits import Limits, limit_artefacts, limits_of
from invbench.games._observing import in_mode, noise, observe, reference
from invbench.games._planning import STAGES, too_large, why_unplayable
from invbench.metrics import lpips_note, ssim_note
from invbench.observation import Guess, Public, PublicDefense, Update, UpdateObservation, too_many
from invbench.protocol._batch_norm import buffers_of, numbers_shown
from invbench.registry import game
from invbench.scoring import reconstruction
from invbench.scoring.controls import exact_already, grey_control, mean_control, mean_of_others, prior_labels, stand_in
from invbench.scoring.pictures import grid_png
from invbench.scoring.reconstruction import Array, Matched, Truth
from invbench.updates.equations import underdetermined
from invbench.updates.moving import moves
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

GIVEN = "the batch's BatchNorm statistics are given outright, as papers assume: clients do not share them by themselves"


@game(data="images", axes=("attack", "model", "defense"), protocol="fedsgd", version=2)
@dataclass(frozen=True, kw_only=True)
class UpdateGame(Game[Public, UpdateObservation, Guess]):
    """The update of one client's batch of pictures, or the average of several clients'.

    Target k of n clients at batch b takes pictures k*n*b .. (k+1)*n*b-1 of the target pool, client by client.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        if (why := why_unplayable(cell)) is not None or not cell.attack.part.facts["adds_module"]:
            return why
        return too_large(f"{cell.model.short} with the module added", self.public(cell).network)

    def public(self, cell: Cell) -> Public:
        """What everybody knows before any update is seen. Its network is shared by all who ask: to be looked at."""
        honest = self._honest(cell)
        return replace(honest, network=with_inserted(cell, honest, honest.network))

    def _honest(self, cell: Cell) -> Public:
        """The same of an honest server."""
        assert cell.protocol is not None
        assert cell.batch_size is not None
        pool, protocol = pool_of(cell), protocol_of(cell)
        mean, std = cell.normalisation or pool.normalisation
        network = architecture(cell)
        return Public(
            model=cell.model.short,
            network=in_mode(copy.deepcopy(network), protocol) if protocol.batch_norm == "train" else network,
            image_shape=shape_of(pool),
            classes=pool.classes,
            batch_size=cell.batch_size,
            labels=protocol.labels,
            mean=mean,
            std=std,
            protocol=cell.protocol.name,
            protocol_settings=told_settings(cell),
            defenses=tuple(PublicDefense(name, defense.public_parameters()) for name, defense in named_defenses(cell)),
            clients=clients_seen(cell),
            reference=reference(cell, pool, protocol.public),
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        noisy = round_stack(cell).adds_noise(cell.batch_size or 1)
        return (*victim_artefacts(cell), *(limit_artefacts(cell, self.public(cell)) if noisy else ()))

    def deal(self, cell: Cell, device: torch.device) -> UpdateDeal:
        """Build the victim, then compute and defend every client's update."""
        return self.deal_crafted(cell, device, None)

    def deal_crafted(self, cell: Cell, device: torch.device, craft: Craft | None) -> UpdateDeal:
        """The same, of clients each of whom is given what a malicious server crafts for it."""
        pool, public = pool_of(cell), self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        made = victim(cell).to(device)
        buffers = buffers_of(made)
        honest = in_mode(made, protocol_of(cell))
        network = with_inserted(cell, self._honest(cell), honest)
        behind = batches(cell, pool)
        given = None if craft is None else crafted(public, network, protocol_of(cell).clients, craft)
        told = None if given is None else detectability_of(cell, given, honest, behind, device)
        observations = tuple(
            observe(cell, public, network, given, batch, k, device, buffers) for k, batch in enumerate(behind)
        )
        truths = tuple(truth.first(wanted_of(cell)) for truth in behind)
        empty = tuple(_why_empty(seen.update) for seen in observations)
        return UpdateDeal(cell=cell, observations=observations, truths=truths, pool=pool, empty=empty, told=told)

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[UpdateObservation]]:
        """`noise`: Gaussian noise of each tensor's own size in the update's place, whatever the client's defences."""
        bare = replace(cell, defense=network_defenses(cell))

        def instead(dealt: Sequence[UpdateObservation]) -> list[UpdateObservation]:
            return [noise(bare, seen, k) for k, seen in enumerate(dealt)]

        def observe(device: torch.device) -> list[UpdateObservation]:
            return instead(self.deal(bare, device).observations)

        return {"noise": Rerun(bare, observe, victim_artefacts(bare), instead)}


@dataclass(frozen=True, eq=False)
class UpdateDeal(Deal[UpdateObservation, Guess]):
    """One cell's observations, and behind the wall the pictures that score the guesses.

    `empty`: of each target why its update holds nothing, an empty word where it holds something. Found out before an
    attack has it in its hands. `told`: what clients of a malicious server could see, None of an honest one.
    """

    cell: Cell
    observations: tuple[UpdateObservation, ...]
    truths: tuple[Truth, ...]
    pool: ImagePool
    empty: tuple[str, ...]
    told: Detectability | None = None

    def complaint(self, index: int, answer: object) -> str | None:
        """Also of more pictures than the truth has, which are fewer where the attack aims at one of several clients."""
        if not isinstance(answer, Guess):
            return f"must be a Guess, not {type(answer).__name__}"
        if found := super().complaint(index, answer):
            return found
        given, there = len(answer.images), len(self.truths[index].images)
        return too_many(given, there) if given > there else None

    def score(self, answers: Sequence[Guess]) -> Scores:
        """Every metric of the game, one value a picture, in each batch's order."""
        targets = target_pool(self.cell, self.pool)
        pairs = zip(self._matched(answers), self.truths, strict=True)
        game, score, hidden = self.cell.game, reconstruction.score, self._hidden
        found = [score(game, m, truth, self.pool, targets, hidden=hidden) for m, truth in pairs]
        return reconstruction.by_metric(found)

    def controls(self) -> dict[str, Scores]:
        """What reads nothing from the update: the best grey of each picture, and what labels and the pictures that are
        not attacked tell (`mean_control`; of hidden labels, how often each class is in the whole data set).

        Where there are no others the mean control has empty values: it claims nothing.
        """
        asked = [name for name in ("grey", "mean") if name in self.cell.controls]
        return {name: reconstruction.by_metric([self._control(name, t) for t in self.truths]) for name in asked}

    def _control(self, name: str, truth: Truth) -> dict[str, list[float | None]]:
        told = mean_control(self.pool, truth.images, truth.labels, truth.indexes) if name == "mean" else None
        pictures = grey_control(truth.images) if told is None else told
        targets = target_pool(self.cell, self.pool)
        labels = prior_labels(self.pool, truth.indexes) if name == "mean" and self._hidden else None
        scores = reconstruction.score_picture(self.cell.game, pictures, truth, self.pool, targets, labels)
        empty = name == "mean" and told is None
        return {metric: [None] * len(values) for metric, values in scores.items()} if empty else scores

    def limits(self) -> Scores:
        """What the defences guarantee and what their noise leaves to attackers of a stated kind; one value a target.

        Of a malicious server also what its clients could see.
        """
        told = {} if self.told is None else self.told.scores
        return {**self._guaranteed.limits(self.cell), **self._limits.scores, **told}

    @property
    def _hidden(self) -> bool:
        return self.observations[0].public.labels == "hidden"

    @cached_property
    def _limits(self) -> Limits:
        return limits_of(self.cell, self.observations[0].public)

    def arrays(self, answers: Sequence[Guess]) -> dict[str, Array]:
        """`originals` and `reconstructions` `(targets, B, C, H, W)` and their labels `(targets, B)` (-1: none)."""
        matched = self._matched(answers)
        return {
            "originals": np.stack([t.images for t in self.truths]).astype(np.float32),
            "reconstructions": np.stack([m.images for m in matched]).astype(np.float32),
            "labels": np.stack([t.labels for t in self.truths]),
            "guessed_labels": np.stack([m.labels for m in matched]),
        }

    def files(self, answers: Sequence[Guess], scores: Scores, controls: Mapping[str, Scores]) -> dict[str, bytes]:
        """`grid.png`: originals above reconstructions, each pair with its PSNR."""
        names = self.cell.names
        title = f"{names['attack']} on {names['model']}, batch {names['batch_size']}, defence {names['defense']}"
        if names["protocol"] != "fedsgd":  # what a client shares unless another is said
            title += f", {names['protocol']}"
        matched = self._matched(answers)
        pictures = [p if ok else None for m in matched for p, ok in zip(m.images, m.returned, strict=True)]
        originals = np.concatenate([t.images for t in self.truths])
        decibels = scores.get("psnr", [[None] * len(t.images) for t in self.truths])
        return {"grid.png": grid_png(originals, pictures, [v for target in decibels for v in target], title)}

    @property
    def notes(self) -> tuple[str, ...]:
        shape = self.truths[0].images.shape[1:]
        repeated = sum(len(set(t.labels.tolist())) < len(t.labels) for t in self.truths)
        shared = f"{repeated} of {len(self.truths)} batches hold a label more than once" if repeated else None
        perceptual = lpips_note(shape)
        if shape[0] not in (1, 3):
            perceptual = f"lpips and identified are empty: they need 1 or 3 channels, the pictures have {shape[0]}"
        public = self.observations[0].public
        moving = len(self.observations[0].rounds) if moves(public) else 1
        shown = numbers_shown(public.network, protocol_of(self.cell).batch_statistics)
        undetermined = underdetermined(
            public.network, public.image_shape, public.pictures, self._shared(), moving, shown
        )
        aimed = None
        if wanted_of(self.cell) < public.pictures:
            wanted = wanted_of(self.cell)
            aimed = f"the attack aims at one of {public.clients} clients: {wanted} pictures a target count"
        clients = protocol_of(self.cell).clients
        rounds = stack_of(self.cell).round_notes(clients)
        found = (*self.pool.notes, *rounds, *self._said_nothing(), shared, ssim_note(shape), perceptual)
        given = GIVEN if protocol_of(self.cell).batch_statistics == "given" else None
        found += (undetermined, aimed, given)
        found += model_of(self.cell).weights_notes()
        if model_of(self.cell).trained:
            found += training_notes(self.cell, usual_training(self.cell))
        found += (*self._guaranteed.notes, *self._limits.notes)
        return tuple(note for note in found if note)

    @cached_property
    def _guaranteed(self) -> Guaranteed:
        """What they guarantee; `identified` looks for each picture among candidates."""
        protocol, targets = protocol_of(self.cell), target_pool(self.cell, self.pool)
        own = attackers_own(self.cell, self.pool)[: protocol.public]
        labelled = not self._hidden
        priors = [reconstruction.priors(t, self.pool, targets, labelled=labelled, ruled_out=own) for t in self.truths]
        return of_round(named_defenses(self.cell), tuple(priors), protocol.rounds, protocol.batch_statistics)

    def _shared(self) -> dict[str, Tensor] | None:
        """Which entries some client ever sent of the first target's update, by parameter name; None where all are."""
        seen = self.observations[0]
        if not stack_of(self.cell).leaves_out:
            return None
        names = [name for name, _ in seen.model.named_parameters()]
        rounds = [one.update for one in seen.rounds] or [seen.update]
        sent = (torch.stack([t != 0 for t in of_one]).any(dim=0).cpu() for of_one in zip(*rounds, strict=True))
        return dict(zip(names, sent, strict=True))

    def _said_nothing(self) -> list[str]:
        """What holds nothing that could be read: that it was not read is no defence's doing."""
        every, pictures = len(self.truths), sum(len(truth.images) for truth in self.truths)
        counts = Counter(why for why in self.empty if why)
        found = [f"the update of {count} of {every} targets is {why}" for why, count in counts.items()]
        if exact := sum(exact_already(self.pool, tuple(truth.indexes.tolist())) for truth in self.truths):
            found.append(f"of {exact} of {pictures} pictures a control is exact already: nothing is left to be read")
        if any(mean_of_others(self.pool, truth.indexes) is None for truth in self.truths):
            found.append(
                "the data set holds no pictures but those attacked: the mean control is empty, and a missing answer is"
                " scored as mid-grey"
            )
        return found

    def _matched(self, answers: Sequence[Guess]) -> list[Matched]:
        pairs = zip(answers, self.truths, strict=True)
        return [reconstruction.match(answer, truth, stand_in(self.pool, truth.indexes)) for answer, truth in pairs]


def _why_empty(update: Update) -> str:
    """Why an update holds nothing that could be read, an empty word where it holds something."""
    if not all(bool(tensor.isfinite().all()) for tensor in update):
        return "not finite: the clients' own computing diverged"
    return "" if any(bool(tensor.any()) for tensor in update) else "zero: nothing was shared"
