import numpy as np
from sklearn.covariance import ledoit_wolf

from invbench.data.digits import Digits
from invbench.numbers.covariance import shrunk
from invbench.scoring import gaussian_prior


def test_the_shrinkage_is_ledoit_and_wolfs():
    rows = np.random.default_rng(0).normal(size=(40, 12)) * np.linspace(0.1, 1, 12)
    rows -= rows.mean(axis=0)
    assert np.allclose(shrunk(rows), ledoit_wolf(rows, assume_centered=True)[0])


def test_the_prior_is_fitted_on_no_picture_that_is_attacked_and_white_where_there_are_few():
    pool = Digits().load()
    attacked = pool.targets[:40]
    sample = gaussian_prior.sample_of(pool, attacked)
    assert len(sample) > 100
    assert not set(sample.tolist()) & set(attacked.tolist())
    covariance = gaussian_prior.root(pool, tuple(sample.tolist()))
    assert np.linalg.eigvalsh(covariance @ covariance.T).min() > 0
    none = gaussian_prior.sample_of(pool, np.arange(len(pool.images)))
    assert not len(none)
    assert np.allclose(gaussian_prior.root(pool, ()), np.diag([pool.std[0]] * 64))
