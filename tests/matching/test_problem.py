"""The batched function of many lanes, against one lane at a time by plain double backward."""

from __future__ import annotations

import pytest
import torch
from made_updates import MEAN, STD, digits, normalised, observe, photographs, victim
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.matching.objectives import OBJECTIVES
from invbench.matching.problem import Problem, build_problem
from invbench.observation import Update, UpdateObservation
from invbench.updates.one_model import same_weights

LANES, BATCH = 3, 2


def convolutions_with_batch_norm() -> nn.Module:
    """Running statistics, scale and shift are drawn: none is its start value."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layers = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2)]
        network = nn.Sequential(*layers, nn.BatchNorm2d(5), nn.Tanh(), nn.Flatten(), nn.Linear(45, 10))
        for layer in (network[1], network[4]):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return network.eval()


class Attention(nn.Module):
    """One self-attention over the rows of a grey 8 x 8 picture, by PyTorch's fused function."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Linear(8, 24), nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        query, key, value = self.mix(images).split(8, dim=-1)
        return self.head(nn.functional.scaled_dot_product_attention(query, key, value).flatten(1))


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A float64 victim with pictures `(LANES * BATCH, C, H, W)` and labels for it."""
    images, labels = (photographs if name == "batch norm" else digits)(LANES * BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = {"lenet": lambda: victim(images), "batch norm": convolutions_with_batch_norm, "attention": Attention}
        return network[name]().eval().double(), images.double(), labels


def observed(name: str) -> list[UpdateObservation]:
    network, images, labels = made(name)
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    return [observe(network, pictures, given) for pictures, given in batches]


def problem_of(
    seen: list[UpdateObservation], *, joint: bool = False, objective: str = "l2", tv: float = 0.0
) -> Problem:
    labels = [None if joint else s.labels for s in seen]
    return build_problem(seen, labels, OBJECTIVES[objective], tv, boxed=False)


def start(problem: Problem, seed: int = 0) -> Tensor:
    return torch.randn(LANES, problem.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def written_out(objective: str, simulated: Update, seen: Update) -> Tensor:
    """The two objectives of the published attacks on whole vectors."""
    a, b = (torch.cat([tensor.flatten() for tensor in update]) for update in (simulated, seen))
    return (a - b).square().sum() if objective == "l2" else 1 - nn.functional.cosine_similarity(a, b, dim=0)


def plain(seen: UpdateObservation, variables: Tensor, *, joint: bool, objective: str, tv: float) -> tuple[Tensor, ...]:
    """Total, objective and slope of one lane by `loss.backward` of `torch.autograd.grad`, nothing mapped."""
    x = variables.clone().requires_grad_()
    channels, height, width = seen.public.image_shape
    pixels = BATCH * channels * height * width
    images = x[:pixels].reshape(BATCH, channels, height, width)
    if joint:
        targets = x[pixels:].reshape(BATCH, 10).softmax(dim=1)
    else:
        assert seen.labels is not None
        targets = nn.functional.one_hot(seen.labels, 10).double()
    with sdpa_kernel(SDPBackend.MATH):
        loss = -(targets * seen.model(images).log_softmax(dim=1)).sum(dim=1).mean()
        simulated = torch.autograd.grad(loss, list(seen.model.parameters()), create_graph=True)
        distance = written_out(objective, simulated, seen.update)
        roughness = images.diff(dim=-1).abs().mean() + images.diff(dim=-2).abs().mean()
        total = distance + tv * roughness
        [slope] = torch.autograd.grad(total, x)
    return total.detach(), distance.detach(), slope


@pytest.mark.parametrize("name", ["lenet", "batch norm"])
@pytest.mark.parametrize("joint", [False, True], ids=["known labels", "joint labels"])
@pytest.mark.parametrize(("objective", "tv"), [("l2", 0.0), ("cosine", 0.3)])
def test_every_lane_is_what_double_backward_gives(name: str, joint: bool, objective: str, tv: float) -> None:
    seen = observed(name)
    problem = problem_of(seen, joint=joint, objective=objective, tv=tv)
    variables = start(problem)
    at = problem.evaluate(variables)
    for lane, theirs in enumerate(seen):
        total, distance, slope = plain(theirs, variables[lane], joint=joint, objective=objective, tv=tv)
        torch.testing.assert_close(at.total[lane], total, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(at.objective[lane], distance, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(at.gradient[lane], slope, rtol=1e-8, atol=1e-12)
        assert slope.abs().max() > 1e-6


def test_attention_has_its_second_derivative() -> None:
    seen = observed("attention")
    problem = problem_of(seen)
    variables = start(problem)
    at = problem.evaluate(variables)
    for lane, theirs in enumerate(seen):
        _, _, slope = plain(theirs, variables[lane], joint=False, objective="l2", tv=0.0)
        torch.testing.assert_close(at.gradient[lane], slope, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["lenet", "batch norm"])
def test_the_true_pictures_match_their_own_update_and_no_other(name: str) -> None:
    _, images, _ = made(name)
    problem = problem_of(observed(name))
    truth = normalised(images).reshape(LANES, -1)
    right, wrong = problem.evaluate(truth), problem.evaluate(truth.roll(1, dims=0))
    assert right.objective.max() < 1e-20
    assert right.gradient.abs().max() < 1e-9
    assert wrong.objective.min() > 1e-3


def test_evaluating_changes_nothing_in_the_victim() -> None:
    seen = observed("batch norm")
    problem = problem_of(seen)
    before = {name: tensor.clone() for name, tensor in seen[0].model.state_dict().items()}
    at = problem.evaluate(start(problem))
    assert all(torch.equal(tensor, before[name]) for name, tensor in seen[0].model.state_dict().items())
    assert all(p.grad is None for p in seen[0].model.parameters())
    assert not any(tensor.requires_grad for tensor in (at.total, at.objective, at.gradient))


def test_some_lanes_alone_are_the_same_function() -> None:
    problem = problem_of(observed("lenet"))
    variables, chosen = start(problem), torch.tensor([2, 0])
    fewer = problem.only(chosen).evaluate(variables[chosen])
    torch.testing.assert_close(fewer.gradient, problem.evaluate(variables).gradient[chosen], rtol=1e-9, atol=1e-12)


def test_variables_are_pictures_and_then_logits() -> None:
    seen = observed("lenet")
    known, joint = problem_of(seen), problem_of(seen, joint=True)
    assert (known.size, joint.size) == (BATCH * 64, BATCH * 64 + BATCH * 10)
    variables = start(joint)
    assert torch.equal(joint.images(variables)[1, 1, 0, 0], variables[1, 64:72])
    assert joint.guessed_labels(variables)[2, 1] == variables[2, -10:].argmax()
    assert known.guessed_labels(start(known)).tolist() == [s.labels.tolist() for s in seen if s.labels is not None]


@pytest.mark.parametrize("joint", [False, True])
def test_the_box_is_the_unit_range_of_every_channel_and_does_not_hold_logits(joint: bool) -> None:
    images, labels = photographs(BATCH)
    seen = observe(victim(images), images, labels)
    problem = build_problem([seen], [None if joint else labels], OBJECTIVES["l2"], 0.0, boxed=True)
    for bounds, level in ((problem.lower, 0.0), (problem.upper, 1.0)):
        pixels = bounds[: images.numel()].reshape(images.shape)
        for channel in range(3):
            expected = (level - MEAN[channel]) / STD[channel]
            torch.testing.assert_close(pixels[:, channel], torch.full_like(pixels[:, channel], expected))
        assert torch.isinf(bounds[images.numel() :]).all()
    assert len(problem.lower) == len(problem.upper) == problem.size
    open_ = problem_of([seen])
    assert torch.isinf(open_.lower).all()
    assert torch.isinf(open_.upper).all()


def test_weights_are_the_same_only_where_every_tensor_is() -> None:
    one, two, three = observed("batch norm")
    assert same_weights(one, two)
    with torch.no_grad():
        two.model[0].bias[0] += 1e-6
        three.model[1].running_var[0] += 1e-6
    assert not same_weights(one, two)
    assert not same_weights(one, three)
