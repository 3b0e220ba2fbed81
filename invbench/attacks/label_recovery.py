"""The labels of a batch, and no search for its pictures: what the last layer tells by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.attacks import UpdateAttack
from invbench.labels import Counting, label_strategy, read_labels
from invbench.observation import Guess, Public, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.one_model import by_weights


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class LabelRecovery(UpdateAttack):
    """Reads how many pictures of each class a batch holds, by one of the strategies that searches can start from.

    Granted labels are never read. Its pictures say what labels are worth by themselves: the mean of the attacker's own
    pictures of each label (protocol setting `public`), or mid-grey where he has none. `column-min`: Yin et al. 2021, of
    different labels; `llg`, `llg-dummy`, `llg-aux`: Wainakh et al. 2022; `ilrg`: Ma et al. 2023; `rlu`: Chen and Vikalo
    2024, of gradients and of several local steps.
    """

    labels: Counting = parameter("ilrg", help="how the labels are read")

    def unsupported(self, public: Public) -> str | None:
        return label_strategy(self.labels, public)[1]

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """What the strategy asks of a global model is asked once for all updates of it."""
        guesses: list[Guess] = []
        for group in by_weights(observations):
            read = read_labels(self.labels, group)
            assert read is not None
            pictures = _of_labels(group[0])
            guesses += [Guess(images=pictures[one.labels], labels=one.labels, notes=one.notes) for one in read]
        return guesses


def _of_labels(seen: UpdateObservation) -> Tensor:
    """A picture a class, `(K, C, H, W)` in [0, 1]: the mean of the attacker's own, of all of them where he has none."""
    public, own = seen.public, seen.public.reference
    if own is None:
        return torch.full((public.classes, *public.image_shape), 0.5)
    images, labels = seen.to_unit_range(own.images.to(seen.device)).cpu(), own.labels.cpu()
    mean = images.mean(dim=0)
    of_each = [images[labels == label] for label in range(public.classes)]
    return torch.stack([some.mean(dim=0) if len(some) else mean for some in of_each])
