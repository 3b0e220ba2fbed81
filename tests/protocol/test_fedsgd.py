"""FedSGD's gradient is the plain one, can be differentiated again, and runs as lanes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy, one_hot

from invbench import registry
from invbench.observation import Update
from invbench.protocol._gradient import gradient, per_example_gradients

CLASSES = 5


def convnet(seed: int = 0) -> nn.Module:
    """Convolutions, one without bias, BatchNorm with statistics as after training, smooth activations."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.Sigmoid(),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.BatchNorm2d(6, affine=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, CLASSES),
    )
    network(2 * torch.randn(32, 3, 8, 8) + 1)  # moves the running statistics
    return network.double().eval()


class Tied(nn.Module):
    """One weight used twice, and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 12, bias=False)
        self.second = nn.Linear(12, 12, bias=False)
        self.second.weight = self.first.weight
        self.last = nn.Linear(12, CLASSES)
        self.last.bias.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(torch.tanh(self.second(torch.tanh(self.first(images.flatten(1))))))
        return scores


def batch(size: int, seed: int = 1, shape: tuple[int, ...] = (3, 8, 8)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, *shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (size,), generator=generator)


def tensors_of(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return {name: p.detach() for name, p in network.named_parameters()}, dict(network.named_buffers())


def plain(network: nn.Module, images: Tensor, labels: Tensor, create_graph: bool = False) -> Update:
    """The same gradient by ordinary autograd on the module itself."""
    loss = cross_entropy(network(images), labels)
    return torch.autograd.grad(loss, list(network.parameters()), create_graph=create_graph)


def distance(update: Update, target: Update) -> Tensor:
    return torch.stack([(a - b).square().sum() for a, b in zip(update, target, strict=True)]).sum()


@pytest.mark.parametrize("size", [1, 4])
def test_the_gradient_is_that_of_plain_autograd_in_the_order_of_the_parameters(size: int) -> None:
    network, (images, labels) = convnet(), batch(size)
    shared = gradient(network, *tensors_of(network), images, labels)
    assert [t.shape for t in shared] == [p.shape for p in network.parameters()]
    torch.testing.assert_close(shared, plain(network, images, labels), rtol=1e-10, atol=1e-14)


def test_running_statistics_are_used_and_left_alone() -> None:
    network, (images, labels) = convnet(), batch(4)
    parameters, buffers = tensors_of(network)
    before = copy.deepcopy(buffers)
    shared = gradient(network, parameters, buffers, images, labels)
    assert all(torch.equal(buffers[name], before[name]) for name in before)
    fresh = {name: torch.zeros_like(b) if "mean" in name else torch.ones_like(b) for name, b in buffers.items()}
    assert distance(shared, gradient(network, parameters, fresh, images, labels)) > 1e-6


def test_the_module_lends_its_shape_only() -> None:
    """The same answer from a module without weights; a module with weights keeps them, and no `.grad`."""
    network, (images, labels) = convnet(), batch(2)
    parameters, buffers = tensors_of(network)
    before = copy.deepcopy(network.state_dict())
    shared = gradient(network, parameters, buffers, images, labels)
    hollow = copy.deepcopy(network).to("meta")
    torch.testing.assert_close(gradient(hollow, parameters, buffers, images, labels), shared, rtol=0, atol=0)
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_indexes_are_probabilities_of_one() -> None:
    network, (images, labels) = convnet(), batch(3)
    soft = one_hot(labels, CLASSES).double()
    by_index, by_probability = (gradient(network, *tensors_of(network), images, y) for y in (labels, soft))
    torch.testing.assert_close(by_probability, by_index, rtol=1e-10, atol=1e-14)


def test_a_shared_parameter_counts_once_and_a_frozen_one_is_there() -> None:
    torch.manual_seed(0)
    network, (images, labels) = Tied().double(), batch(3, shape=(3, 2, 2))
    shared = gradient(network, *tensors_of(network), images, labels)
    assert [name for name, _ in network.named_parameters()] == ["first.weight", "last.weight", "last.bias"]
    network.last.bias.requires_grad_(True)
    torch.testing.assert_close(shared, plain(network, images, labels), rtol=1e-10, atol=1e-14)


def test_examples_come_one_by_one_and_average_to_the_batch() -> None:
    network, (images, labels) = convnet(), batch(4)
    examples = per_example_gradients(network, *tensors_of(network), images, labels)
    assert len(examples) == 4
    torch.testing.assert_close(examples[2], plain(network, images[2:3], labels[2:3]), rtol=1e-10, atol=1e-14)
    average = tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*examples, strict=True))
    whole = gradient(network, *tensors_of(network), images, labels)
    torch.testing.assert_close(average, whole, rtol=1e-10, atol=1e-14)


def test_examples_at_once_are_those_one_by_one_and_so_are_their_slopes_in_the_pictures() -> None:
    network, (images, labels) = convnet(), batch(3)
    tensors, slopes = tensors_of(network), []
    for at_once in (False, True):
        pictures = images.clone().requires_grad_()
        examples = per_example_gradients(network, *tensors, pictures, labels, at_once=at_once)
        assert len(examples) == 3
        longest = sum((k + 1) * (tensor**2).sum() for k, one in enumerate(examples) for tensor in one)
        slopes.append((examples, torch.autograd.grad(longest, pictures)))
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)


def test_examples_with_probabilities_average_to_the_batch() -> None:
    network, (images, labels) = convnet(), batch(3)
    soft = 0.7 * one_hot(labels, CLASSES).double() + 0.3 / CLASSES
    examples = per_example_gradients(network, *tensors_of(network), images, soft)
    average = tuple(torch.stack(tensors).mean(dim=0) for tensors in zip(*examples, strict=True))
    whole = gradient(network, *tensors_of(network), images, soft)
    torch.testing.assert_close(average, whole, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("labels_kind", ["known", "joint"])
def test_second_derivatives_of_lanes_are_those_of_a_plain_loop(labels_kind: str) -> None:
    """Gradient matching's slope in the pictures and in the label logits, lane by lane."""
    network = convnet()
    parameters, buffers = tensors_of(network)
    starts = [batch(2, seed=10 + lane) for lane in range(3)]
    targets = [plain(network, *batch(2, seed=20 + lane)) for lane in range(3)]
    logits = [
        torch.randn(2, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in (1, 2, 3)
    ]

    def labels_of(lane_logits: Tensor, indexes: Tensor) -> Tensor:
        return indexes if labels_kind == "known" else lane_logits.softmax(dim=1)

    def lane(images: Tensor, lane_logits: Tensor, indexes: Tensor, target: Update) -> Tensor:
        return distance(gradient(network, parameters, buffers, images, labels_of(lane_logits, indexes)), target)

    images, indexes = (torch.stack(t) for t in zip(*starts, strict=True))
    stacked = tuple(torch.stack(t) for t in zip(*targets, strict=True))
    by_lanes = vmap(grad(lane, argnums=(0, 1)))(images, torch.stack(logits), indexes, stacked)

    for k in range(3):
        pictures, free = images[k].clone().requires_grad_(), logits[k].clone().requires_grad_()
        simulated = plain(network, pictures, labels_of(free, indexes[k]), create_graph=True)
        slopes = torch.autograd.grad(distance(simulated, targets[k]), [pictures, free], allow_unused=True)
        torch.testing.assert_close(by_lanes[0][k], slopes[0], rtol=1e-9, atol=1e-13)
        if labels_kind == "joint":
            assert slopes[1] is not None
            torch.testing.assert_close(by_lanes[1][k], slopes[1], rtol=1e-9, atol=1e-13)
            assert slopes[1].abs().max() > 0


def test_lanes_may_differ_in_their_weights_and_buffers() -> None:
    networks = [convnet(seed) for seed in (0, 1, 2)]
    batches = [batch(2, seed=30 + lane) for lane in range(3)]
    parameters, buffers = torch.func.stack_module_state(networks)
    images, labels = (torch.stack(t) for t in zip(*batches, strict=True))
    hollow = copy.deepcopy(networks[0]).to("meta")

    def lane(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Update:
        return gradient(hollow, p, b, x, y)

    by_lanes = vmap(lane)(parameters, buffers, images, labels)
    for k, network in enumerate(networks):
        expected = plain(network, *batches[k])
        torch.testing.assert_close(tuple(t[k] for t in by_lanes), expected, rtol=1e-9, atol=1e-13)


def test_without_grad_the_answer_carries_no_graph_and_is_the_same() -> None:
    network, (images, labels) = convnet(), batch(2)
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    with torch.no_grad():
        bare = gradient(network, parameters, buffers, images.requires_grad_(), labels)
    assert all(not t.requires_grad for t in bare)
    torch.testing.assert_close(bare, plain(network, images, labels), rtol=1e-10, atol=1e-14)


def test_the_protocol_says_whether_labels_are_known() -> None:
    part = registry.load("protocol", "fedsgd")
    assert part.build({}).labels == "known"
    assert part.build({"labels": "hidden"}).labels == "hidden"
    with pytest.raises(registry.BadSettings, match="known or hidden"):
        part.build({"labels": "guessed"})
