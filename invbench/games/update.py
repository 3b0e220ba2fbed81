"""Game `update`: the server sees global weights and one client's update, and wants the client's pictures."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from invbench.cell import Cell, Choice
from invbench.core.artefacts import Artefact, fetch
from invbench.core.randomness import seed_of, stream
from invbench.data import ImagePool
from invbench.defenses import defended, public_parameters, stages
from invbench.metrics import lpips_note, ssim_note
from invbench.models import ImageModel
from invbench.models._building import build_victim
from invbench.models._training import RECIPE, train
from invbench.observation import Guess, Public, PublicDefense, Update, UpdateObservation
from invbench.protocol.fedsgd import gradient, per_example_gradients
from invbench.registry import game
from invbench.scoring.pictures import grid_png
from invbench.scoring.reconstruction import (
    Array,
    Matched,
    Scores,
    Truth,
    by_metric,
    grey_control,
    match,
    mean_image,
    score,
    score_picture,
)
from invbench.updates.equations import underdetermined

_STAGES = {"per_example", "update"}


@game(data="images")
@dataclass(frozen=True, kw_only=True)
class UpdateGame:
    """One client's gradient on a batch of pictures.

    Batch k of size b is pictures k*b .. k*b+b-1 of the target pool.
    """

    axes = ("attack", "model", "batch_size", "defense", "protocol")

    def unsupported(self, cell: Cell) -> str | None:
        """Why this cell cannot be played, or None."""
        for choice in (cell.dataset, cell.model):
            if choice.part.facts["data"] != "images":
                return f"game update is played on images; {choice.short} is not of that kind"
        for defense in cell.defense or ():
            if not _STAGES & set(stages(defense.build())):
                return f"defence {defense.name} acts at no stage of game update"
        pool, batch, model = _pool(cell), _batch(cell), _model(cell)
        if model.trained and not len(pool.train):
            return f"{cell.dataset.short} has no pictures that a victim trains on"
        wanted, there = (cell.offset + cell.targets) * batch, len(_targets(cell, pool))
        if wanted > there:
            start = f" from batch {cell.offset} on" if cell.offset else ""
            return f"{cell.targets} batches of {batch}{start} need {wanted} pictures; the target pool has {there}"
        return model.unsupported(_shape(pool), pool.classes)

    def public(self, cell: Cell) -> Public:
        """What everybody knows before any update is seen. Its network is shared by all who ask: to be looked at."""
        assert cell.protocol is not None
        assert cell.normalisation is not None
        pool, protocol = _pool(cell), dict(cell.protocol.settings)
        mean, std = cell.normalisation
        return Public(
            model=cell.model.short,
            network=_architecture(cell.model, _shape(pool), pool.classes),
            image_shape=_shape(pool),
            classes=pool.classes,
            batch_size=_batch(cell),
            labels=protocol["labels"],
            mean=mean,
            std=std,
            protocol=cell.protocol.name,
            protocol_settings=protocol,
            defenses=tuple(PublicDefense(d.name, public_parameters(d.build())) for d in cell.defense or ()),
        )

    def artefacts(self, cell: Cell) -> tuple[Artefact, ...]:
        """The trained victim, where the model is to be trained."""
        return (_trained_victim(cell),) if _model(cell).trained else ()

    def stage(self, cell: Cell, device: torch.device) -> UpdateRound:
        """Build the victim, then compute and defend every client's update."""
        pool, public = _pool(cell), self.public(cell)
        public = replace(public, network=copy.deepcopy(public.network))  # the attack's, to change
        network = _victim(cell).to(device)
        truths = _truths(cell, pool)
        observations = tuple(_observe(cell, public, network, truth, k, device) for k, truth in enumerate(truths))
        return UpdateRound(cell=cell, observations=observations, truths=truths, pool=pool)


@dataclass(frozen=True, eq=False)
class UpdateRound:
    """One cell's observations, and behind the wall the truth that scores the guesses."""

    cell: Cell
    observations: tuple[UpdateObservation, ...]
    truths: tuple[Truth, ...]
    pool: ImagePool

    def score(self, guesses: Sequence[Guess]) -> Scores:
        """Every metric of the game, one value a picture, in each batch's order."""
        targets = _targets(self.cell, self.pool)
        pairs = zip(self._matched(guesses), self.truths, strict=True)
        return by_metric([score(self.cell.game, matched, truth, self.pool, targets) for matched, truth in pairs])

    def controls(self) -> dict[str, Scores]:
        """What reads nothing from the update: the best grey of each picture, the data set's mean picture."""
        targets = _targets(self.cell, self.pool)
        pictures = {
            "grey": [grey_control(truth) for truth in self.truths],
            "mean": [np.broadcast_to(mean_image(self.pool), truth.images.shape) for truth in self.truths],
        }
        return {
            name: by_metric(
                [
                    score_picture(self.cell.game, p, t, self.pool, targets)
                    for p, t in zip(pictures[name], self.truths, strict=True)
                ]
            )
            for name in self.cell.controls
            if name in pictures
        }

    def noise(self) -> tuple[UpdateObservation, ...]:
        """The same observations with Gaussian noise of the update's size, tensor by tensor, in its place."""
        return tuple(_noise(self.cell, seen, k) for k, seen in enumerate(self.observations))

    def arrays(self, guesses: Sequence[Guess]) -> dict[str, Array]:
        """`originals` and `reconstructions` `(targets, B, C, H, W)` and their labels `(targets, B)` (-1: none)."""
        matched = self._matched(guesses)
        return {
            "originals": np.stack([t.images for t in self.truths]).astype(np.float32),
            "reconstructions": np.stack([m.images for m in matched]).astype(np.float32),
            "labels": np.stack([t.labels for t in self.truths]),
            "guessed_labels": np.stack([m.labels for m in matched]),
        }

    def grid(self, guesses: Sequence[Guess], scores: Scores) -> bytes:
        """A PNG of originals above reconstructions, each pair with its PSNR."""
        names = self.cell.names
        title = f"{names['attack']} on {names['model']}, batch {names['batch_size']}, defence {names['defense']}"
        matched = self._matched(guesses)
        pictures = [p if ok else None for m in matched for p, ok in zip(m.images, m.returned, strict=True)]
        originals = np.concatenate([t.images for t in self.truths])
        decibels = scores.get("psnr", [[None] * len(t.images) for t in self.truths])
        return grid_png(originals, pictures, [v for target in decibels for v in target], title)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        shape = self.truths[0].images.shape[1:]
        repeated = sum(len(set(t.labels.tolist())) < len(t.labels) for t in self.truths)
        shared = f"{repeated} of {len(self.truths)} batches hold a label more than once" if repeated else None
        perceptual = lpips_note(shape)
        if shape[0] not in (1, 3):
            perceptual = f"lpips and identified are empty: they need 1 or 3 channels, the pictures have {shape[0]}"
        public = self.observations[0].public
        open_ = underdetermined(public.network, public.image_shape, public.batch_size)
        return tuple(note for note in (*self.pool.notes, shared, ssim_note(shape), perceptual, open_) if note)

    def _matched(self, guesses: Sequence[Guess]) -> list[Matched]:
        missing = mean_image(self.pool)
        return [match(guess, truth, missing) for guess, truth in zip(guesses, self.truths, strict=True)]


def _pool(cell: Cell) -> ImagePool:
    pool: ImagePool = cell.dataset.build().load()
    return pool


def _model(cell: Cell) -> ImageModel:
    return cast(ImageModel, cell.model.build())


def _batch(cell: Cell) -> int:
    assert cell.batch_size is not None
    return cell.batch_size


def _shape(pool: ImagePool) -> tuple[int, int, int]:
    return cast(tuple[int, int, int], tuple(pool.images.shape[1:]))


def _targets(cell: Cell, pool: ImagePool) -> Array:
    return pool.trained_targets if _model(cell).trained else pool.targets


@lru_cache(maxsize=64)
def _architecture(model: Choice, shape: tuple[int, int, int], classes: int) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = model.build().build(shape, classes)
    return network.eval()


def _truths(cell: Cell, pool: ImagePool) -> tuple[Truth, ...]:
    batch, places = _batch(cell), _targets(cell, pool)
    truths = []
    for number in range(cell.offset, cell.offset + cell.targets):
        positions = np.arange(number * batch, (number + 1) * batch)
        truths.append(Truth(pool.unit(places[positions]), pool.labels[places[positions]], positions))
    return tuple(truths)


def _observe(
    cell: Cell, public: Public, network: nn.Module, truth: Truth, index: int, device: torch.device
) -> UpdateObservation:
    number = cell.offset + index
    labels = torch.from_numpy(truth.labels).to(device)
    client = stream("client", cell.seed, [d.key for d in cell.defense or ()], number)
    stack = [choice.build() for choice in cell.defense or ()]
    return UpdateObservation(
        public=public,
        model=copy.deepcopy(network),
        update=_client_update(network, _normalised(truth.images, public, device), labels, stack, client),
        labels=labels.clone() if public.labels == "known" else None,  # the truth's memory stays behind the wall
        generator=stream("attack", cell.seed, cell.attack.key, number),
        device=device,
    )


def _client_update(
    network: nn.Module, images: Tensor, labels: Tensor, stack: Sequence[Any], generator: torch.Generator
) -> Update:
    weights = {name: p.detach() for name, p in network.named_parameters()}
    round_ = (network, weights, dict(network.named_buffers()), images, labels)
    return defended(lambda: per_example_gradients(*round_), lambda: gradient(*round_), stack, generator)


def _normalised(images: Array, public: Public, device: torch.device) -> Tensor:
    mean, std = (torch.tensor(c, dtype=torch.float32).reshape(-1, 1, 1) for c in (public.mean, public.std))
    return ((torch.from_numpy(images) - mean) / std).to(device)


def _noise(cell: Cell, seen: UpdateObservation, index: int) -> UpdateObservation:
    drawn = stream("noise control", cell.seed, cell.offset + index)
    update = []
    for tensor in seen.update:
        noise = torch.randn(tensor.shape, generator=drawn).to(tensor.device)
        update.append(noise * tensor.norm() / noise.norm())
    attacker = stream("attack", cell.seed, cell.attack.key, cell.offset + index)
    return replace(seen, update=tuple(update), generator=attacker, model=copy.deepcopy(seen.model))


def _victim_key(cell: Cell) -> list[Any]:
    """What a victim's weights depend on, and nothing else: seed, model, data."""
    return ["victim", cell.seed, cell.model.key, cell.data_hash]


def _untrained(cell: Cell) -> nn.Module:
    pool = _pool(cell)
    return build_victim(_model(cell), _shape(pool), pool.classes, seed_of(*_victim_key(cell)))


def _victim(cell: Cell) -> nn.Module:
    network = _untrained(cell)
    if _model(cell).trained:
        network.load_state_dict(fetch(_trained_victim(cell)))
    return network.eval()


def _trained_victim(cell: Cell) -> Artefact:
    def make() -> dict[str, Tensor]:
        assert cell.normalisation is not None
        pool, network = _pool(cell), _untrained(cell)
        mean, std = (torch.tensor(c, dtype=torch.float32).reshape(-1, 1, 1) for c in cell.normalisation)
        images = (torch.from_numpy(pool.unit(pool.train)) - mean) / std
        labels = torch.from_numpy(pool.labels[pool.train])
        train(network, images, labels, stream("training", *_victim_key(cell)), steps=_model(cell).training_steps)
        return network.state_dict()

    key = {"victim": _victim_key(cell), "normalisation": cell.normalisation, "recipe": RECIPE}
    return Artefact(f"training {cell.model.short} on {cell.dataset.short}", key, make)
