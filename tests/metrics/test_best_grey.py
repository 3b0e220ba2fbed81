import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats

from invbench.metrics import best_grey, psnr


@settings(deadline=None, max_examples=50)
@given(images=arrays(np.float64, (2, 3, 3, 4), elements=floats(0, 1, width=32)), level=floats(0, 1))
def test_no_grey_level_is_nearer_than_the_best(images, level):
    grey = best_grey(images)
    assert grey.shape == images.shape
    assert (grey == grey[:, :1, :1, :1]).all()
    other = np.full_like(images, level)
    error, other_error = (np.square(images - g).mean(axis=(1, 2, 3)) for g in (grey, other))
    assert (error <= other_error + 1e-12).all()


def test_the_best_grey_scores_14_8_db_on_the_first_cifar10_test_image(shared_data):
    image = np.load(shared_data / "cifar10-test-first100.npz")["images"][:1] / 255
    assert psnr(image, best_grey(image)) == pytest.approx(14.8, abs=0.05)
