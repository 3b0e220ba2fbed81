"""R-GAP as published (Zhu and Blaschko 2021, arXiv 2010.07733), beside `peel`, which is what it became here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invbench.attacks import UpdateAttack
from invbench.defenses import Stage
from invbench.observation import DIVERGED, Failed, Guess, Public, UpdateObservation
from invbench.peeling.chain import NotAChain, has_weights, with_weights
from invbench.peeling.logit import logits
from invbench.peeling.reading import LARGEST
from invbench.peeling.recursive import descend, padded_size, read_body
from invbench.registry import attack
from invbench.updates.simulation import multiple_of, not_one_gradient, stack_of

_OF_UPDATES: tuple[Stage, ...] = ("inputs", "per_example", "update", "aggregate")
_TWO = "two logits have this gradient: the same picture at {:.3g} times its contrast has the same update"


@attack(game="update", closed_form="plain")
@dataclass(frozen=True, kw_only=True)
class RGap(UpdateAttack):
    """The picture of a batch of one, layer by layer from the logit down, each by plain least squares.

    Networks of one logit under the logistic loss, without biases, with LeakyReLUs (`cnn6`): others are for `peel`. A
    label that is not granted is the one whose gradient fits at the first layer below the last.

    Where the loss falls the closer a picture is to its label, two logits have one gradient. The authors reverse labels
    to be rid of it; here both are known, and the answer is the picture whose values have a mean square nearer 1, which
    normalised pictures have on average. The other is the same picture at another contrast (`peeling/logit.py`): no
    residual tells them apart.

    The rank analysis is in the record, a line a layer, the last layer's first (`peeling/recursive.py`).
    """

    def unsupported(self, public: Public) -> str | None:
        if (several := public.not_one_picture()) is not None:
            return f"{several}: of a batch it would read a mixture of the pictures"
        if any(stack_of(public).acts(stage) for stage in _OF_UPDATES):
            return "reads the gradient as it is, and declared defences change it"
        if (reason := not_one_gradient(public)) is not None:
            return reason
        try:
            chain = read_body(public.network, public.image_shape)
        except NotAChain as reason:
            return str(reason)
        largest = max(padded_size(link) for link in chain if has_weights(link))
        return None if largest <= LARGEST else f"solves for at most {LARGEST} values a layer, not {largest}"

    def __call__(self, seen: UpdateObservation) -> Guess:
        if not seen.is_finite:
            raise Failed(DIVERGED)
        if not any(bool(tensor.any()) for tensor in seen.update):
            raise Failed("the update is zero and tells nothing")
        chain = with_weights(read_body(seen.public.network, seen.public.image_shape), seen.model)
        names, factor = [name for name, _ in seen.model.named_parameters()], multiple_of(seen.public).factor
        update = {name: tensor.cpu().double() / factor for name, tensor in zip(names, seen.update, strict=True)}
        last = chain[-1].layer
        assert isinstance(last, nn.Linear)
        found = logits(last.weight.detach(), update[f"{chain[-1].name}.weight"])
        try:
            reached = descend(chain, update, found[0], [0, 1] if seen.labels is None else seen.labels.tolist())
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # it is there, and not in its stubs
            raise Failed(f"a layer's equations have no finite solution: {error}") from error
        contrasts = sorted((logit / found[0] if logit else 1.0 for logit in found), key=_distance_of(reached.value))
        image = (contrasts[0] * reached.value)[None].float()
        if not bool(image.isfinite().all()):
            raise Failed("a layer's equations have no finite solution")
        return Guess(
            images=seen.to_unit_range(image.to(seen.device)),
            labels=torch.tensor([reached.label], device=seen.device),
            evaluations=1,
            notes=tuple(_TWO.format(other / contrasts[0]) for other in contrasts[1:]),
            facts={
                "logits": [logit if reached.label else -logit for logit in found],
                "layers": [dataclasses.asdict(layer) for layer in reached.layers],
            },
        )


def _distance_of(picture: Tensor) -> Callable[[float], float]:
    """How far the mean square of a normalised picture at a contrast is from 1, as a ratio."""
    power = max(float(picture.square().mean()), 1e-300)
    return lambda contrast: abs(2 * math.log(contrast) + math.log(power))
