"""Differentially private training: every example's gradient clipped, their sum noised (Abadi et al. 2016, 1607.00133).

Algorithm 1: an example is in a batch with probability q, independently (Poisson sampling); its gradient is clipped to
an L2 norm C over all parameters together; the sum gets N(0, (sigma C)^2) in every coordinate and is divided by q N, a
public number: how many examples were drawn is not. What the optimiser makes of the result costs no privacy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

HELD = 1 << 24
"""Numbers of per-example gradients held at a time: 64 MB in float32."""

Weights = Mapping[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Private:
    """What is made of a batch. `clip`: C. `noise`: sigma. `batch`: q N, examples in a batch on average.

    `seed`: of the noise, drawn in float32 by PyTorch's generator: good enough to measure with, not to release a model
    by (Mironov 2012, 10.1145/2382196.2382264).
    """

    clip: float
    noise: float
    batch: int
    seed: int

    def batches(self, pool: int, steps: int, generator: torch.Generator) -> list[Tensor]:
        """`steps` index vectors into `pool` examples, each example in each of them with probability `batch / pool`."""
        if self.batch > pool:
            raise ValueError(f"a batch of {self.batch} examples on average, but there are {pool}")
        drawn = (torch.rand(pool, generator=generator, dtype=torch.float64) for _ in range(steps))
        return [(one < self.batch / pool).nonzero()[:, 0] for one in drawn]

    def stream(self) -> torch.Generator:
        """Where the noise of one training is drawn."""
        return torch.Generator().manual_seed(self.seed)

    def noised(self, sums: Weights, stream: torch.Generator) -> dict[str, Tensor]:
        """(sum + N(0, (noise clip)^2)) / batch, by parameter. One CPU vector is drawn over all of them in order."""
        sizes = [total.numel() for total in sums.values()]
        drawn = self.noise * self.clip * torch.randn(sum(sizes), generator=stream)
        parts = zip(sums.items(), torch.split(drawn, sizes), strict=True)
        return {name: (total + part.reshape(total.shape).to(total)) / self.batch for (name, total), part in parts}

    def backward(self, network: nn.Module, loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
        """What sets every parameter's `.grad` to the noisy gradient of a batch and gives its mean loss.

        It takes inputs `(B, ...)` and labels `(B, ...)`, B 0 or more.
        """
        stream, parameters = self.stream(), dict(network.named_parameters())
        summed = clipped_sum(network, loss, self.clip, sum(p.numel() for p in parameters.values()))

        def of_batch(inputs: Tensor, labels: Tensor) -> Tensor:
            weights = {name: parameter.detach() for name, parameter in parameters.items()}
            sums, losses = summed(weights, inputs, labels, torch.ones(len(labels), device=inputs.device))
            for name, gradient in self.noised(sums, stream).items():
                parameters[name].grad = gradient
            return losses.sum() / max(1, len(losses))

        return of_batch


def clipped_sum(network: nn.Module, loss: Loss, clip: float, numbers: int) -> Callable[..., tuple[Any, Tensor]]:
    """What gives the sum of a batch's clipped gradients by parameter, and each example's loss `(B,)`.

    It takes weights by name, inputs, labels and `kept` `(B,)`: an example where that is 0 adds nothing. `numbers`: how
    many a gradient has, in all lanes together that are computed at a time.
    """

    def of_one(weights: Weights, one: Tensor, label: Tensor) -> Tensor:
        return loss(functional_call(network, dict(weights), (one[None],)), label[None])

    of_each = vmap(grad_and_value(of_one), in_dims=(None, 0, 0), randomness="different")
    some = max(1, HELD // numbers)

    def summed(weights: Weights, inputs: Tensor, labels: Tensor, kept: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        sums, losses = {name: torch.zeros_like(weight) for name, weight in weights.items()}, [kept[:0]]
        for start in range(0, len(kept), some):
            chosen = slice(start, start + some)
            with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no batching rule
                gradients, values = of_each(weights, inputs[chosen], labels[chosen])
            flat = {name: gradient.flatten(1) for name, gradient in gradients.items()}
            norms = torch.stack([one.square().sum(dim=1) for one in flat.values()]).sum(dim=0).sqrt()
            factors = kept[chosen] * (clip / norms).clamp_max(1)  # clip / 0 is infinite: a zero gradient stays
            sums = {name: total + (factors @ flat[name]).reshape(total.shape) for name, total in sums.items()}
            losses.append(values)
        return sums, torch.cat(losses)

    return summed
