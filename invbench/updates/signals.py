"""What an update tells of the draws inside a network: the error signal of a fully connected layer's outputs.

Of N pictures with inputs h_i of the layer and error signals s_i = dL/d(W h_i + b) the gradient of the weight is the sum
of s_i h_i', that of the bias the sum of s_i. Of one picture the bias's gradient is its signal (Balunovic et al. 2022,
arXiv 2111.04706). Of several, whoever guesses the pictures knows their h_i, and the signals are those that explain both
gradients best: S = argmin |A' S - G'|^2, A `(N, F + 1)` the inputs with a 1 behind each, G `(outputs, F + 1)` the
gradients of weight and bias side by side. So no draw is sought (variable projection, Golub and Pereyra 1973): wrong
pictures leave a part of G that is in the span of their inputs no more, and the layers below gradients not those seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from invbench.observation import Public, Tensors, Update
from invbench.updates.simulation import hidden_scale, multiple_of, stack_of

Known = Callable[[Update, Tensor], tuple[Tensors, ...]]
"""Of a gradient, and of normalised pictures that may be behind it, `(N, C, H, W)`: buffers that stand in for draws, by
name, as the third argument of `simulator`'s function; nothing where an update tells of none."""

OF_BATCHES = "precode"
"""The defence whose signals are told of several pictures, too: attacks that simulate its clients are versions later."""

RIDGE = 1e-5
"""Of A's norm: its square is added to the squares of A's singular values. Pictures that a search has led close to each
other have no signals of their own, and no slope of theirs may be infinite. Eight digits before a sigmoid LeNet have
singular values down to 0.008 of the norm; there it changes a signal by less than float32 does."""


def signals(public: Public, model: nn.Module) -> Known:
    """The buffers that an exact gradient tells, see `Defense.told`."""
    exact = multiple_of(public).exact and hidden_scale(public) is None
    layers = stack_of(public).told(model) if exact else {}
    if not layers or public.pictures > min(_inputs(model, name) for name in layers.values()):
        return lambda gradient, images: ()
    names = [name for name, _ in model.named_parameters()]
    places = {name: (names.index(f"{name}.weight"), names.index(f"{name}.bias")) for name in layers.values()}
    if public.pictures == 1:
        return lambda gradient, images: (
            {buffer: gradient[places[name][1]].reshape(1, -1) for buffer, name in layers.items()},
        )
    inputs = _reader_of_inputs(model, list(places))

    def known(gradient: Update, images: Tensor) -> tuple[Tensors, ...]:
        read = inputs(images)
        found = {name: _signals(read[name], *(gradient[place] for place in places[name])) for name in places}
        return ({buffer: found[name] for buffer, name in layers.items()},)

    return known


def _signals(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """S `(N, outputs)` of inputs `(N, F)` and the gradients `(outputs, F)` and `(outputs,)`."""
    rows = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1).double()
    seen = torch.cat([weight, bias[:, None]], dim=1).double()
    floor = RIDGE * rows.detach().norm() * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    q, r = torch.linalg.qr(torch.cat([rows.T, floor]))  # better than normal equations, which square A's condition
    found: Tensor = torch.linalg.solve_triangular(r, q[: rows.shape[1]].T @ seen.T, upper=True)
    return found.to(inputs.dtype)


def _reader_of_inputs(model: nn.Module, layers: Sequence[str]) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """What goes into these layers, `(N, F)` each by name, of pictures; differentiable, and fit for `vmap`."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def read(images: Tensor) -> Mapping[str, Tensor]:
        caught: dict[str, Tensor] = {}

        def catch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda layer, given: caught.update({name: given[0].reshape(len(images), -1)})

        handles = [model.get_submodule(name).register_forward_pre_hook(catch(name)) for name in layers]
        try:
            functional_call(model, (weights, buffers), (images,))
        finally:
            for handle in handles:
                handle.remove()
        return caught

    return read


def _inputs(model: nn.Module, layer: str) -> int:
    found = model.get_submodule(layer)
    assert isinstance(found, nn.Linear)
    return found.in_features
