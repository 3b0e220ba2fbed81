import numpy as np
import pytest
from skimage.data import astronaut, chelsea, coffee
from skimage.transform import downscale_local_mean

from invbench.metrics import best_grey, identified, lpips_distances, lpips_features

DISTANCES = np.array([[0.1, 0.5, 0.3], [0.4, 0.2, 0.2], [0.3, 0.1, 0.2]])


@pytest.fixture(scope="module")
def crops():
    """A hundred overlapping 32 x 32 crops of three photographs, `(100, 3, 32, 32)` in [0, 1]."""
    photographs = [downscale_local_mean(photo, (3, 3, 1)) / 255 for photo in (astronaut(), chelsea(), coffee())]
    cut = [
        photo[y : y + 32, x : x + 32].transpose(2, 0, 1)
        for photo in photographs
        for y in range(0, photo.shape[0] - 31, 12)
        for x in range(0, photo.shape[1] - 31, 12)
    ]
    return np.stack(cut[:: len(cut) // 100][:100])


def test_a_guess_is_identified_when_no_candidate_is_nearer_than_its_original():
    assert identified(DISTANCES, np.array([0, 1, 2])).tolist() == [True, True, False]
    assert identified(DISTANCES, np.array([1, 2, 1])).tolist() == [False, True, True]


def test_no_guesses_no_answers(crops):
    distances = lpips_distances(lpips_features(crops[:0]), lpips_features(crops[:5]))
    assert distances.shape == (0, 5)
    assert identified(distances, np.empty(0, dtype=int)).shape == (0,)


@pytest.mark.parametrize(
    ("distances", "originals", "message"),
    [
        (DISTANCES, np.array([0, 1]), r"need distances \(N, K\) and originals \(N,\)"),
        (DISTANCES[0], np.array([0, 1, 2]), r"need distances \(N, K\) and originals \(N,\)"),
        (DISTANCES, np.array([0, 1, 3]), "originals must be columns 0 to 2"),
        (DISTANCES, np.array([0, -1, 2]), "originals must be columns 0 to 2"),
        (np.where(DISTANCES == 0.5, np.nan, DISTANCES), np.array([0, 1, 2]), "distances hold NaN"),
    ],
)
def test_what_cannot_be_ranked_is_refused(distances, originals, message):
    with pytest.raises(ValueError, match=message):
        identified(distances, originals)


def test_photographs_under_faint_noise_are_identified_among_a_hundred_and_their_best_greys_are_not(crops):
    features, originals = lpips_features(crops), np.arange(100)
    noisy = np.clip(crops + np.random.default_rng(0).normal(0, 0.01, crops.shape), 0, 1)
    assert identified(lpips_distances(lpips_features(noisy), features), originals).all()
    assert identified(lpips_distances(lpips_features(best_grey(crops)), features), originals).sum() <= 5
