"""One update behind plain noise as a problem of many lanes in whitened pixels; see `posterior.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.defenses import Context
from invbench.labels import label_strategy, labels_for
from invbench.matching.prior import Prior
from invbench.matching.problem import Problem
from invbench.matching.programs import Programs
from invbench.observation import Guess, Public, Update, UpdateObservation
from invbench.updates.likelihood import noise
from invbench.updates.noisy import Noisy, noisy
from invbench.updates.simulation import defended_gradient, multiple_of, protocol_of, simulator, stack_of

HELD_OUT = 0.2
"""Share of the update's entries by which priors are compared."""
_EDGE = 0.1
"""Standard deviation w, of normalised pixels, by which a search may leave the range of pictures: a box has no slope."""
_START = 0.1
"""Standard deviations of the prior from its mean at which a search starts: nearly grey, and on no symmetric point."""
_SURE = 4.0
"""Logit of a label that another search found, where labels are sought: probability 0.86 of ten classes."""

Sent = Callable[[Tensor, Tensor], Update]


def plain_noise(public: Public) -> Noisy | None:
    """The noise on what the one client sends, where nothing was done to it afterwards; None elsewhere.

    None, too, where a defence acts on the network itself, or a client draws: then what is sent is no function of
    pictures alone.
    """
    stack, batch = stack_of(public), public.batch_size
    if public.clients > 1 or stack.acts("model") or protocol_of(public).draw(batch, torch.Generator().manual_seed(0)):
        return None
    found = noisy(stack, [defense.name for defense in public.defenses], batch, multiple_of(public))
    return found if isinstance(found, Noisy) and not found.after else None


@dataclass(frozen=True, eq=False)
class Lane:
    """One observation: its labels (None: sought), the inverse variances of its entries, which of them are held out.

    `start` `(D,)`: z of all pictures, then logits where labels are sought.
    """

    seen: UpdateObservation
    labels: Tensor | None
    weights: Update
    held: Update
    start: Tensor

    @classmethod
    def of(cls, seen: UpdateObservation) -> Lane:
        """What is held out, and the start, are the first draws of the observation's stream."""
        strategy, reason = label_strategy("known", seen.public)
        labels = labels_for(strategy, seen) if reason is None else None
        weights = tuple((1 / variance).float().to(seen.device) for variance in noise(seen)[0])  # of infinite ones 0
        drawn = (torch.rand(tensor.shape, generator=seen.generator) < HELD_OUT for tensor in seen.update)
        held = tuple(mask.float().to(seen.device) for mask in drawn)
        logits = 0 if labels is not None else seen.public.pictures * seen.public.classes
        start = _START * torch.randn(_pixels(seen.public) + logits, generator=seen.generator)
        return cls(seen, labels, weights, held, start.to(seen.device))

    def known(self) -> Tensor:
        """Labels, or zeros where they are sought: there no prior has means that differ by label."""
        return self.labels if self.labels is not None else torch.zeros(self.seen.public.pictures, dtype=torch.int64)

    def variables(self, prior: Prior, guess: Guess) -> Tensor:
        """`(D,)` of a guess."""
        mean, std = self.seen.channel_constants()
        images = (guess.images.to(self.seen.device) - mean) / std
        found = prior.whitened(images, self.known()).flatten().float().to(self.seen.device)
        if self.labels is not None or guess.labels is None:
            return found
        one_hot = nn.functional.one_hot(guess.labels.to(self.seen.device), self.seen.public.classes)
        return torch.cat([found, _SURE * one_hot.flatten().float()])

    def pictures(self, prior: Prior, variables: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pictures, and labels or their probabilities, of variables `(D,)`."""
        return _pictures(
            self.seen.public, prior, prior.centre(self.known().cpu()).to(variables), self.labels, variables
        )


def problem_of(prior: Prior, lanes: Sequence[Lane], planned: int, *, held: bool) -> Problem:
    """Minus the log posterior of each lane, of what is not held out where `held`, in its variables."""
    first = lanes[0]
    public, count, device = first.seen.public, len(first.seen.update), first.seen.device
    sent, fixed = _sent(public, first.seen.model), first.labels is not None
    mean, std = first.seen.channel_constants()
    low, high, pixels = -mean / std, (1 - mean) / std, _pixels(public)

    def lane(variables: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        labels, (centre, *tensors) = (given[0], given[1:]) if fixed else (None, given)
        images, classes = _pictures(public, prior, centre, labels, variables)
        terms = zip(sent(images, classes), tensors[:count], tensors[count:], strict=True)
        squares = torch.stack([(weight * (a - b).square()).sum() for a, b, weight in terms]).sum()
        outside = ((images - images.clamp(low, high)) / _EDGE).square().sum()
        value = (squares + variables[:pixels].square().sum() + outside) / 2
        return value, value

    def batched(variables: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        slopes, (totals, objectives) = vmap(grad_and_value(lane, has_aux=True))(variables, *given)
        return slopes, totals, objectives

    weights = [[w * (1 - m) if held else w for w, m in zip(one.weights, one.held, strict=True)] for one in lanes]
    free = torch.full_like(first.start, torch.inf)
    return Problem(
        image_shape=(public.pictures, *public.image_shape),
        classes=public.classes,
        seen=(
            torch.stack([prior.centre(one.known().cpu()).float().to(device) for one in lanes]),
            *(torch.stack(list(tensors)) for tensors in zip(*(one.seen.update for one in lanes), strict=True)),
            *(torch.stack(list(tensors)) for tensors in zip(*weights, strict=True)),
        ),
        labels=torch.stack([one.known() for one in lanes]).to(device) if fixed else None,
        lower=-free,
        upper=free,
        programs=Programs(batched, planned),
    )


def missed(prior: Prior, lane: Lane, variables: Tensor) -> float:
    """The weighted squares of the entries held out; infinite where the pictures give no number."""
    sent = _sent(lane.seen.public, lane.seen.model)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        update = sent(*lane.pictures(prior, variables))
    terms = zip(update, lane.seen.update, lane.weights, lane.held, strict=True)
    squares = sum(float((weight * mask * (a - b).square()).double().sum()) for a, b, weight, mask in terms)
    return squares if squares == squares else float("inf")


def _pixels(public: Public) -> int:
    return public.pictures * torch.Size(public.image_shape).numel()


def _pictures(
    public: Public, prior: Prior, centre: Tensor, labels: Tensor | None, variables: Tensor
) -> tuple[Tensor, Tensor]:
    pixels = _pixels(public)
    images = centre + prior.deviations(variables[:pixels].reshape(public.pictures, -1))
    if labels is not None:
        return images, labels
    return images, variables[pixels:].reshape(public.pictures, -1).softmax(dim=1)


def _sent(public: Public, network: nn.Module) -> Sent:
    """What the client sends of pictures before its noise."""
    found = plain_noise(public)
    assert found is not None
    context = Context(torch.Generator().manual_seed(0))  # from which smooth steps draw nothing
    share = simulator(public, network, gradient=defended_gradient(found.steps, context, at_once=True))

    def sent(images: Tensor, labels: Tensor) -> Update:
        return found.steps.at("update", share(*found.steps.at("inputs", (images, labels), context)), context)

    return sent
