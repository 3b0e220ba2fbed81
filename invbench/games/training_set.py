"""Game `training-set`: whoever holds a trained network's weights wants the pictures that it was trained on."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from invbench.games._few_pictures import Split, centre, network_of, protocol_of, split, trained, training, untrained
from invbench.games._planning import brings_weights
from invbench.observation import TrainingSetGuess, TrainingSetObservation, TrainingSetPublic
from invbench.registry import game
from invbench.scoring.computing import computed
from invbench.scoring.controls import mean_of_others, stand_in
from invbench.scoring.nearest import nearest
from invbench.scoring.pictures import grid_png
from invbench.victims import model_of, pool_of, shape_of

Array = npt.NDArray[Any]


@game(data="images", axes=("attack", "model"), protocol="weights")
@dataclass(frozen=True, kw_only=True)
class TrainingSet(Game[TrainingSetPublic, TrainingSetObservation, TrainingSetGuess]):
    """The training pictures of a network, from its weights alone.

    Target k is a network of its own, trained on pictures of its own: k, with the cell's seed, draws both. The attacker
    has no pictures: who held the data set could name its members by luck, as control `drawn` does.
    """

    def unsupported(self, cell: Cell) -> str | None:
        for choice in (cell.dataset, cell.model):
            if choice.part.facts["data"] != "images":
                return f"game {cell.game} is played on images; {choice.short} is not of that kind"
        if (why := brings_weights(cell)) is not None:
            return why
        pool, model, wanted = pool_of(cell), model_of(cell), protocol_of(cell).pictures
        if pool.classes != 2:
            return f"needs two classes (`{{name: digits, labels: parity}}`); {cell.dataset.short} has {pool.classes}"
        if model.trained:
            return "trains a network of its own on few pictures: leave `trained` out"
        fewest = int(np.bincount(pool.labels, minlength=2).min())
        if fewest < wanted:
            return f"needs {wanted} pictures of each class, half of them never trained on; one class has {fewest}"
        return model.unsupported(shape_of(pool), 1)

    def public(self, cell: Cell) -> TrainingSetPublic:
        """What everybody knows before any weights are seen."""
        assert cell.normalisation is not None
        protocol = protocol_of(cell)
        return TrainingSetPublic(
            model=cell.model.short,
            network=network_of(cell),
            image_shape=shape_of(pool_of(cell)),
            std=cell.normalisation[1],
            pictures=protocol.pictures,
            answers=protocol.most_answers,
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        return [training(cell, number) for number in _numbers(cell)]

    def deal(self, cell: Cell, device: torch.device) -> TrainingSetDeal:
        """Fetch every network with the pictures behind it."""
        found = [trained(cell, number) for number in _numbers(cell)]
        return TrainingSetDeal(
            cell=cell,
            observations=self._seen(cell, [network for network, _ in found], device),
            splits=tuple(split(cell, number) for number in _numbers(cell)),
            losses=tuple(loss for _, loss in found),
            pool=pool_of(cell),
        )

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[TrainingSetObservation]]:
        """`untrained`: the attack on each network as it was before training."""

        def observe(device: torch.device) -> Sequence[TrainingSetObservation]:
            return self._seen(cell, [untrained(cell, number) for number in _numbers(cell)], device)

        return {"untrained": Rerun(cell, observe, tuple(self.artefacts(cell)))}

    def _seen(
        self, cell: Cell, networks: Sequence[torch.nn.Module], device: torch.device
    ) -> tuple[TrainingSetObservation, ...]:
        return tuple(
            TrainingSetObservation(
                public=self.public(cell),
                model=copy.deepcopy(network).to(device),
                centre=centre(cell, number).to(device),
                device=device,
                generator=stream("attack", cell.seed, cell.attack.key, number),
            )
            for number, network in zip(_numbers(cell), networks, strict=True)
        )


@dataclass(frozen=True, eq=False)
class TrainingSetDeal(Deal[TrainingSetObservation, TrainingSetGuess]):
    """One cell's networks, and what each was trained on. `losses`: of each network, where its training ended."""

    cell: Cell
    observations: tuple[TrainingSetObservation, ...]
    splits: tuple[Split, ...]
    losses: tuple[float, ...]
    pool: ImagePool

    @property
    def notes(self) -> tuple[str, ...]:
        """That a network did not reach the loss at which its training was to end."""
        wanted = protocol_of(self.cell).loss
        short = [loss for loss in self.losses if loss > wanted]
        told = f"training ended by its steps, not its loss, in {len(short)} of {len(self.losses)} networks"
        worst = f": the loss is up to {max(short):.2g} nats, not {wanted:.2g}" if short else ""
        return (*self.pool.notes, *([told + worst] if short else []))

    def score(self, answers: Sequence[TrainingSetGuess]) -> Scores:
        """Two counts a network; `psnr` and `ssim` a training picture. One that was not found is scored as a missing
        picture is everywhere, as the mean of the others: a mean over those found would flatter."""
        pairs = zip(answers, self.splits, strict=True)
        targets = [self._of_target(_array(answer.images), parts) for answer, parts in pairs]
        return {metric: [target[metric] for target in targets] for metric in targets[0]}

    def _of_target(self, answers: Array, parts: Split) -> dict[str, list[float | None]]:
        index, match = self._nearest(answers)
        finders, missing = _finders(index, match, parts.seen), stand_in(self.pool, parts.seen)
        given = [missing if finder is None else answers[finder] for finder in finders]
        pictures = {"pictures": np.stack(given), "originals": self._pictures[parts.seen].astype(np.float64)}
        return {
            "training_found": [float(len(finders) - finders.count(None))],
            "unseen_found": [float(len(set(index.tolist()) & set(parts.unseen.tolist())))],
            **computed(self.cell.game, pictures),
        }

    def controls(self) -> dict[str, Scores]:
        """Answers that read nothing: the data set's `mean` picture; as many of its pictures as count, `drawn`."""
        asked = [name for name in ("mean", "drawn") if name in self.cell.controls]
        return {name: self.score([self._control(name, number) for number in _numbers(self.cell)]) for name in asked}

    def _control(self, name: str, number: int) -> TrainingSetGuess:
        if name == "mean":
            mean = mean_of_others(self.pool, np.zeros(0, dtype=np.int64))
            assert mean is not None
            return TrainingSetGuess(images=torch.from_numpy(mean)[None])
        drawn = stream("drawn pictures", self.cell.seed, self.cell.data_hash, number)
        chosen = torch.randperm(len(self._pictures), generator=drawn)[: protocol_of(self.cell).most_answers]
        return TrainingSetGuess(images=torch.from_numpy(self._pictures[chosen.numpy()]))

    def arrays(self, answers: Sequence[TrainingSetGuess]) -> dict[str, Array]:
        """Pictures trained on and never seen, by index, and each network's `answers_K` (M, C, H, W)."""
        given = {f"answers_{number}": _array(a.images) for number, a in zip(_numbers(self.cell), answers, strict=True)}
        return {
            "trained_on": np.stack([parts.seen for parts in self.splits]),
            "unseen": np.stack([parts.unseen for parts in self.splits]),
            **given,
        }

    def files(
        self, answers: Sequence[TrainingSetGuess], scores: Scores, controls: Mapping[str, Scores]
    ) -> dict[str, bytes]:
        """`grid.png`: training pictures that were found above the answers that found them, each pair with its PSNR."""
        originals, guesses, decibels = [], list[Array | None](), list[float | None]()
        for target, (answer, parts) in enumerate(zip(answers, self.splits, strict=True)):
            images = _array(answer.images)
            for place, finder in enumerate(_finders(*self._nearest(images), parts.seen)):
                if finder is not None:
                    originals.append(self._pictures[parts.seen[place]])
                    guesses.append(images[finder])
                    decibels.append(scores["psnr"][target][place])
        if not originals:
            return {}
        names = self.cell.names
        every = sum(len(parts.seen) for parts in self.splits)
        title = f"{names['attack']} on {names['model']}: {len(originals)} of {every} training pictures found"
        return {"grid.png": grid_png(np.stack(originals), guesses, decibels, title)}

    def _nearest(self, answers: Array) -> tuple[Array, Array]:
        """As `nearest`, of what differs from the data set's mean picture."""
        mean = self._pictures.mean(axis=0, dtype=np.float64)
        return nearest(answers - mean, self._pictures - mean)

    @cached_property
    def _pictures(self) -> npt.NDArray[np.float32]:
        """The whole data set, `(N, C, H, W)` in [0, 1]."""
        return self.pool.unit(np.arange(len(self.pool.images)))


def _finders(index: Array, match: Array, wanted: Array) -> list[int | None]:
    """For each wanted picture the answer that it is nearest to, the best of several; None where there is none."""
    found: list[int | None] = []
    for picture in wanted:
        (here,) = np.nonzero(index == picture)
        found.append(int(here[match[here].argmax()]) if len(here) else None)
    return found


def _numbers(cell: Cell) -> range:
    return range(cell.offset, cell.offset + cell.targets)


def _array(images: torch.Tensor) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = images.detach().cpu().double().clamp(0, 1).numpy()
    return found
