"""A gate behind which one picture of a class sends gradients: the one nearest below a threshold of one feature.

Fishing by class leaves the sum over a class's pictures. Here that class's row reads one unit of the last layer's input
alone, z -> sigmoid(a (z - t)), steep enough that the gradients of pictures whose z differ do so by factors: below t by
exp(a (z - z')), and far above t the sigmoid is exactly 1 in float32 and its gradient 0. The idea of a threshold on a
feature is Wen et al.'s (2022, arXiv 2202.00580); that it stands one layer below, so that mixed batches are told apart
in one round, is not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from invbench.crafting.fished import SURE
from invbench.observation import Tensors

STEEP = 40.0
"""The gate's slope a, in standard deviations of z: a tenth of one apart is a factor of 55."""
QUANTILE = 0.9
"""Where the threshold t stands among the attacker's own pictures of the class."""
WEIGHT = 1e4
"""The class's one weight: by it gradients below are far larger than the last layer's, which all pictures mix."""


@dataclass(frozen=True)
class Chain:
    """The names of the last layer and of the one before the sigmoid whose outputs it reads."""

    gate: str
    last: str


def gated_chain(network: nn.Module) -> Chain | None:
    """None where a network does not end in: a layer with bias, a sigmoid, a fully connected layer with bias."""
    if any(not isinstance(one, nn.Sequential) and next(one.children(), None) for one in network.modules()):
        return None
    row = [(name, one) for name, one in network.named_modules() if not isinstance(one, nn.Sequential)]
    row = [(name, one) for name, one in row if not isinstance(one, nn.Flatten | nn.Identity | nn.Dropout)]
    if len(row) < 3:
        return None
    (gate, layer), (_, active), (last, linear) = row[-3:]
    fits = isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(active, nn.Sigmoid) and isinstance(linear, nn.Linear)
    return Chain(gate, last) if fits and layer.bias is not None and linear.bias is not None else None


def gate_weights(weights: Tensors, network: nn.Module, chain: Chain, own: Tensor, label: int) -> dict[str, Tensor]:
    """The gate's and the last layer's weights, from the attacker's `own` normalised pictures of the class `(N, ...)`.

    The unit is the one whose z differs most over them; of a convolution the one at the middle, which sees most of a
    picture. ValueError where z is the same for all of them.
    """
    outputs, middle = _outputs(weights, network, chain.gate, own)
    values = outputs[:, :, middle].double()
    unit = int(values.std(dim=0).argmax())
    if not float(spread := values[:, unit].std()) > 0:
        raise ValueError(f"layer {chain.gate} answers the same to all {len(own)} pictures of class {label}")
    slope, threshold = STEEP / float(spread), float(values[:, unit].quantile(QUANTILE))
    weight, bias = weights[f"{chain.gate}.weight"].clone(), weights[f"{chain.gate}.bias"].clone()
    weight[unit], bias[unit] = slope * weight[unit], slope * (bias[unit] - threshold)
    last = weights[f"{chain.last}.weight"], weights[f"{chain.last}.bias"]
    rows, offsets = _classifier(*last, label, unit * outputs.shape[2] + middle)
    made = {chain.gate: (weight, bias), chain.last: (rows, offsets)}
    return {
        f"{name}.{part}": t for name, both in made.items() for part, t in zip(("weight", "bias"), both, strict=True)
    }


def relaxed(model: nn.Module, chain: Chain, label: int) -> nn.Module:
    """The crafted network with a gate `STEEP` times less steep: one standard deviation of z is one of the sigmoid's
    argument, so that a search is not stuck where the gradient vanishes."""
    found = copy.deepcopy(model)
    tensors = dict(found.named_parameters())
    weight, bias = (tensors[f"{chain.gate}.{part}"] for part in ("weight", "bias"))
    row = tensors[f"{chain.last}.weight"][label]
    unit = int(row.abs().argmax()) // (len(row) // len(weight))
    with torch.no_grad():
        weight[unit] /= STEEP
        bias[unit] /= STEEP
    return found


def of_one(model: nn.Module, gradient: Sequence[Tensor], chain: Chain) -> tuple[Tensor, ...]:
    """The gradient of the picture that the gate passed, as the relaxed network would have it, up to a factor.

    The gate's own rows are dL/dz times its inputs, steep or not; layers below have the slope as a factor, which is
    taken out. Of the last layer, which all pictures mix, nothing is told: 0, beside gradients of norm `WEIGHT`.
    """
    names = [name for name, _ in model.named_parameters()]
    found = []
    for name, tensor in zip(names, gradient, strict=True):
        owner = name.rpartition(".")[0]
        kept = 0.0 if owner == chain.last else 1.0 if owner == chain.gate else 1 / STEEP
        found.append(tensor * kept)
    largest = max(float(tensor.abs().max()) for tensor in found) or 1.0  # squares of tiny numbers would be 0
    found = [tensor / largest for tensor in found]
    norm = torch.stack([tensor.norm() for tensor in found]).norm().clamp(min=torch.finfo(torch.float32).tiny)
    return tuple(tensor * (WEIGHT / norm) for tensor in found)


def _classifier(weight: Tensor, bias: Tensor, label: int, place: int) -> tuple[Tensor, Tensor]:
    """The class's row reads one feature; its probability is exactly 0, as in `fishing_classifier`."""
    rows, offsets = torch.zeros_like(weight), torch.full_like(bias, SURE)
    rows[label, place], offsets[label] = WEIGHT, -SURE - WEIGHT
    return rows, offsets


def _outputs(weights: Tensors, network: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, int]:
    """What a layer answers to pictures, `(N, units, places)`, and the place in the middle."""
    seen: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        with torch.no_grad():
            functional_call(network, dict(weights), (images,))
    finally:
        hook.remove()
    (output,) = seen
    height, width = output.shape[2:] if output.dim() == 4 else (1, 1)
    return output.reshape(*output.shape[:2], -1), height // 2 * width + width // 2
