import numpy as np
import pytest
import torch

from invbench.metrics import assign, best_grey, lpips, lpips_features, psnr, ssim

GOOD = np.full((2, 3, 32, 32), 0.5)


def with_value(value):
    images = GOOD.copy()
    images[1, 2, 3, 4] = value
    return images


BAD = {
    "no batch": (GOOD[0], r"must have shape \(N, C, H, W\), not \(3, 32, 32\)"),
    "no pixels": (GOOD[:, :, :0], r"must have shape \(N, C, H, W\), not \(2, 3, 0, 32\)"),
    "bytes": (np.zeros((2, 3, 32, 32), np.uint8), r"must hold floats in \[0, 1\], not uint8"),
    "a tensor of bytes": (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), r"must hold floats in \[0, 1\], not uint8"),
    "complex": (GOOD + 0j, r"must hold floats in \[0, 1\], not complex128"),
    "NaN": (with_value(np.nan), "holds NaN"),
    "a NaN tensor": (torch.from_numpy(with_value(np.nan)), "holds NaN"),
    "too large": (with_value(1.01), r"must lie in \[0, 1\]; its values go from 0.5 to 1.01"),
    "too small": (with_value(-1e-3), r"must lie in \[0, 1\]; its values go from -0.001 to 0.5"),
    "infinite": (with_value(np.inf), r"must lie in \[0, 1\]; its values go from 0.5 to inf"),
    "a list": (GOOD.tolist(), "must be a NumPy array or a torch tensor, not list"),
}


@pytest.mark.parametrize("score", [psnr, ssim, lpips])
@pytest.mark.parametrize("problem", BAD)
def test_what_is_no_batch_of_unit_range_images_is_refused_by_name(score, problem):
    bad, message = BAD[problem]
    with pytest.raises(ValueError, match=f"^a {message}$"):
        score(bad, GOOD)
    with pytest.raises(ValueError, match=f"^b {message}$"):
        score(GOOD, bad)


@pytest.mark.parametrize("problem", BAD)
def test_functions_of_one_batch_refuse_the_same(problem):
    bad, message = BAD[problem]
    for call in (best_grey, lpips_features):
        with pytest.raises(ValueError, match=f"^images {message}$"):
            call(bad)
    with pytest.raises(ValueError, match=f"^guesses {message}$"):
        assign(bad, GOOD)
    with pytest.raises(ValueError, match=f"^originals {message}$"):
        assign(GOOD, bad)


@pytest.mark.parametrize("score", [psnr, ssim, lpips])
@pytest.mark.parametrize("other", [GOOD[:1], GOOD[:, :1], GOOD[:, :, :31]])
def test_two_batches_of_different_shapes_are_refused(score, other):
    with pytest.raises(ValueError, match="a and b must have one shape, not"):
        score(GOOD, other)


@pytest.mark.parametrize("score", [psnr, ssim, lpips])
@pytest.mark.parametrize("size", [8, 32])
def test_an_empty_batch_has_no_scores(score, size):
    assert score(np.zeros((0, 3, size, size)), torch.zeros(0, 3, size, size)).shape == (0,)


def test_the_ends_of_the_range_are_inside_it():
    black, white = np.zeros((1, 3, 32, 32)), np.ones((1, 3, 32, 32))
    assert psnr(black, white) == 0
    assert ssim(black, white) < 1e-3
    assert lpips(black, white) > 0
