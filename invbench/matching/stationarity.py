"""The stationarity that training leaves in weights, of a ReLU network with one hidden layer (Haim et al. 2022).

A homogeneous network that gradient descent takes far beyond zero error converges in direction to a stationary point of
the margin problem (Lyu and Li 2020, arXiv 1906.05890; Ji and Telgarsky 2020, arXiv 2006.06657):

    theta = sum over i of lambda_i y_i grad f(theta; x_i),   lambda_i >= 0,                        (equation 5)

with y_i = -1 or 1 and lambda_i > 0 for pictures on the margin alone. So the weights are a sum of what single training
pictures leave, and pictures can be searched for that leave the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class OneHidden:
    """f(x) = out . relu(weight x + bias) + offset. `weight` (h, d), `bias` (h,), `out` (h,), `offset` ().

    What a network lacks is None.
    """

    weight: Tensor
    bias: Tensor | None
    out: Tensor
    offset: Tensor | None

    def reach(self) -> Tensor:
        """Length of each neuron's incoming weights, (h,); 1 for a neuron that has none."""
        length = self.weight.norm(dim=1)
        return torch.where(length > 0, length, 1.0)

    def gradients(self, pictures: Tensor, multipliers: Tensor, sharpness: Tensor | None = None) -> Tensor:
        """Sum over i of multiplier_i grad f(theta; x_i), a row a neuron, `(lanes, h, d + 2)`, the offset's left out.

        `pictures` (lanes, m, d), `multipliers` (lanes, m). A row is (incoming weights, bias, outgoing weight). With
        `sharpness` (lanes,) the step in ReLU's derivative is sigmoid(sharpness z / |w|), so that a picture on the wrong
        side of a neuron's plane feels where the plane is.
        """
        before = pictures @ self.weight.T
        if self.bias is not None:
            before = before + self.bias
        if sharpness is None:
            gates = (before > 0).to(before.dtype)
        else:
            gates = torch.sigmoid(before * (sharpness[:, None, None] / self.reach()))
        back = (multipliers[..., None] * gates * self.out).mT  # (lanes, h, m)
        rows = [back @ pictures]
        if self.bias is not None:
            rows.append(back.sum(dim=2, keepdim=True))
        rows.append((multipliers[:, None] @ before.relu()).mT)
        return torch.cat(rows, dim=2)

    def rows(self) -> Tensor:
        """The weights themselves in the same order, (h, d + 2)."""
        columns = [self.weight, *([] if self.bias is None else [self.bias[:, None]]), self.out[:, None]]
        return torch.cat(columns, dim=1)


def one_hidden(network: nn.Module) -> OneHidden | str:
    """The network in this form, detached; in words why it has none."""
    layers = [layer for layer in network.modules() if not list(layer.children()) and not isinstance(layer, nn.Flatten)]
    kinds = [type(layer) for layer in layers]
    if kinds != [nn.Linear, nn.ReLU, nn.Linear]:
        found = ", ".join(kind.__name__ for kind in kinds[:6]) + (", ..." if len(kinds) > 6 else "")
        return f"needs one hidden layer of ReLU units (`mlp` with depth 1); these layers are {found}"
    first, last = layers[0], layers[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    if last.out_features != 1:
        return f"needs one output; the network has {last.out_features}"
    bias, offset = (None if one.bias is None else one.bias.detach() for one in (first, last))
    return OneHidden(first.weight.detach(), bias, last.weight.detach()[0], None if offset is None else offset[0])


def residuals(network: OneHidden, pictures: Tensor, multipliers: Tensor, sharpness: Tensor, power: float) -> Tensor:
    """Squared distance of the weights from the sum of gradients, (lanes,): 1 where the sum is zero.

    Each neuron's residual is multiplied by |w|^-power: at 0 a few large neurons decide, at 1 all count alike. The
    offset is one equation among thousands and is left out.
    """
    target, scale = network.rows(), network.reach().pow(-power)[:, None]
    missed = (network.gradients(pictures, multipliers, sharpness) - target) * scale
    return missed.square().sum(dim=(1, 2)) / (target * scale).square().sum()
