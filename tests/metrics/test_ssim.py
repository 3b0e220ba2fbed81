import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers
from skimage.metrics import structural_similarity

from invbench.metrics import ssim, ssim_note

seeds = integers(0, 2**32 - 1)


def noisy_pair(seed, shape):
    """Two pictures with something in common."""
    random = np.random.default_rng(seed)
    a = random.random(shape)
    return a, np.clip(a + random.normal(0, 0.2, shape), 0, 1)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, channels=integers(1, 4), height=integers(11, 20), width=integers(11, 20))
def test_ssim_is_scikit_images_with_the_settings_of_wang_et_al(seed, channels, height, width):
    a, b = noisy_pair(seed, (2, channels, height, width))
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [structural_similarity(x, y, channel_axis=0, **wang) for x, y in zip(a, b, strict=True)]
    assert np.array_equal(ssim(a, b), expected)
    assert ssim(b, a) == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_the_ssim_of_one_window_is_its_definition(seed):
    a, b = noisy_pair(seed, (1, 1, 11, 11))
    x, y = a[0, 0], b[0, 0]
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / np.outer(taps, taps).sum()

    def mean(values):
        return (weights * values).sum()

    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    luminance = (2 * mean(x) * mean(y) + 1e-4) / (mean(x) ** 2 + mean(y) ** 2 + 1e-4)
    expected = luminance * (2 * covariance + 9e-4) / (variances + 9e-4)
    assert ssim(a, b) == pytest.approx(expected)


def test_a_picture_is_like_itself_and_unlike_its_negative():
    a, _ = noisy_pair(0, (2, 3, 16, 16))
    assert ssim(a, a) == pytest.approx([1, 1])
    assert (ssim(a, 1 - a) < 0).all()


@pytest.mark.parametrize(("height", "width"), [(10, 11), (40, 10), (1, 1)])
def test_a_picture_smaller_than_the_window_has_no_ssim_and_the_note_says_so(height, width):
    a, b = noisy_pair(0, (3, 1, height, width))
    assert np.isnan(ssim(a, b)).tolist() == [True] * 3
    assert (
        ssim_note((1, height, width)) == f"ssim is empty: {height} x {width} pixels are fewer than its 11 x 11 window"
    )


def test_a_picture_of_the_windows_size_has_an_ssim_and_no_note():
    a, b = noisy_pair(0, (3, 1, 11, 11))
    assert np.isfinite(ssim(a, b)).all()
    assert ssim_note((1, 11, 11)) is None


def test_a_tensor_scores_as_the_same_array():
    a, b = noisy_pair(0, (2, 3, 16, 16))
    assert np.array_equal(ssim(torch.from_numpy(a).float(), b), ssim(a.astype(np.float32), b))
