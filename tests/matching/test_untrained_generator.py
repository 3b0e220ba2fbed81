"""The untrained generator: pictures of any size in range, able to be any picture, each lane by its own weights."""

from __future__ import annotations

import pytest
import torch
from made_updates import digits, normalised, observe, victim
from torch.func import vmap

from invbench.core.upsampling import doubled
from invbench.matching.deep_prior import Untrained, untrained_generator
from invbench.matching.searched import Parametrisation

STREAM = 0


def made(channels: int = 8, latent: int = 16, count: int = 2) -> Parametrisation:
    images, labels = digits(2 * count)
    network = victim(images)
    group = [observe(network, images[k * count :][:count], labels[k * count :][:count], seed=k) for k in range(2)]
    return untrained_generator(group, channels, latent)


@pytest.mark.parametrize(
    ("shape", "base"), [((1, 8, 8), (4, 4)), ((3, 28, 20), (7, 5)), ((3, 30, 32), (4, 4)), ((1, 7, 7), (7, 7))]
)
def test_pictures_of_any_size_are_in_range(shape: tuple[int, int, int], base: tuple[int, int]) -> None:
    network, drawn = Untrained(shape, channels=4, latent=5), torch.Generator().manual_seed(STREAM)
    pictures = network.pictures(network.start(drawn), torch.randn(3, 5, generator=drawn))
    assert network.base == base
    assert pictures.shape == (3, *shape)
    assert bool(((pictures > 0) & (pictures < 1)).all())
    assert pictures.std(dim=0).mean() > 1e-3, "each picture has a code of its own"


def test_every_layer_is_used_and_normalised_ones_start_at_scale_one() -> None:
    network, drawn = Untrained((1, 8, 8), channels=4, latent=5), torch.Generator().manual_seed(STREAM)
    weights = network.start(drawn).requires_grad_()
    network.pictures(weights, torch.randn(3, 5, generator=drawn)).square().sum().backward()  # type: ignore[no-untyped-call]
    parts = weights.split([torch.Size(shape).numel() for shape in network.shapes])
    slopes = weights.grad.split([len(part) for part in parts]) if weights.grad is not None else ()
    assert len(slopes) == 3 * 3 + 2
    assert all(bool(slope.any()) for slope in slopes)
    vectors = [float(part.detach()[0]) for part, shape in zip(parts, network.shapes, strict=True) if len(shape) == 1]
    assert vectors == [1.0, 0.0] * 3 + [0.0]


def test_a_doubled_map_repeats_every_pixel() -> None:
    maps = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert torch.equal(doubled(maps), maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_the_noise_that_goes_in_is_drawn_once_and_is_each_targets_own() -> None:
    generator = made()
    [codes] = generator.beside
    assert codes.shape == (2, 2, 16)
    assert not torch.equal(codes[0], codes[1])
    weights = generator.start(torch.Generator().manual_seed(STREAM))
    once, twice = (generator.pictures(weights, (codes[0],)) for _ in range(2))
    assert torch.equal(once, twice), "the same weights are the same pictures at every step"
    assert torch.equal(made().beside[0], codes)


def test_lanes_have_weights_of_their_own() -> None:
    generator = made()
    weights = torch.stack([generator.start(torch.Generator().manual_seed(seed)) for seed in range(2)])
    together = vmap(generator.pictures)(weights, generator.beside)
    for lane in range(2):
        alone = generator.pictures(weights[lane], (generator.beside[0][lane],))
        torch.testing.assert_close(together[lane], alone, rtol=1e-4, atol=1e-5)


def test_it_can_be_any_picture() -> None:
    """By plain Adam on the squared distance: above 25 decibels of two digits."""
    generator, target = made(), normalised(digits(2)[0])
    weights = generator.start(torch.Generator().manual_seed(STREAM)).requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=1e-2)
    for _ in range(300):
        error = (generator.pictures(weights, (generator.beside[0][0],)) - target).square().mean()
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    unit = float(error.detach()) * 0.3**2  # of normalised pixels, by the first channel's deviation
    assert unit < 10**-2.5
