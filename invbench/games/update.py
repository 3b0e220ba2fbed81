"""Game `update`: the server sees global weights and what clients share, and wants their pictures."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.randomness import stream
from invbench.data import ImagePool
from invbench.defenses import Context, Defense
from invbench.games import Deal, Game, Rerun, Scores
from invbench.metrics import lpips_note, ssim_note
from invbench.observation import Guess, Public, PublicDefense, Update, UpdateObservation
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import use_batch_statistics
from invbench.registry import game
from invbench.scoring import reconstruction
from invbench.scoring.pictures import grid_png
from invbench.scoring.reconstruction import Array, Matched, Truth
from invbench.updates.client import observed_update
from invbench.updates.equations import underdetermined
from invbench.victims import (
    architecture,
    model_of,
    network_defenses,
    pool_of,
    shape_of,
    stack_of,
    victim,
    victim_artefacts,
)

_STAGES = frozenset({"model", "training", "inputs", "per_example", "update", "aggregate"})
"""The stages of defences that a round passes through."""


@game(data="images", axes=("attack", "model", "defense"), protocol="fedsgd")
@dataclass(frozen=True, kw_only=True)
class UpdateGame(Game[Public, UpdateObservation, Guess]):
    """The update of one client's batch of pictures, or the average of several clients'.

    Target k of n clients at batch b takes pictures k*n*b .. (k+1)*n*b-1 of the target pool, client by client.
    """

    def unsupported(self, cell: Cell) -> str | None:
        for choice in (cell.dataset, cell.model):
            if choice.part.facts["data"] != "images":
                return f"game {cell.game} is played on images; {choice.short} is not of that kind"
        for defense in cell.defense or ():
            if not _STAGES & set(defense.build(Defense).stages()):
                return f"defence {defense.name} acts at no stage of game {cell.game}"
        pool, batch, model = pool_of(cell), _pictures(cell), model_of(cell)
        if model.trained and not len(pool.train):
            return f"{cell.dataset.short} has no pictures that a victim trains on"
        wanted, there = (cell.offset + cell.targets) * batch, len(_targets(cell, pool))
        if wanted > there:
            start = f" from batch {cell.offset} on" if cell.offset else ""
            return f"{cell.targets} batches of {batch}{start} need {wanted} pictures; the target pool has {there}"
        return model.unsupported(shape_of(pool), pool.classes)

    def public(self, cell: Cell) -> Public:
        """What everybody knows before any update is seen. Its network is shared by all who ask: to be looked at."""
        assert cell.protocol is not None
        assert cell.normalisation is not None
        assert cell.batch_size is not None
        pool, protocol = pool_of(cell), _protocol(cell)
        mean, std = cell.normalisation
        network = architecture(cell)
        return Public(
            model=cell.model.short,
            network=_in_mode(copy.deepcopy(network), protocol) if protocol.batch_norm == "train" else network,
            image_shape=shape_of(pool),
            classes=pool.classes,
            batch_size=cell.batch_size,
            labels=protocol.labels,
            mean=mean,
            std=std,
            protocol=cell.protocol.name,
            protocol_settings=dict(cell.protocol.settings),
            defenses=tuple(PublicDefense(d.name, d.build(Defense).public_parameters()) for d in cell.defense or ()),
            clients=protocol.clients,
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return victim_artefacts(cell)

    def deal(self, cell: Cell, device: torch.device) -> UpdateDeal:
        """Build the victim, then compute and defend every client's update."""
        pool, public = pool_of(cell), self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        network = _in_mode(victim(cell).to(device), _protocol(cell))
        batches = _batches(cell, pool)
        observations = tuple(_observe(cell, public, network, batch, k, device) for k, batch in enumerate(batches))
        wanted = _wanted(cell)
        truths = tuple(Truth(t.images[:wanted], t.labels[:wanted], t.positions[:wanted]) for t in batches)
        return UpdateDeal(cell=cell, observations=observations, truths=truths, pool=pool)

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[UpdateObservation]]:
        """`noise`: Gaussian noise of each tensor's own size in the update's place, whatever the client's defences."""
        bare = replace(cell, defense=network_defenses(cell))

        def observe(device: torch.device) -> list[UpdateObservation]:
            return [_noise(bare, seen, k) for k, seen in enumerate(self.deal(bare, device).observations)]

        return {"noise": Rerun(bare, observe, victim_artefacts(bare))}


@dataclass(frozen=True, eq=False)
class UpdateDeal(Deal[UpdateObservation, Guess]):
    """One cell's observations, and behind the wall the pictures that score the guesses."""

    cell: Cell
    observations: tuple[UpdateObservation, ...]
    truths: tuple[Truth, ...]
    pool: ImagePool

    def score(self, answers: Sequence[Guess]) -> Scores:
        """Every metric of the game, one value a picture, in each batch's order."""
        targets = _targets(self.cell, self.pool)
        pairs = zip(self._matched(answers), self.truths, strict=True)
        game, score = self.cell.game, reconstruction.score
        return reconstruction.by_metric([score(game, m, truth, self.pool, targets) for m, truth in pairs])

    def controls(self) -> dict[str, Scores]:
        """What reads nothing from the update: the best grey of each picture, the data set's mean picture."""
        targets, mean = _targets(self.cell, self.pool), reconstruction.mean_image(self.pool)
        pictures = {
            "grey": [reconstruction.grey_control(truth) for truth in self.truths],
            "mean": [np.broadcast_to(mean, truth.images.shape) for truth in self.truths],
        }
        score = reconstruction.score_picture
        return {
            name: reconstruction.by_metric(
                [
                    score(self.cell.game, p, t, self.pool, targets)
                    for p, t in zip(pictures[name], self.truths, strict=True)
                ]
            )
            for name in self.cell.controls
            if name in pictures
        }

    def arrays(self, answers: Sequence[Guess]) -> dict[str, Array]:
        """`originals` and `reconstructions` `(targets, B, C, H, W)` and their labels `(targets, B)` (-1: none)."""
        matched = self._matched(answers)
        return {
            "originals": np.stack([t.images for t in self.truths]).astype(np.float32),
            "reconstructions": np.stack([m.images for m in matched]).astype(np.float32),
            "labels": np.stack([t.labels for t in self.truths]),
            "guessed_labels": np.stack([m.labels for m in matched]),
        }

    def files(self, answers: Sequence[Guess], scores: Scores) -> dict[str, bytes]:
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
        undetermined = underdetermined(public.network, public.image_shape, public.pictures, self._shared())
        aimed = None
        if _wanted(self.cell) < public.pictures:
            aimed = f"the attack aims at one of {public.clients} clients: {_wanted(self.cell)} pictures a target count"
        found = (*self.pool.notes, *self._said_nothing(), shared, ssim_note(shape), perceptual, undetermined, aimed)
        return tuple(note for note in found if note)

    def _shared(self) -> dict[str, Tensor] | None:
        """Which entries some client sent of the first target's update, by parameter name; None where all are."""
        seen = self.observations[0]
        if not stack_of(self.cell).leaves_out:
            return None
        names = [name for name, _ in seen.model.named_parameters()]
        return {name: (tensor != 0).cpu() for name, tensor in zip(names, seen.update, strict=True)}

    def _said_nothing(self) -> list[str]:
        """Updates that hold no number or nothing but zeros: that nothing is read of them is no defence's doing."""
        updates, every = [seen.update for seen in self.observations], len(self.observations)
        lost = sum(not all(bool(tensor.isfinite().all()) for tensor in update) for update in updates)
        zero = sum(not any(bool(tensor.any()) for tensor in update) for update in updates)
        counts = ((lost, "not finite: the clients' own computing diverged"), (zero, "zero: nothing was shared"))
        return [f"the update of {count} of {every} targets is {what}" for count, what in counts if count]

    def _matched(self, answers: Sequence[Guess]) -> list[Matched]:
        missing = reconstruction.mean_image(self.pool)
        pairs = zip(answers, self.truths, strict=True)
        return [reconstruction.match(answer, truth, missing) for answer, truth in pairs]


def _protocol(cell: Cell) -> UpdateProtocol:
    assert cell.protocol is not None
    return cell.protocol.build(UpdateProtocol)


def _pictures(cell: Cell) -> int:
    """Pictures behind one update, of all its clients."""
    assert cell.batch_size is not None
    return cell.batch_size * _protocol(cell).clients


def _wanted(cell: Cell) -> int:
    """How many of them are the truth: all, or those of the client that the attack aims at."""
    assert cell.batch_size is not None
    return cell.batch_size if cell.attack.part.facts["aims"] == "client" else _pictures(cell)


def _targets(cell: Cell, pool: ImagePool) -> Array:
    return pool.trained_targets if model_of(cell).trained else pool.targets


def _in_mode(network: nn.Module, protocol: UpdateProtocol) -> nn.Module:
    return use_batch_statistics(network) if protocol.batch_norm == "train" else network


def _batches(cell: Cell, pool: ImagePool) -> list[Truth]:
    """The pictures behind each target's update, client by client."""
    size, places = _pictures(cell), _targets(cell, pool)
    found = []
    for number in range(cell.offset, cell.offset + cell.targets):
        positions = np.arange(number * size, (number + 1) * size)
        found.append(Truth(pool.unit(places[positions]), pool.labels[places[positions]], positions))
    return found


def _observe(
    cell: Cell, public: Public, network: nn.Module, batch: Truth, index: int, device: torch.device
) -> UpdateObservation:
    number = cell.offset + index
    labels = torch.from_numpy(batch.labels).to(device)
    names = [d.key for d in cell.defense or ()]
    contexts = [
        Context(stream("client", cell.seed, names, number * public.clients + client))
        for client in range(public.clients)
    ]
    images = _normalised(batch.images, public, device)
    return UpdateObservation(
        public=public,
        model=copy.deepcopy(network),
        update=observed_update(public, network, images, labels, stack_of(cell), contexts),
        labels=labels.clone() if public.labels == "known" else None,  # the truth's memory stays behind the wall
        generator=stream("attack", cell.seed, cell.attack.key, number),
        device=device,
    )


def _normalised(images: Array, public: Public, device: torch.device) -> Tensor:
    mean, std = (torch.tensor(c, dtype=torch.float32).reshape(-1, 1, 1) for c in (public.mean, public.std))
    return ((torch.from_numpy(images) - mean) / std).to(device)


def _noise(cell: Cell, seen: UpdateObservation, index: int) -> UpdateObservation:
    drawn = stream("noise control", cell.seed, cell.offset + index)
    update: list[Tensor] = []
    for tensor in seen.update:
        noise = torch.randn(tensor.shape, generator=drawn).to(tensor.device)
        update.append(noise * tensor.norm() / noise.norm())
    attacker = stream("attack", cell.seed, cell.attack.key, cell.offset + index)
    shared: Update = tuple(update)
    return replace(seen, update=shared, generator=attacker, model=copy.deepcopy(seen.model))
