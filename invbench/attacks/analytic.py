"""The exact input of a first fully connected layer with bias.

Phong et al. 2017 (IEEE TIFS 13(5), "Privacy-Preserving Deep Learning via Additively Homomorphic
Encryption", section 3); Geiping et al. 2020 (arXiv 2003.14053), proposition 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from invbench.attacks import UpdateAttack
from invbench.labels import LEFT_OUT, guess_label
from invbench.observation import Failed, Guess, Public, UpdateObservation
from invbench.registry import attack
from invbench.updates.simulation import not_one_gradient, stack_of


@attack(game="update", closed_form="plain", versions_with=LEFT_OUT)
@dataclass(frozen=True, kw_only=True)
class Analytic(UpdateAttack):
    """The first layer's exact input: `x = (dL/dW)_i / (dL/db)_i` for any unit i with `(dL/db)_i != 0`.

    For z = W x + b, dL/dW_i = dL/dz_i x and dL/db_i = dL/dz_i. At batch 1 one active unit is enough. Where a declared
    defence leaves entries out, each pixel is read from the units that sent both numbers; one of which none did stays at
    the mean, 0.
    """

    def unsupported(self, public: Public) -> str | None:
        first = public.first_layer()
        if not isinstance(first, nn.Linear) or first.bias is None:
            found = "a Linear without bias" if isinstance(first, nn.Linear) else f"a {type(first).__name__}"
            return f"needs a first fully connected layer with bias; {public.model} starts with {found}"
        if (several := public.not_one_picture()) is not None:
            return f"{several}: a sum over pictures does not divide out"
        return not_one_gradient(public)

    def __call__(self, seen: UpdateObservation) -> Guess:
        weight, bias = seen.update[0].double(), seen.update[1].double()  # (units, C*H*W), (units,)
        unit = int(bias.abs().argmax())  # the largest divisor loses the fewest digits
        if bias[unit] == 0:
            raise Failed("dL/db of the first layer is zero: no unit was active")
        if stack_of(seen.public).leaves_out:
            known = (weight != 0) * bias.square()[:, None]  # least squares over the units, each weighted by its divisor
            pixels = bias @ weight / known.sum(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
        else:
            pixels = weight[unit] / bias[unit]
        image = pixels.reshape(1, *seen.public.image_shape)
        labels = seen.labels if seen.labels is not None else guess_label(seen)
        return Guess(images=seen.to_unit_range(image.nan_to_num()).float(), labels=labels, evaluations=1)
