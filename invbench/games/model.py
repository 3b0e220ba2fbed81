"""Game `model`: a trained model is released or answers queries, and the attacker wants a picture of each class."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.artefacts import Artefact
from invbench.core.randomness import stream
from invbench.data import ImagePool
from invbench.defenses import Context, Defense
from invbench.games import Deal, Game, Rerun, Scores
from invbench.games._classes import STAGES, chance, known_classes, private_pictures, private_pool, why_unplayable
from invbench.games._guaranteed import of_training
from invbench.metrics import ssim_note
from invbench.observation import Confidences, Inversion, ModelObservation, ModelPublic, Oracle, PublicDefense
from invbench.protocol import Protocol
from invbench.protocol.black_box import BlackBox
from invbench.registry import game
from invbench.scoring.classes import Row, classes_png
from invbench.scoring.computing import computed
from invbench.victims import (
    architecture,
    pool_of,
    shape_of,
    stack_of,
    trained_victim,
    training_notes,
    usual_training,
    victim,
)
from invbench.victims.classes import (
    always_trained,
    class_means,
    classifier_cell,
    error_rate,
    nearest_picture,
    training_mean,
)
from invbench.victims.shuffled import shuffled_artefact, shuffled_victim

Array = npt.NDArray[Any]


@game(data="images", axes=("attack", "model", "defense"), protocol="white-box")
@dataclass(frozen=True, kw_only=True)
class ModelGame(Game[ModelPublic, ModelObservation, Inversion]):
    """A picture of each class of a trained model, from its weights or from its answers.

    The model is always trained, on the data set's training pool (`trained` says nothing here). Targets are classes:
    the `targets` from number `offset` on.
    """

    stages = STAGES

    def unsupported(self, cell: Cell) -> str | None:
        return why_unplayable(cell)

    def public(self, cell: Cell) -> ModelPublic:
        """What everybody knows before anything is seen. Its network is shared by all who ask: to be looked at."""
        assert cell.protocol is not None
        assert cell.normalisation is not None
        pool, protocol = pool_of(cell), cell.protocol.build(Protocol)
        asked = protocol if isinstance(protocol, BlackBox) else None
        return ModelPublic(
            model=cell.model.short,
            network=architecture(always_trained(cell)),
            image_shape=shape_of(pool),
            classes=pool.classes,
            mean=cell.normalisation[0],
            std=cell.normalisation[1],
            protocol=cell.protocol.name,
            queries=None if asked is None else asked.queries,
            answers="confidences" if asked is None else asked.answers,
            defenses=tuple(PublicDefense(d.name, d.build(Defense).public_parameters()) for d in cell.defense or ()),
            reference=_reference(pool, known_classes(cell)),
            known_classes=known_classes(cell),
        )

    def artefacts(self, cell: Cell) -> Sequence[Artefact]:
        """The victim, and the classifier that names the answers."""
        own = trained_victim(always_trained(cell), private_pictures(cell))
        return (own, trained_victim(classifier_cell(cell)))

    def deal(self, cell: Cell, device: torch.device) -> ModelDeal:
        """Train the victim, or fetch it; then grant its weights, or put an oracle before it."""
        network = victim(always_trained(cell), private_pictures(cell)).to(device)
        return ModelDeal(
            cell=cell,
            observations=tuple(_observe(self.public(cell), cell, network, k, device) for k in _asked(cell)),
            pool=private_pool(cell),
            victim=_answering(cell, network, device, "scoring"),
            classifier=_answering(cell, victim(classifier_cell(cell)).to(device), device, None),
            device=device,
        )

    def reruns(self, cell: Cell) -> Mapping[str, Rerun[ModelObservation]]:
        """`shuffled`: the same attack on a model that was trained on shuffled labels."""

        def observe(device: torch.device) -> list[ModelObservation]:
            network = shuffled_victim(always_trained(cell), private_pictures(cell)).to(device)
            return [_observe(self.public(cell), cell, network, k, device) for k in _asked(cell)]

        needs = (shuffled_artefact(always_trained(cell), private_pictures(cell)), *self.artefacts(cell))
        return {"shuffled": Rerun(cell, observe, needs)}


@dataclass(frozen=True, eq=False)
class ModelDeal(Deal[ModelObservation, Inversion]):
    """One cell's observations, and behind the wall what scores the answers.

    `victim` answers with its defences, `classifier` is another network, trained apart: pictures in [0, 1] to
    confidences. `shuffled`: what `of_rerun` kept of the control of that name, where it was asked for.
    """

    cell: Cell
    observations: tuple[ModelObservation, ...]
    pool: ImagePool
    victim: Confidences
    classifier: Confidences
    device: torch.device
    shuffled: Mapping[str, Array] = field(default_factory=dict)

    def of_rerun(self, answers: Sequence[Inversion]) -> dict[str, Array]:
        """`answers` `(N, C, H, W)` and which were `returned` `(N,)`, of the attack on the model of shuffled labels."""
        returned = np.array([answer.image is not None for answer in answers])
        return {"answers": self._pictures(answers).astype(np.float32), "returned": returned}

    def beside(self, reruns: Mapping[str, Mapping[str, Array]]) -> ModelDeal:
        return replace(self, shuffled=reruns.get("shuffled", {}))

    def score(self, answers: Sequence[Inversion]) -> Scores:
        """Every metric, one value a class. A missing picture is scored as the mean of all training pictures.

        Metrics get `pictures` `(N, C, H, W)` in [0, 1], the classes `asked` `(N,)`, all `class_means` and each class's
        own, `own_means`, the `nearest` training picture of the class; `victim` and `classifier`: their confidences
        `(N, classes)`; where something was stolen, `stolen` and the victim's `weights`, by parameter.
        """
        more: dict[str, object] = {}
        if any(answer.weights is not None for answer in answers):
            more["stolen"] = [_arrays(answer.weights) for answer in answers]
            more["weights"] = _arrays(dict(self.victim.network.named_parameters()))
        return self._scored(self._pictures(answers), more)

    def controls(self) -> dict[str, Scores]:
        """`mean`: the mean of all training pictures, whatever class is asked."""
        if "mean" not in self.cell.controls:
            return {}
        mean = training_mean(self.pool)
        return {"mean": self._scored(np.stack([mean] * len(self.observations)), {})}

    def limits(self) -> Scores:
        """`validation_error`, of the victim as it answers: what its training and its defences cost."""
        training = usual_training(self.cell, private_pictures(self.cell))
        guaranteed = of_training(self.cell, training).limits(self.cell)
        return {"validation_error": [[self._error] for _ in self.observations], **guaranteed}

    def arrays(self, answers: Sequence[Inversion]) -> dict[str, Array]:
        """`answers`, `class_means`, `nearest` `(N, C, H, W)`, the `classes` asked `(N,)`, `returned` `(N,)`."""
        pictures = self._pictures(answers)
        return {
            "answers": pictures.astype(np.float32),
            "class_means": class_means(self.pool)[self._classes].astype(np.float32),
            "nearest": self._nearest(pictures).astype(np.float32),
            "classes": self._classes,
            "returned": np.array([answer.image is not None for answer in answers]),
        }

    def files(self, answers: Sequence[Inversion], scores: Scores, controls: Mapping[str, Scores]) -> dict[str, bytes]:
        """`grid.png`: class mean, nearest training picture and answer of each class, and the answer of the control
        `shuffled`, with the model's confidence."""
        cell, pictures = self.cell.names, self._pictures(answers)
        rows = [
            self._row("class mean", class_means(self.pool)[self._classes]),
            self._row("nearest training picture", self._nearest(pictures)),
            self._row("answer", pictures, [answer.image is not None for answer in answers]),
        ]
        if self.shuffled:
            control = self.shuffled["answers"].astype(np.float64)
            rows.append(self._row("answer, shuffled labels", control, self.shuffled["returned"].tolist()))
        title = f"{cell['attack']} on {cell['model']}, {cell['dataset']}, {cell['protocol']}, defence {cell['defense']}"
        title += "; under each picture the model's confidence that it is of the class"
        return {"grid.png": classes_png(rows, [f"class {label}" for label in self._classes], title)}

    def _row(self, name: str, pictures: Array, returned: Sequence[bool] | None = None) -> Row:
        """A row of the picture, `(N, C, H, W)`; `returned`: which an attack answered, by default all."""
        there = [True] * len(pictures) if returned is None else returned
        sure = self._confidences(pictures)[np.arange(len(pictures)), self._classes]
        words = [f"confidence {value:.2f}" if ok else "no answer" for value, ok in zip(sure, there, strict=True)]
        return Row(name, pictures, words)

    @property
    def notes(self) -> tuple[str, ...]:
        other = error_rate(self.classifier, self.pool, self.device)
        judged = None if other is None else f"the separate classifier (mlp) errs on {other:.1%} of held-out pictures"
        trained = training_notes(self.cell, usual_training(self.cell, private_pictures(self.cell)))
        found = (*self.pool.notes, chance(self.cell), judged, ssim_note(shape_of(self.pool)), *trained)
        return tuple(note for note in found if note)

    @cached_property
    def _error(self) -> float | None:
        return error_rate(self.victim, self.pool, self.device)

    @cached_property
    def _classes(self) -> npt.NDArray[np.int64]:
        return np.array([seen.target for seen in self.observations], dtype=np.int64)

    def _scored(self, pictures: Array, more: Mapping[str, object]) -> Scores:
        means = class_means(self.pool)
        given = {
            "pictures": pictures,
            "asked": self._classes,
            "class_means": means,
            "own_means": means[self._classes],
            "nearest": self._nearest(pictures),
            "victim": self._confidences(pictures),
            "classifier": self._confidences(pictures, self.classifier),
        }
        found = computed(self.cell.game, given | dict(more))
        return {metric: [[value] for value in values] for metric, values in found.items()}

    def _pictures(self, answers: Sequence[Inversion]) -> Array:
        images = [None if a.image is None else a.image.detach().cpu().double().clamp(0, 1).numpy() for a in answers]
        return np.stack([training_mean(self.pool) if image is None else image for image in images])

    def _nearest(self, pictures: Array) -> Array:
        pairs = zip(self._classes.tolist(), pictures, strict=True)
        return np.stack([nearest_picture(self.pool, label, picture) for label, picture in pairs])

    def _confidences(self, pictures: Array, model: Confidences | None = None) -> Array:
        """What a model says of pictures, the victim without its defences by default."""
        asked = replace(self.victim, defended=None) if model is None else model
        told: Array = asked(torch.from_numpy(pictures).to(self.device)).double().cpu().numpy()
        return told


@lru_cache(maxsize=8)
def _reference(pool: ImagePool, known: int) -> Tensor | None:
    """All pictures of the last `known` classes `(N, C, H, W)` in [0, 1]; None where there are no such classes."""
    chosen = np.flatnonzero(pool.labels >= pool.classes - known)
    return torch.from_numpy(pool.unit(chosen)) if known else None


def _asked(cell: Cell) -> range:
    return range(cell.offset, cell.offset + cell.targets)


def _observe(
    public: ModelPublic, cell: Cell, network: nn.Module, target: int, device: torch.device
) -> ModelObservation:
    oracle = None
    if public.queries is not None:
        own = _answering(cell, copy.deepcopy(network), device, target)
        oracle = Oracle(public.queries, public.answers == "label", own)
    return ModelObservation(
        public=_own(public),
        generator=stream("attack", cell.seed, cell.attack.key, target),
        target=target,
        device=device,
        model=copy.deepcopy(network) if public.weights_granted else None,
        oracle=oracle,
    )


def _own(public: ModelPublic) -> ModelPublic:
    """The same for one attack alone, to change."""
    reference = None if public.reference is None else public.reference.clone()
    return replace(public, network=copy.deepcopy(public.network), reference=reference)


def _answering(cell: Cell, network: nn.Module, device: torch.device, use: int | str | None) -> Confidences:
    """The network as it answers, behind the cell's defences with a stream for this `use`; None: without them."""
    assert cell.normalisation is not None
    mean, std = (torch.tensor(c, dtype=torch.float32, device=device).reshape(-1, 1, 1) for c in cell.normalisation)
    if use is None or not stack_of(cell).acts("answer"):
        return Confidences(network, mean, std)
    names = [d.key for d in cell.defense or ()]
    context = Context(stream("answers", cell.seed, names, use))
    defended: Callable[[Tensor], Tensor] = partial(stack_of(cell).at, "answer", context=context)  # type: ignore[assignment]
    return Confidences(network, mean, std, defended)


def _arrays(weights: Mapping[str, Tensor] | None) -> dict[str, Array] | None:
    return None if weights is None else {name: w.detach().cpu().double().numpy() for name, w in weights.items()}
