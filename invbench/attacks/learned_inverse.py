"""Learning to Invert (LTI; Wu, Chen, Guo and Weinberger 2022, arXiv 2210.10880): updates in, pictures out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from invbench.attacks import UpdateAttack
from invbench.inversion.learned import Inverse, Recipe, learned
from invbench.inversion.own_updates import too_few
from invbench.labels import guess_label, label_strategy
from invbench.observation import Guess, Public, UpdateObservation
from invbench.registry import attack, parameter
from invbench.updates.one_model import same_weights


@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class LearnedInverse(UpdateAttack):
    """A network trained on what clients would send of the attacker's own pictures, behind the declared defences.

    It needs no formula of a defence and no search: one pass gives a picture. It needs pictures like the client's
    (protocol setting `public`), ten or more for each of a batch. A batch has no order, so its answers are held against
    its pictures in the order that fits best; the labels of several are told to the network where they are known. The
    authors train 200 epochs at rate 1e-4 with 3,000 units on 50,000 pictures of CIFAR-10, and hash gradients where they
    are long; here the epoch with the least error on a tenth of the pictures, which are not trained on, is kept. Until
    it is better than their mean (of each label, where several are known) it answers that mean.
    """

    hidden: int = parameter(512, at_least=1, unit="units", help="of each of the network's two hidden layers")
    epochs: int = parameter(60, at_least=1, unit="epochs", help="over the attacker's own pictures, at most")
    rate: float = parameter(1e-3, above=0, help="Adam's first learning rate, which falls to 0")
    features: int = parameter(4096, at_least=1, unit="numbers", help="to which a longer update is hashed")
    batches: int = parameter(
        4, later=True, at_least=1, unit="batches", help="made for each of its own pictures, where a batch has several"
    )

    def unsupported(self, public: Public) -> str | None:
        return too_few(public)

    def trial(self) -> tuple[Self, float]:
        """One epoch; the updates of the attacker's own pictures take as long as in the whole."""
        return dataclasses.replace(self, epochs=1), float(self.epochs)

    def attack_all(self, observations: Sequence[UpdateObservation]) -> list[Guess]:
        """The network is trained once for all updates of one global model."""
        guesses, first, inverse = list[Guess](), None, None
        for seen in observations:
            if first is None or inverse is None or not same_weights(first, seen):
                first, inverse = seen, learned(seen, self._recipe)
            guesses.append(_answer(seen, inverse))
        return guesses

    @property
    def _recipe(self) -> Recipe:
        return Recipe(
            features=self.features, hidden=self.hidden, epochs=self.epochs, rate=self.rate, batches=self.batches
        )


def _answer(seen: UpdateObservation, inverse: Inverse) -> Guess:
    of_each = " of each label" if seen.labels is not None and seen.public.pictures > 1 else ""
    nothing = f"it learned nothing: the answer is the mean picture{of_each}"
    return Guess(
        images=inverse.pictures(seen.update, seen.labels),
        labels=_label(seen),
        objective=inverse.held_out,
        evaluations=inverse.updates,
        facts={"held_out_error": inverse.held_out, "error_of_the_mean": inverse.untaught},
        notes=() if inverse.held_out < inverse.untaught else (nothing,),
    )


def _label(seen: UpdateObservation) -> Tensor | None:
    """The label that is known or read from the last layer, as searches read it; None where neither can be."""
    if seen.labels is not None:
        return seen.labels
    return guess_label(seen) if label_strategy("idlg", seen.public)[1] is None else None
