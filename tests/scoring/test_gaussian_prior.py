import numpy as np
from sklearn.covariance import ledoit_wolf

from invbench.data.digits import Digits
from invbench.scoring import gaussian_prior
from invbench.scoring.controls import Array


def test_the_shrinkage_is_ledoit_and_wolfs():
    rows = np.random.default_rng(0).normal(size=(40, 12)) * np.linspace(0.1, 1, 12)
    rows -= rows.mean(axis=0)
    assert np.allclose(gaussian_prior.shrunk(rows), ledoit_wolf(rows, assume_centered=True)[0])


def test_it_is_nearer_to_the_truth_than_a_labels_own_covariance_and_than_the_common_one() -> None:
    drawn, common, own = np.random.default_rng(0), np.eye(12), np.diag(np.linspace(0.2, 2, 12))

    def error(covariance: Array) -> float:
        return float(np.square(covariance - own).sum())

    samples = [drawn.normal(size=(30, 12)) @ np.sqrt(own) for _ in range(100)]
    shrunk = np.mean([error(gaussian_prior.shrunk(rows, common)) for rows in samples])
    assert shrunk < 0.9 * min(error(common), np.mean([error(rows.T @ rows / 30) for rows in samples]))
    many = drawn.normal(size=(20_000, 12)) @ np.sqrt(own)
    assert error(gaussian_prior.shrunk(many, common)) < 0.02 * error(common)


def test_the_prior_is_fitted_on_no_picture_that_is_attacked_and_white_where_there_are_few() -> None:
    pool = Digits().load()
    attacked = pool.targets[:40]
    sample, zeros = (gaussian_prior.sample_of(pool, attacked, label) for label in (None, 0))
    assert len(sample) > 100
    assert not {*sample, *zeros} & set(attacked.tolist())
    assert set(pool.labels[list(zeros)].tolist()) == {0}
    root = gaussian_prior.root(pool, sample, zeros)
    assert np.linalg.eigvalsh(root @ root.T).min() > 0
    none = gaussian_prior.sample_of(pool, np.arange(len(pool.images)))
    assert none == ()
    assert np.allclose(gaussian_prior.root(pool, (), ()), np.diag([pool.std[0]] * 64))


def test_the_prior_knows_as_much_of_a_picture_as_the_mean_of_its_label_does() -> None:
    """Its variance is the error of the label's mean, on average over pictures that it was not fitted on."""
    pool = Digits().load()
    held_out = pool.targets[:400]
    common = gaussian_prior.sample_of(pool, held_out)
    supposed, found = [], []
    for label in range(10):
        of_label = held_out[pool.labels[held_out] == label]
        own = gaussian_prior.sample_of(pool, held_out, label)
        supposed.append(np.square(gaussian_prior.root(pool, common, own)).sum() / 64)
        found.append(np.square(pool.unit(of_label) - pool.unit(np.array(own)).mean(axis=0)).mean())
    assert np.allclose(supposed, found, rtol=0.35)
    assert np.isclose(np.mean(supposed), np.mean(found), rtol=0.1)


def test_a_label_of_one_picture_has_the_common_prior() -> None:
    pool = Digits().load()
    common = gaussian_prior.sample_of(pool, pool.targets[:4])
    assert np.array_equal(gaussian_prior.root(pool, common, common[:1]), gaussian_prior.root(pool, common, ()))
