"""The gradient of a batch, and those of its examples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from invbench.core.penalties import collecting, with_penalties
from invbench.observation import Tensors, Update
from invbench.protocol import Gradient


def gradient(network: nn.Module, parameters: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Update:
    """Gradient of the mean cross-entropy over a batch, one tensor a parameter, frozen ones included.

    What layers add to a loss (`core/penalties.py`) is part of it.

    The network's own weights and buffers are not read: `parameters` and `buffers` are, by the names that
    `named_parameters` and `named_buffers` give (a shared parameter once), whose order is the answer's.
    `images`: normalised `(B, C, H, W)`. `labels`: class indexes `(B,)` int64, or probabilities
    `(B, classes)`. The network's mode is the client's and must be `eval`: in `train` mode BatchNorm would
    change its buffers.

    Differentiable with respect to every tensor, and fit for `torch.func.vmap`. Under `torch.no_grad` the
    answer carries no graph. Fused attention has no second derivative: a caller that differentiates again
    selects the math kernel.
    """

    def loss(weights: dict[str, Tensor]) -> Tensor:
        with collecting() as penalties:
            scores: Tensor = functional_call(network, (weights, dict(buffers)), (images,))
        return with_penalties(cross_entropy(scores, labels), penalties)

    slopes = grad(loss)(dict(parameters))
    return tuple(slopes[name] for name, _ in network.named_parameters())


def per_example_gradients(
    network: nn.Module,
    parameters: Tensors,
    buffers: Tensors,
    images: Tensor,
    labels: Tensor,
    gradient: Gradient = gradient,
    *,
    at_once: bool = False,
) -> list[Update]:
    """Each example's own gradient, in the batch's order; their mean is `gradient`'s answer.

    One after the other, so that only one example's activations are in memory; or `at_once`, the same up to rounding and
    less than half the time for a small network, for whoever differentiates them and so holds all activations anyway:
    `gradient` must then be fit for `torch.func.vmap`.
    """
    if at_once:
        of_one = partial(gradient, network, parameters, buffers)
        stacked = vmap(lambda image, label: of_one(image.unsqueeze(0), label.unsqueeze(0)))(images, labels)
        return [tuple(tensor[k] for tensor in stacked) for k in range(len(images))]
    pairs = zip(images.unsqueeze(1), labels.unsqueeze(1), strict=True)
    return [gradient(network, parameters, buffers, image, label) for image, label in pairs]


def mean_of_examples(
    act: Callable[[list[Update]], Update], gradient: Gradient = gradient, *, at_once: bool = False
) -> Gradient:
    """A gradient computed example by example: `act` makes one update of theirs."""

    def whole(network: nn.Module, parameters: Tensors, buffers: Tensors, images: Tensor, labels: Tensor) -> Update:
        return act(per_example_gradients(network, parameters, buffers, images, labels, gradient, at_once=at_once))

    return whole
