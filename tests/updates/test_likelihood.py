"""The misfit of a guess: about 1 at the truth behind every declared defence, larger elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from made_updates import normalised, observe, photographs, victim
from torch import Tensor
from torch.nn import functional

from invbench import registry
from invbench.defenses import Context, Defense, Stack, mean
from invbench.models.lenet import LeNet
from invbench.observation import PublicDefense, UpdateObservation
from invbench.protocol._gradient import per_example_gradients
from invbench.updates import likelihood
from invbench.updates.likelihood import noise, simulated, squared_residual

Declared = list[tuple[str, dict[str, Any]]]
GAUSSIAN = ("gaussian", {"std": 1e-3})
STACKS: list[Declared] = [
    [GAUSSIAN],
    [("laplace", {"std": 1e-3})],
    [("quantize", {"bits": 8, "rounding": "nearest"})],
    [("quantize", {"bits": 6})],
    [("random-k", {"fraction": 0.3}), GAUSSIAN],
    [GAUSSIAN, ("random-k", {"fraction": 0.3, "rescale": True})],
    [("clip", {"norm": 0.5}), GAUSSIAN],
    [GAUSSIAN, ("clip", {"norm": 0.5})],
    [GAUSSIAN, ("clip", {"norm": 0.5}), ("quantize", {"bits": 8})],
    [("per-example-clip", {"norm": 0.5}), GAUSSIAN],
    [("clip", {"norm": 10.0, "p": "l1"}), ("laplace", {"std": 1e-4})],
    [("dp-sgd", {"clip": 0.5, "noise": 2e-3, "batch": 1, "rounds": 1})],
    [("top-k", {"fraction": 0.3}), GAUSSIAN],
    [("laplace", {"std": 1e-4}), ("gaussian", {"std": 1e-4})],
]


def pictures(count: int) -> tuple[Tensor, Tensor]:
    images, labels = photographs(count)
    return functional.avg_pool2d(images, 2), labels


def parts(stack: Declared) -> Stack:
    return Stack(tuple(registry.load("defense", name).build(settings, Defense) for name, settings in stack))


def seen_behind(stack: Declared, *, seed: int = 0, batch: int = 1) -> UpdateObservation:
    images, labels = pictures(batch)
    network = victim(images, model=LeNet(), seed=seed)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        own = per_example_gradients(network, weights, dict(network.named_buffers()), normalised(images), labels)
    context = Context(stream)
    update = parts(stack).at("update", mean(parts(stack).at("per_example", own, context)), context)
    seen = observe(network, images, labels)
    declared = tuple(PublicDefense(name, settings) for name, settings in stack)
    return replace(seen, update=update, public=replace(seen.public, defenses=declared))


def misfit(seen: UpdateObservation, images: Tensor, labels: Tensor, **error: float) -> float:
    squares, count = squared_residual(seen, simulated(seen, images, labels), **error)
    return squares / count


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_at_the_truth_it_is_about_one_and_elsewhere_more(stack: Declared) -> None:
    images, labels = (tensor[:1] for tensor in pictures(2))
    other = normalised(pictures(2)[0][1:])
    for seed in range(4):
        seen = seen_behind(stack, seed=seed)
        here = misfit(seen, normalised(images), labels)
        assert 0.3 < here < 3
        assert misfit(seen, other, labels) > 1.2 * here
        assert misfit(seen, normalised(images), (labels + 1) % 10) > 1.2 * here


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_what_top_k_left_out_is_no_larger_than_it_may_be(fraction: float) -> None:
    for seed in range(3):
        seen = seen_behind([("top-k", {"fraction": fraction})], seed=seed)
        images, labels = pictures(1)
        here = misfit(seen, normalised(images), labels)
        assert here < 3
        assert misfit(seen, normalised(1 - images), labels) > max(1.0, 2 * here)


def test_where_nothing_is_done_the_truth_agrees_to_rounding() -> None:
    for batch in (1, 2):
        images, labels = pictures(batch)
        seen = seen_behind([], batch=batch)
        assert misfit(seen, normalised(images), labels) < 1
        assert misfit(seen, normalised(images) + 1e-3, labels) > 100
        assert misfit(seen, normalised(images) + 1e-3, labels, error=0.03) < 1  # which counts as none here


def test_a_guess_simulated_once_is_judged_at_any_error() -> None:
    images, labels = pictures(1)
    seen = seen_behind([])
    update = simulated(seen, normalised(images) + 1e-3, labels)
    assert update is not None
    (strict, count), (loose, as_many) = (squared_residual(seen, update, error=error) for error in (1e-6, 1e-2))
    assert count == as_many == sum(tensor.numel() for tensor in seen.update)
    assert strict == pytest.approx(1e8 * loose, rel=1e-6)  # the variance is the error's square
    ours, _ = squared_residual(seen, update)
    assert likelihood.misfit(seen, update) == ours / count


def test_signs_that_differ_are_counted() -> None:
    images, labels = pictures(1)
    seen = seen_behind([("sign", {})])
    assert misfit(seen, normalised(images), labels) < 0.01
    assert 0.1 < misfit(seen, normalised(1 - images), labels) < 4


def test_a_batch_is_judged_in_any_order_and_each_example_is_clipped() -> None:
    stack: Declared = [("per-example-clip", {"norm": 0.3}), ("gaussian", {"std": 1e-3})]
    images, labels = pictures(2)
    seen = seen_behind(stack, batch=2)
    here = misfit(seen, normalised(images), labels)
    assert 0.3 < here < 3
    assert misfit(seen, normalised(images.flip(0)), labels.flip(0)) == pytest.approx(here, rel=1e-3)
    bare = replace(seen, public=replace(seen.public, defenses=seen.public.defenses[1:]))
    assert misfit(bare, normalised(images), labels) > 2 * here  # the clip is part of what explains the update


def test_a_guess_of_another_size_or_that_is_not_finite_explains_nothing() -> None:
    images, labels = pictures(2)
    seen = seen_behind([GAUSSIAN], batch=2)
    assert misfit(seen, normalised(images[:1]), labels[:1]) == math.inf
    assert misfit(seen, normalised(images), labels[:1]) == math.inf
    assert misfit(seen, torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64)) == math.inf
    assert misfit(seen, torch.full_like(images, torch.nan), labels) == math.inf
    assert misfit(seen, torch.full_like(images, torch.inf), labels) == math.inf
    for lost in (torch.nan, torch.inf):
        broken = replace(seen, update=tuple(torch.full_like(tensor, lost) for tensor in seen.update))
        assert misfit(broken, normalised(images), labels) == math.inf


def test_the_known_factor_is_that_of_a_rescaled_subsample() -> None:
    assert noise(seen_behind([("random-k", {"fraction": 0.25, "rescale": True})]))[1] == pytest.approx(4, rel=1e-3)
    assert noise(seen_behind([("random-k", {"fraction": 0.25})]))[1] == pytest.approx(1)
    variance, _ = noise(seen_behind([("random-k", {"fraction": 0.25})]))
    shared = sum(int(v.isfinite().sum()) for v in variance) / sum(v.numel() for v in variance)
    assert 0.15 < shared <= 0.251  # an entry that is zero by itself tells nothing either


def test_a_clip_hides_the_scale_and_noise_does_not() -> None:
    assert parts([GAUSSIAN, ("clip", {"norm": 0.5})]).hides_scale
    assert parts([("per-example-clip", {"norm": 0.5})]).hides_scale
    assert parts([("sign", {})]).hides_scale
    assert not parts([GAUSSIAN, ("top-k", {"fraction": 0.5}), ("quantize", {"bits": 8})]).hides_scale
    assert not Stack().hides_scale
