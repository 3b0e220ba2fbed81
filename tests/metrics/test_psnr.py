import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats
from skimage.metrics import peak_signal_noise_ratio

from invbench.metrics import psnr

pictures = arrays(np.float64, (2, 3, 4, 5), elements=floats(0, 1, width=32))


@settings(deadline=None, max_examples=50)
@given(a=pictures, b=pictures)
def test_psnr_is_scikit_images_up_to_the_cap(a, b):
    with np.errstate(divide="ignore"):
        expected = [min(peak_signal_noise_ratio(x, y, data_range=1), 100) for x, y in zip(a, b, strict=True)]
    assert psnr(a, b) == pytest.approx(expected)
    assert np.array_equal(psnr(a, b), psnr(b, a))


@pytest.mark.parametrize(
    ("difference", "decibel"), [(1, 0), (0.1, 20), (1e-4, 80), (2e-5, 93.9794), (1e-6, 100), (0, 100)]
)
def test_a_uniform_difference_has_the_psnr_of_its_definition_and_never_more_than_100_db(difference, decibel):
    score = psnr(np.zeros((1, 1, 8, 8)), np.full((1, 1, 8, 8), float(difference)))
    assert score.shape == (1,)
    assert score.dtype == np.float64
    assert score == pytest.approx(decibel, abs=1e-4)
    assert score <= 100


def test_each_image_has_its_own_psnr():
    b = np.stack([np.full((3, 4, 4), 0.1), np.full((3, 4, 4), 0.01)])
    assert psnr(np.zeros_like(b), b) == pytest.approx([20, 40])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_is_scored_as_its_exact_values(dtype):
    a, b = torch.rand(2, 2, 3, 6, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = psnr(a.double().numpy(), b.double().numpy())
    assert np.array_equal(psnr(a.requires_grad_(), b), expected)
    if dtype != torch.bfloat16:
        assert np.array_equal(psnr(a.detach().numpy(), b), expected)


def test_mid_grey_scores_14_1_db_on_the_first_cifar10_test_image(shared_data):
    image = np.load(shared_data / "cifar10-test-first100.npz")["images"][:1] / 255
    assert psnr(image, np.full_like(image, 0.5)) == pytest.approx(14.1, abs=0.05)
