"""The information of real updates: products with J'J against finite differences, quadratures against eigenvalues."""

import numpy as np
import pytest
import torch
from made_updates import digits, normalised, public, victim

from invbench.defenses import Stack
from invbench.defenses.clip import Clip
from invbench.defenses.per_example_clip import PerExampleClip
from invbench.metrics._information import Information
from invbench.updates.information import Derivative, derivative, quadrature, spectrum, trace
from invbench.updates.simulation import simulate


def of_digits(count: int, steps: Stack = Stack(), *, apart: bool = False, clients: int = 1) -> Derivative:  # noqa: B008
    images, labels = digits(count)
    network = victim(images)
    known = public(network, (1, 8, 8), batch=count // clients, clients=clients)
    return derivative(known, network, images, labels, steps, apart=apart)


def test_it_is_the_derivative_of_what_a_client_sends_in_unit_range_pixels():
    images, labels = digits(1)
    network = victim(images).double()
    known = public(network, (1, 8, 8))
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def sent(step: float) -> torch.Tensor:
        update = simulate(known, network, normalised(images.double() + step * direction), labels)
        return torch.cat([tensor.flatten() for tensor in update])

    change = (sent(1e-5) - sent(-1e-5)) / 2e-5
    found = of_digits(1)
    assert torch.allclose(found.forward(direction.reshape(1, -1))[0], change, rtol=1e-6, atol=1e-8)
    assert torch.allclose(found.normal(direction.reshape(1, -1)) @ direction.flatten(), change.square().sum())


def test_a_clip_takes_the_direction_of_the_update_out_and_scales_the_rest():
    plain, clipped = of_digits(1), of_digits(1, Stack((Clip(norm=0.01),)))
    v = torch.randn(3, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    update = plain.send(plain.pixels)
    length = update.norm()
    changes = plain.forward(v)
    along = (changes @ update)[:, None] * update / length**2
    assert torch.allclose(clipped.forward(v), 0.01 / length * (changes - along), rtol=1e-8, atol=1e-12)


def test_a_clip_of_examples_clips_each():
    v = torch.randn(1, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    clip = Stack((PerExampleClip(norm=0.01),))
    together = of_digits(2, clip).forward(v)
    images, labels = digits(2)
    network = victim(images)  # each alone has the update's own norm: the same as clipping whole updates of one picture
    alone = [
        derivative(public(network, (1, 8, 8)), network, images[k : k + 1], labels[k : k + 1], clip, apart=False)
        for k in range(2)
    ]
    each = [one.forward(part) for one, part in zip(alone, v.split(64, dim=1), strict=True)]
    assert torch.allclose(together, (each[0] + each[1]) / 2, rtol=1e-8, atol=1e-12)


def test_clients_apart_send_what_their_mean_is_the_mean_of():
    v = torch.randn(1, 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    apart, mean = of_digits(2, clients=2, apart=True).forward(v), of_digits(2, clients=2).forward(v)
    assert torch.allclose(apart.reshape(2, -1).mean(dim=0), mean[0])


def test_eigenvalues_give_the_traces_of_the_matrices_themselves():
    of = of_digits(2)
    normal = of.normal(torch.eye(128, dtype=torch.float64)).numpy()
    drawn = np.random.default_rng(0)
    roots = [np.tril(drawn.normal(size=(64, 64))) * 0.01 + scale * np.eye(64) for scale in (0.1, 0.2)]
    inverse = np.zeros((128, 128))
    inverse[:64, :64], inverse[64:, 64:] = (np.linalg.inv(root @ root.T) for root in roots)
    nodes, weights, total = spectrum(of, [torch.from_numpy(root) for root in roots], asked=64)
    found = Information(64, 1e-4, total, 0.0, nodes.numpy(), weights.numpy(), 1.0, exact=True)
    assert found.prior_error()[0] == pytest.approx(np.trace(np.linalg.inv(normal / 1e-4 + inverse)[:64, :64]) / 64)
    assert found.unbiased_error() == pytest.approx(np.trace(np.linalg.inv(normal / 1e-4)[:64, :64]) / 64, rel=1e-6)
    assert total == pytest.approx(np.trace(normal[:64, :64]))


def test_quadratures_and_probes_estimate_the_traces_within_their_standard_errors():
    of, roots = of_digits(1), [0.3 * torch.eye(64, dtype=torch.float64)]
    nodes, weights, total = spectrum(of, roots, asked=64)
    drawn = torch.Generator().manual_seed(1)
    estimated, error = trace(of, 64, drawn)
    assert 0 < error < 0.1 * total
    assert abs(estimated - total) < 3 * error
    found = [tensor.numpy() for tensor in quadrature(of, roots, 64, drawn)]
    few = [tensor.numpy() for tensor in quadrature(of, roots, 64, torch.Generator().manual_seed(1), steps=5)]
    for std in (1e-3, 1e-2, 1e-1):
        exact = Information(64, std**2, total, 0.0, nodes.numpy(), weights.numpy(), 0.09 * 64, exact=True)
        value, deviation = Information(64, std**2, total, 0.0, *found, 0.09 * 64, exact=False).prior_error()
        assert value - exact.prior_error()[0] < 3 * deviation  # a rule of few steps may only be too small
        assert value > 0.5 * exact.prior_error()[0]
        early = Information(64, std**2, total, 0.0, *few, 0.09 * 64, exact=False).prior_error()[0]
        assert early <= exact.prior_error()[0] + 3 * deviation
