"""What a protocol grants of BatchNorm's statistics, read as those of a batch.

Three grants (Huang et al. 2021, arXiv 2112.00059, section 3: without batch statistics, inferred, exact):

- `before`: the running statistics of the global model, which say nothing of the batch and stand in for its own;
- `after`: the buffers that a client in train mode leaves as well, from which one step's batch statistics follow;
- `given`: the batch's own mean and biased variance of each layer's input, outright.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from invbench.observation import BatchStatistics, Public, Tensors, UpdateObservation
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import buffers_of, key, layers_of, running, values_of


def known_statistics(seen: UpdateObservation) -> Mapping[str, BatchStatistics]:
    """Mean and variance of every BatchNorm layer's input, by its name, as far as the protocol tells; see above.

    Those of a batch have the biased variance. Empty where the network has no BatchNorm that remembers.
    """
    if seen.statistics is not None:
        return seen.statistics
    before = seen.buffers_before or buffers_of(seen.model)
    if seen.buffers_after is None:
        return running(before)
    public = seen.public
    return recovered(public.network, public.image_shape, public.batch_size, before, seen.buffers_after)


def recovered(
    network: nn.Module, image_shape: tuple[int, int, int], batch_size: int, before: Tensors, after: Tensors
) -> dict[str, BatchStatistics]:
    """The statistics of the one batch that moved BatchNorm's buffers from `before` to `after`, in float64.

    With r the running mean or variance, and a the momentum (None: one over the number of batches, this one included),
    the batch's is (r' - (1 - a) r) / a. Of the variance that is the unbiased one; times (n - 1) / n, with n the values
    of a channel, it is what the batch was normalised by. Float32 buffers leave an error of 2^-24 (|r'| + |r|) / a.

    `network`: on the meta device. ValueError where a layer's buffers moved more than once, or not at all.
    """
    counts, first, last, found = values_of(network, image_shape, batch_size), running(before), running(after), {}
    for name, layer in layers_of(network).items():
        if name not in first:
            continue
        if (why := _moved_otherwise(name, layer, counts[name])) is not None:
            raise ValueError(why)
        number = float(after[key(name, "num_batches_tracked")])
        share, [values] = 1 / number if layer.momentum is None else layer.momentum, counts[name]
        mean, unbiased = (
            (new.double() - (1 - share) * old.double()) / share
            for new, old in ((last[name].mean, first[name].mean), (last[name].variance, first[name].variance))
        )
        found[name] = BatchStatistics(mean, (unbiased * (values - 1) / values).clamp(min=0))
    return found


def why_not_granted(
    protocol: UpdateProtocol, network: nn.Module, image_shape: tuple[int, int, int], batch_size: int
) -> str | None:
    """Why such a client's buffers, or its batch's statistics, cannot be granted as the protocol says; None where they
    can. `network`: as the server made it, on the meta device."""
    if (grant := protocol.batch_statistics) == "before":
        return None
    said, layers = f"batch_statistics: {grant}", layers_of(network)
    if not running(buffers_of(network)):
        return f"{said}: the network has no BatchNorm layer that keeps running statistics"
    if protocol.clients > 1 or protocol.rounds > 1:
        several = "clients" if protocol.clients > 1 else "rounds"
        return f"{said}: of one client's one round; here there are several {several}"
    if not protocol.multiple(batch_size).exact:
        return (
            f"{said}: of a client that takes one step of its whole batch; several steps mix their batches' statistics"
        )
    if grant == "given":
        return None
    if protocol.batch_norm == "eval":
        return f"{said}: in evaluation mode a client's buffers stay as they were; `batch_norm: train` moves them"
    counts = values_of(network, image_shape, batch_size)
    reasons = (_moved_otherwise(name, layer, counts[name]) for name, layer in layers.items())
    return next((f"{said}: {why}" for why in reasons if why is not None), None)


def why_no_statistics(public: Public) -> str | None:
    """Why an attack finds no statistics of BatchNorm to hold its pictures against; None where there are some."""
    return None if layers_of(public.network) else f"{public.model} has no BatchNorm"


def _moved_otherwise(name: str, layer: nn.Module, counts: list[int]) -> str | None:
    """Why one step does not move a layer's buffers by the statistics of one batch; None where it does."""
    if len(counts) != 1:
        return f"layer {name} runs {len(counts)} times a step, and its buffers mix what it saw"
    return f"layer {name} has momentum 0: its buffers never move" if layer.momentum == 0 else None
