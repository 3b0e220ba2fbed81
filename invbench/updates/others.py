"""The sum of gradients behind an update, as an attacker expects it: mean and covariance, one picture known or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from invbench.observation import Public, Update, UpdateObservation
from invbench.protocol._precision import roundoff
from invbench.updates.arithmetic import sums
from invbench.updates.background import LEAST_PICTURES, Background, Covariance
from invbench.updates.pooling import stack_behind
from invbench.updates.simulation import multiple_of, not_one_gradient, protocol_of, stack_of
from invbench.updates.single import Layers, lengths_of, no_single_gradients, row_of, rows_of

MOST = 1 << 26
"""Numbers of the gradients of the attacker's own pictures: 512 MiB in float64, and three times that at once."""


def more_than_noise(public: Public, layers: Layers) -> str | None:
    """Which declared defence does something to an update that is neither added noise nor a scale, or None."""
    for named, defense in zip(public.defenses, stack_of(public).defenses, strict=True):
        stages = defense.stages()
        scales = defense.hides_scale and defense.smooth
        if "inputs" in stages or ("update" in stages and not scales and defense.noise_sent(public.batch_size) is None):
            return f"expects of a defence that it scales an update or adds noise, which {named.name} does not keep to"
        if layers == "last" and "update" in stages and scales:
            return f"layers: last does not tell how long an update is, by which {named.name} scales it"
    return None


def no_background(public: Public, layers: Layers) -> str | None:
    """Why the sum of a batch's gradients cannot be compared with what the attacker's own pictures lead to expect."""
    why = no_single_gradients(public, layers) or not_one_gradient(public) or more_than_noise(public, layers)
    if why is not None:
        return why
    count = 0 if public.reference is None else len(public.reference)
    if count < LEAST_PICTURES:
        needed = f"needs at least {LEAST_PICTURES} pictures of the attacker's own"
        return f"{needed}, not {count}" if count else f"{needed}: give the protocol `public: NUMBER`"
    if (numbers := count * sum(lengths_of(public, layers))) > MOST:
        fewer = "fewer of them, or `layers: last`"
        return f"{count} gradients of the attacker's own are {numbers:,} numbers; at most {MOST:,}: {fewer}"
    return None


@dataclass(frozen=True, eq=False)
class Others:
    """Of one global model: B independent pictures, of which the attacker has M others, and noise on their sum.

    `means` `(K, n)`: the mean gradient of each class, or one row for all. `counts` `(K,)`: the attacker's own pictures
    of each class. `noise` `(n,)`: variance on the sum. `scale`: of what defences leave of it. `pictures`: B.
    """

    background: Background
    means: Tensor
    counts: Tensor
    noise: Tensor
    scale: float
    pictures: int

    @classmethod
    def of(cls, seen: UpdateObservation, layers: Layers, *, by_label: bool) -> Others:
        """From the attacker's own pictures; `by_label`: mean and covariance given the label."""
        public = seen.public
        assert public.reference is not None
        labels = public.reference.labels.to(seen.device)
        gradients = torch.cat([rows.double() for rows in rows_of(seen, public.reference, layers)])
        counts, mean = torch.bincount(labels, minlength=public.classes), gradients.mean(dim=0)
        scale, declared = _declared(seen, gradients, layers)
        noise = (declared + _rounding(seen, gradients, layers)).clamp_min(torch.finfo(torch.float64).tiny)
        known: dict[str, Any] = {"counts": counts, "noise": noise, "scale": scale, "pictures": public.pictures}
        if by_label:
            of_class = gradients.new_zeros(public.classes, len(mean)).index_add_(0, labels, gradients)
            means = (of_class + mean) / (counts + 1)[:, None]  # with the mean of all as one more picture of each class
            return cls(Background.centred(gradients - means[labels]), means, **known)
        return cls(Background.centred(gradients - mean), mean[None], **known)

    @cached_property
    def without(self) -> Covariance:
        """Of the sum where one picture in it is known."""
        return self._of(self.pictures - 1)

    @cached_property
    def whole(self) -> Covariance:
        """Of the sum where none is."""
        return self._of(self.pictures)

    @cached_property
    def one(self) -> Covariance:
        """Of a single picture's gradient, with the noise."""
        return self.background.covariance(1.0, self.noise)

    def _of(self, pictures: int) -> Covariance:
        """The mean is off by 1 / M of the covariance, and counts `pictures` times."""
        return self.background.covariance(pictures * (1 + pictures / len(self.background.rows)), self.noise)

    def mean_of(self, labels: Tensor) -> Tensor:
        """The mean gradient of pictures with such labels, `(N, n)`, or `(1, n)` where it is one for all."""
        return self.means if len(self.means) == 1 else self.means[labels.to(self.means.device)]

    def mean_of_sum(self, labels: Tensor | None) -> Tensor:
        """What the sum is expected to be, `(n,)`; `labels` `(B,)` of its pictures, read where means are of classes."""
        if labels is None or len(self.means) == 1:
            return self.means[0] * self.pictures
        there = torch.bincount(labels.to(self.means.device), minlength=len(self.means))
        return there.to(self.means.dtype) @ self.means

    def log_odds(self, labels: Tensor, asked: Tensor) -> Tensor:
        """log(n_c / (B p_c)) of each label `(N,)` asked about, of which a batch with `labels` `(B,)` has n_c.

        p_c: how often the attacker's own pictures, and one more of each class, have it.
        """
        there = torch.bincount(labels.to(self.counts.device), minlength=len(self.counts)).double()
        usual = (self.counts + 1).double() / (self.counts + 1).sum()
        return (there / (self.pictures * usual)).log()[asked.to(self.counts.device)]


def _rounding(seen: UpdateObservation, gradients: Tensor, layers: Layers) -> Tensor:
    """Variance `(n,)` that rounding leaves on the sum: a share of the size of gradients `(M, n)`, tensor by tensor."""
    public = seen.public
    counted = sums(seen.model, torch.zeros(1, *public.image_shape, device=seen.device))[0]
    error = counted.relative_error(roundoff(protocol_of(public).precision))
    parts = torch.split(gradients.square().mean(dim=0), lengths_of(public, layers))
    return torch.cat([part.mean().expand(len(part)) for part in parts]) * (error**2 * public.pictures)


def _declared(seen: UpdateObservation, gradients: Tensor, layers: Layers) -> tuple[float, Tensor]:
    """By what defences multiply an update, as it is expected, and the variance `(n,)` of their noise on the sum S.

    What is sent is s f S / B with noise, f the protocol's own multiple: the noise counts B / (s f) times.
    """
    public, stack, scale = seen.public, stack_behind(seen), 1.0
    factor, still = multiple_of(public).factor, tuple(torch.zeros_like(tensor) for tensor in seen.update)
    if layers == "last":
        variance = row_of(stack.expected(still, still, seen.update)[1], seen, layers).double()
    else:
        rows = (factor * gradients.mean(dim=0), factor**2 * gradients.var(dim=0) / public.batch_size)
        mean, spread = (_tensors(row, seen.update) for row in rows)
        expected, total = (row_of(one, seen, layers).double() for one in stack.expected(mean, spread, seen.update))
        scale = float(expected @ rows[0] / rows[0].square().sum().clamp_min(torch.finfo(torch.float64).tiny))
        variance = (total - scale**2 * row_of(spread, seen, layers)).clamp_min(0)
    return scale, variance * (public.pictures**2 / public.clients / (scale * factor) ** 2)


def _tensors(row: Tensor, like: Update) -> Update:
    """A row `(n,)` as one tensor a parameter."""
    parts = torch.split(row, [tensor.numel() for tensor in like])
    return tuple(part.reshape(tensor.shape).to(tensor) for part, tensor in zip(parts, like, strict=True))
