"""What one observation gives to peel: the victim as a chain with weights, the update and its variances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from invbench.observation import Public, UpdateObservation
from invbench.peeling.chain import Link, NotAChain, has_weights, read_chain, with_weights
from invbench.updates.equations import independent_equations
from invbench.updates.likelihood import noise, widened
from invbench.updates.pooling import stack_behind
from invbench.updates.simulation import hidden_scale, multiple_of, not_one_gradient

LARGEST = 8192
"""Most unknowns of one layer: its normal matrix then takes 512 MB."""


@dataclass(frozen=True, eq=False)
class Reading:
    """`update` and `variances` by parameter name, float64 on the CPU, without the factor that is known to be on them.

    An entry that was not shared has infinite variance. `scaled`: a hidden factor may still be on the update.
    `widened`: how many times larger variances may be on another processor. `equations`: how many are independent.
    """

    chain: tuple[Link, ...]
    update: Mapping[str, Tensor]
    variances: Mapping[str, Tensor]
    scaled: bool
    widened: float
    equations: int


def why_not(public: Public) -> str | None:
    """Why a victim's update cannot be read layer by layer, or None."""
    if (several := public.not_one_picture()) is not None:
        return f"{several}: pictures of a batch share every equation"
    if (reason := not_one_gradient(public) or hidden_scale(public)) is not None:
        return reason
    if any(defense.name == "sign" for defense in public.defenses):
        return "needs the values of an update, and only signs are shared"
    try:
        chain = read_chain(public.network, public.image_shape)
    except NotAChain as reason:
        return str(reason)
    largest = max(math.prod(link.before) for link in chain if has_weights(link))
    return None if largest <= LARGEST else f"solves for at most {LARGEST} values a layer, not {largest}"


def read(seen: UpdateObservation) -> Reading:
    """The update, its variances and the chain with its weights, of an update that can be read; see `why_not`."""
    variance, factor = noise(seen)
    factor *= multiple_of(seen.public).factor
    names = [name for name, _ in seen.model.named_parameters()]
    update = (tensor.cpu().double() / factor for tensor in seen.update)
    variances = {name: tensor.cpu() / factor**2 for name, tensor in zip(names, variance, strict=True)}
    shared = {name: torch.isfinite(tensor) for name, tensor in variances.items()}
    public = seen.public
    return Reading(
        with_weights(read_chain(public.network, public.image_shape), seen.model),
        dict(zip(names, update, strict=True)),
        variances,
        stack_behind(seen).hides_scale,
        widened(seen),
        independent_equations(public.network, public.image_shape, public.pictures, shared),
    )
