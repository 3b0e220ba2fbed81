"""What the server would see if these were the clients' pictures: the one door to a protocol, for games and attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor, nn

from invbench import registry
from invbench.defenses import Context, Defense, Stack, mean
from invbench.observation import Public, PublicDefense, Tensors, Update, UpdateObservation
from invbench.protocol import NO_DRAWS, Gradient, Multiple, UpdateProtocol
from invbench.protocol._gradient import gradient, mean_of_examples


def simulate(
    public: Public,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    gradient: Gradient = gradient,
    draws: Tensors = NO_DRAWS,
) -> Update:
    """The update of all clients together, before defences act on it: one tensor a parameter of `model`.

    `images`: normalised `(pictures, C, H, W)`, client by client; `labels`: `(pictures,)` int64, or probabilities
    `(pictures, classes)`. `gradient`: how a client computes the mean gradient of a batch (`defended_gradient`, where
    defences act on examples). Differentiable with respect to images and labels, and fit for `torch.func.vmap`.
    """
    return simulator(public, model, gradient=gradient, draws=draws)(images, labels)


def simulator(
    public: Public, model: nn.Module, *, gradient: Gradient = gradient, draws: Tensors = NO_DRAWS
) -> Callable[..., Update]:
    """`simulate` as a function of images and labels alone, for whoever calls it very often.

    Tensors given as a third argument, by name, stand in the place of buffers of the model (`updates/signals.py`); those
    of several clients are then computed as one batch, which is the same where their mean is one gradient. `factor`: a
    scalar on the clients' loss, beside the one that the protocol tells.
    """
    protocol = protocol_of(public)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers, step = dict(model.named_buffers()), protocol.step(gradient)

    def one(images: Tensor, labels: Tensor, known: Tensors = NO_DRAWS, factor: Tensor | None = None) -> Update:
        own = step if factor is None else _times(factor, step)
        return protocol.share(model, weights, {**buffers, **known}, images, labels, draws, own).update

    def averaged(images: Tensor, labels: Tensor, known: Tensors = NO_DRAWS, factor: Tensor | None = None) -> Update:
        if known:
            return one(images, labels, known, factor)
        clients = zip(images.chunk(public.clients), labels.chunk(public.clients), strict=True)
        return mean([one(*batch, factor=factor) for batch in clients])

    return one if public.clients == 1 else averaged  # a chunk is a view, through which slopes round otherwise


def _times(factor: Tensor, gradient: Gradient) -> Gradient:
    def scaled(network: nn.Module, weights: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Update:
        return tuple(factor * slope for slope in gradient(network, weights, buffers, images, labels))

    return scaled


def gradient_of(model: nn.Module) -> Callable[..., Update]:
    """The mean gradient at the model's weights, one step of any protocol, as a function of what `simulator`'s is."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def of_batch(images: Tensor, labels: Tensor, known: Tensors = NO_DRAWS, factor: Tensor | None = None) -> Update:
        step = gradient if factor is None else _times(factor, gradient)
        return step(model, weights, {**buffers, **known}, images, labels)

    return of_batch


def protocol_of(public: Public) -> UpdateProtocol:
    """The protocol by which the update was shared."""
    return _protocol(public.protocol, tuple(sorted(public.protocol_settings.items())))


def stack_of(public: Public) -> Stack:
    """The declared defences, as parts."""
    return Stack(tuple(defense.on(public.network) for defense in declared(public.defenses).defenses))


def declared(defenses: Sequence[PublicDefense]) -> Stack:
    """Defences that an attacker is told of, as parts."""
    return Stack(tuple(_defense(d.name, d.parameters) for d in defenses))


def defended_gradient(
    stack: Stack, context: Context, gradient: Gradient = gradient, *, at_once: bool = False
) -> Gradient:
    """The mean gradient of a batch behind the defences that act on its examples, which are computed one after the other
    or `at_once` (`per_example_gradients`)."""
    if not stack.acts("per_example"):
        return gradient
    return mean_of_examples(
        lambda gradients: mean(stack.at("per_example", gradients, context)), gradient, at_once=at_once
    )


def multiple_of(public: Public) -> Multiple:
    """What the update seen is, as a multiple of the mean gradient over the pictures of all clients.

    A mean over clients of equal batches is one gradient, unless each client's BatchNorm has statistics of its own.
    Where the factor on the clients' loss is hidden (`hidden_scale`), it is still on the update.
    """
    protocol = protocol_of(public)
    client = protocol.shared_as(public.batch_size)
    return replace(client, exact=client.exact and (public.clients == 1 or protocol.batch_norm == "eval"))


def not_one_gradient(public: Public) -> str | None:
    """Why the update is no multiple of one gradient, None where it is one."""
    if multiple_of(public).exact:
        return None
    none = f"what {public.protocol} shares is none, but searches take it"
    return f"needs an update that is an exact multiple of one gradient; {none}"


def hidden_scale(public: Public) -> str | None:
    """Why an attack that compares lengths cannot read the update, None where it can."""
    if protocol_of(public).loss == "known":
        return None
    return "needs the scale of the clients' loss, which the protocol hides; searches fit it (`scale: fitted`)"


def as_gradient(seen: UpdateObservation) -> Update:
    """The update seen, taken for the mean gradient that it is a multiple of, or about one."""
    factor = multiple_of(seen.public).factor
    return seen.update if factor == 1.0 else tuple(tensor / factor for tensor in seen.update)


@cache
def _protocol(name: str, settings: tuple[tuple[str, Any], ...]) -> UpdateProtocol:
    return registry.load("protocol", name).build(dict(settings), UpdateProtocol)


def _defense(name: str, parameters: Mapping[str, Any]) -> Defense:
    return registry.load("defense", name).build(dict(parameters), Defense)
