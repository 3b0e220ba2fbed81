"""BatchNorm's statistics of a batch from the buffers that a client leaves, against PyTorch's own layers."""

from __future__ import annotations

import copy

import pytest
import torch
from made_updates import normalised, photographs
from torch import Tensor, nn

from invbench.models.resnet20 import ResNet20
from invbench.protocol import UpdateProtocol
from invbench.protocol._batch_norm import (
    buffers_after,
    buffers_of,
    bytes_shown,
    layers_of,
    numbers_shown,
    running,
    statistics_of,
    use_batch_statistics,
    values_of,
)
from invbench.protocol.fedavg import FedAvg
from invbench.protocol.fedsgd import FedSGD
from invbench.updates.statistics import recovered, why_not_granted

BATCH, SHAPE = 4, (3, 16, 16)


def resnet20(momentum: float | None = 0.1) -> nn.Module:
    """One that has seen a few batches: its buffers are none that it started with."""
    torch.manual_seed(0)
    network = ResNet20().build(SHAPE, 10)
    for layer in layers_of(network).values():
        layer.momentum = momentum
    images, _ = photographs(12)
    with torch.no_grad():
        for some in normalised(images[BATCH:]).split(BATCH):
            network.train()(some)
    return network.eval()


def batch() -> Tensor:
    return normalised(photographs(BATCH)[0])


def true_statistics(network: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and biased variance of what each layer is given while the network trains on these pictures, in float64."""
    own, found = copy.deepcopy(network).train(), {}
    for name, layer in own.named_modules():
        if isinstance(layer, nn.BatchNorm2d):

            def look(_: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                values = given[0].double()
                found[name] = values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), unbiased=False)

            layer.register_forward_pre_hook(look)
    with torch.no_grad():
        own(images)
    return found


@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
def test_every_layer_s_statistics_follow_from_the_buffers_a_client_leaves(momentum: float | None) -> None:
    """To 1e-4, at 64 values a channel in the deepest layers, where n / (n - 1) is 1.6 %."""
    network = resnet20(momentum)
    before, true = buffers_of(network), true_statistics(network, batch())
    after = buffers_after(use_batch_statistics(copy.deepcopy(network)), before, batch())
    meta = copy.deepcopy(network).to("meta")
    found = recovered(meta, SHAPE, BATCH, before, after)
    assert list(found) == list(true) == [name for name, one in network.named_modules() if type(one) is nn.BatchNorm2d]
    assert min(counts[0] for counts in values_of(meta, SHAPE, BATCH).values()) == 64
    for name, (mean, variance) in true.items():
        torch.testing.assert_close(found[name].mean, mean, rtol=1e-4, atol=1e-4 * float(variance.max().sqrt()))
        torch.testing.assert_close(found[name].variance, variance, rtol=1e-4, atol=1e-4 * float(variance.max()))
    deepest = list(true)[-1]
    unbiased = found[deepest].variance * 64 / 63
    assert ((unbiased - true[deepest][1]).abs() > 1e-2 * true[deepest][1]).all()


def test_what_is_given_outright_is_what_follows_from_the_buffers() -> None:
    network = resnet20()
    before, own = buffers_of(network), use_batch_statistics(copy.deepcopy(network))
    meta = copy.deepcopy(network).to("meta")
    found = recovered(meta, SHAPE, BATCH, before, buffers_after(own, before, batch()))
    for name, given in statistics_of(own, batch()).items():
        torch.testing.assert_close(found[name].mean.float(), given.mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[name].variance.float(), given.variance, rtol=1e-4, atol=1e-4)


def test_a_client_s_buffers_are_pytorch_s_own_and_nothing_else_of_the_network_changes() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(768, 2), nn.BatchNorm1d(2)
    ).eval()
    before, trained = buffers_of(network), copy.deepcopy(network).train()
    trained[1].eval()
    with torch.no_grad():
        trained(batch())
    after = buffers_after(network, before, batch())
    assert set(after) == set(dict(network.named_buffers()))
    for name, value in trained.named_buffers():
        assert torch.equal(after[name], value)
        assert not torch.equal(before[name], value)
        assert torch.equal(before[name], dict(network.named_buffers())[name])


def test_a_layer_alone_has_buffers_by_their_plain_names() -> None:
    layer = nn.BatchNorm2d(3)
    assert list(buffers_of(layer)) == ["running_mean", "running_var", "num_batches_tracked"]
    assert list(running(buffers_of(layer))) == [""]
    assert buffers_of(use_batch_statistics(layer)) == {}


def test_messages_grow_by_the_buffers_that_are_sent() -> None:
    network = resnet20()
    sent = buffers_of(network).values()
    assert bytes_shown(network, "before") == numbers_shown(network, "before") == 0
    assert bytes_shown(network, "after") == sum(one.numel() * one.element_size() for one in sent)
    assert bytes_shown(network, "given") == 4 * numbers_shown(network, "given") == 4 * 2 * 784


class Twice(nn.Module):
    """One BatchNorm in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm2d(3), nn.Linear(768, 10)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.norm(self.norm(images)).flatten(1))
        return scores


TRAIN, PLAIN = {"batch_norm": "train", "batch_statistics": "after"}, nn.Sequential(nn.BatchNorm2d(3))


@pytest.mark.parametrize(
    ("protocol", "network", "reason"),
    [
        (FedSGD(**TRAIN), nn.Sequential(nn.Conv2d(3, 3, 1)), "no BatchNorm layer that keeps running statistics"),
        (FedSGD(batch_statistics="given"), nn.Sequential(nn.GroupNorm(1, 3)), "no BatchNorm layer"),
        (FedSGD(batch_statistics="after"), PLAIN, "in evaluation mode a client's buffers stay as they were"),
        (FedSGD(**TRAIN, clients=2), PLAIN, "of one client's one round; here there are several clients"),
        (FedSGD(**TRAIN, rounds=2), PLAIN, "of one client's one round; here there are several rounds"),
        (FedAvg(**TRAIN, steps=2), PLAIN, "several steps mix their batches' statistics"),
        (FedAvg(**TRAIN, steps=1, local_batch_size=2), PLAIN, "several steps mix their batches' statistics"),
        (FedSGD(**TRAIN), Twice(), "layer norm runs 2 times a step"),
        (FedSGD(**TRAIN), nn.Sequential(nn.BatchNorm2d(3, momentum=0.0)), "layer 0 has momentum 0"),
        (FedSGD(**TRAIN), PLAIN, None),
        (FedAvg(**TRAIN, steps=1), PLAIN, None),
        (FedSGD(batch_statistics="given"), PLAIN, None),
        (FedSGD(), nn.Sequential(nn.Conv2d(3, 3, 1)), None),
    ],
)
def test_what_cannot_be_granted_is_told_with_the_reason(
    protocol: UpdateProtocol, network: nn.Module, reason: str | None
) -> None:
    why = why_not_granted(protocol, copy.deepcopy(network).to("meta"), SHAPE, BATCH)
    if reason is None:
        assert why is None
    else:
        assert why is not None
        assert why.startswith(f"batch_statistics: {protocol.batch_statistics}: ")
        assert reason in why


def test_buffers_that_do_not_belong_to_one_step_are_refused() -> None:
    before = buffers_of(Twice())
    with pytest.raises(ValueError, match="layer norm runs 2 times a step"):
        recovered(Twice().to("meta"), SHAPE, BATCH, before, before)
