"""A variational bottleneck as a layer: a code drawn around what an encoder says, and the loss that keeps it wide."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from invbench.core.penalties import penalise


class VariationalBottleneck(nn.Module):
    """z = mu(h) + sigma(h) * e, e standard normal; the output is a linear decoder of z (Alemi et al. 2017, 1612.00410).

    mu and, through a softplus, sigma are linear in the input h `(B, features)`; z has `size` entries. Beta times
    KL(N(mu, sigma^2) || N(0, 1)), in bits a picture, is added to the loss (`core/penalties.py`).
    In train mode e is drawn afresh from torch's global generator. Else it is the buffer `noise`, a row a picture, the
    first ones where there are more; empty as the layer is made: e is 0, its mean.

    Whoever simulates a client need not know e. The encoder's gradients tell the error signals of what it says
    (`updates/signals.py`), each divided by the number of pictures as in a mean; put into the buffer `signal`
    `(pictures, 2 size)` they stand in for all that is above. The encoder and the layers below then have their
    gradients, decoder and what follows have those of e = 0.
    """

    noise: Tensor
    signal: Tensor

    def __init__(self, features: int, size: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.encoder = nn.Linear(features, 2 * size)
        self.decoder = nn.Linear(size, features)
        self.register_buffer("noise", torch.zeros(0, size), persistent=False)
        self.register_buffer("signal", torch.zeros(0, 2 * size), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        said = self.encoder(inputs)
        mean, spread = said.chunk(2, dim=-1)
        if len(self.signal):
            penalise((self.signal * said).sum())
            return self._decoded(mean.detach())
        deviation = softplus(spread)
        noise = torch.randn_like(mean) if self.training else self.noise[: len(mean)]
        code = mean + deviation * noise if len(noise) else mean
        nats = 0.5 * (mean.square() + deviation.square() - 2 * deviation.log() - 1).sum(dim=-1).mean()
        penalise(self.beta / math.log(2) * nats)
        return self._decoded(code)

    def _decoded(self, code: Tensor) -> Tensor:
        output: Tensor = self.decoder(code)
        return output

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}"
