"""What stands beside a guess: made without the update, and but for `grey` without the pictures attacked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.data import ImagePool
from invbench.metrics import assign, best_grey, psnr
from invbench.scoring.centres import centres

Array = npt.NDArray[Any]

BLOCK = 1 << 22
"""Values that are taken to float32 at a time: 16 MiB."""
MOST_SAMPLED = 1000
"""Pictures of a label among which centres are sought, at equal steps through the data set."""
MID_GREY = 0.5
EXACT = 80.0  # dB, as of the metric `exact`


def grey_control(originals: Array) -> Array:
    """The best single grey level of every picture, `(B, C, H, W)`: what knowing one number of each would score."""
    return best_grey(originals)


def mean_control(pool: ImagePool, originals: Array, labels: Array, attacked: Array) -> Array | None:
    """What the data set's other pictures tell of a batch whose labels are known, `(B, C, H, W)`, unit range, float64.

    The nearest by squared error of three: their mean for every picture; the mean of those of each picture's label; and
    where a label stands several times, as many centres of its pictures as there are, in the order that fits best, which
    is what scoring grants an attack, too. None where there are no others.
    """
    mean = mean_of_others(pool, attacked)
    if mean is None:
        return None
    told = [np.broadcast_to(mean, originals.shape), _by_label(pool, labels, attacked, mean)]
    if len(set(labels.tolist())) < len(labels):
        told.append(_centres_by_label(pool, originals, labels, attacked, told[1]))
    return min(told, key=lambda pictures: float(np.square(pictures - originals).sum()))


def mean_of_others(pool: ImagePool, attacked: Array) -> Array | None:
    """The mean `(C, H, W)`, unit range, float64, of the data set's pictures but those at these indexes.

    None where there are no others.
    """
    return _mean_without(pool, _total(pool), len(pool.images), attacked)


def _by_label(pool: ImagePool, labels: Array, attacked: Array, mean: Array) -> Array:
    """For each label the mean of its other pictures, of all where it has none."""
    of_label = {}
    for label in set(labels.tolist()):
        total, count = _total_of_label(pool, label)
        found = _mean_without(pool, total, count, attacked[pool.labels[attacked] == label])
        of_label[label] = mean if found is None else found
    return np.stack([of_label[label] for label in labels.tolist()])


def _centres_by_label(pool: ImagePool, originals: Array, labels: Array, attacked: Array, means: Array) -> Array:
    """The same with as many centres as a label has pictures in the batch, where it has as many others."""
    pictures = means.copy()
    for label in set(labels.tolist()):
        here = np.flatnonzero(labels == label)
        others = np.setdiff1d(np.flatnonzero(pool.labels == label), attacked)
        if 1 < len(here) <= len(others):
            most = max(len(here), min(MOST_SAMPLED, len(others), BLOCK // originals[0].size))
            sample = others[np.linspace(0, len(others) - 1, min(most, len(others))).astype(int)]
            found = centres(pool.unit(sample), len(here))
            pictures[here] = found[assign(found.clip(0, 1), originals[here])]
    return pictures.clip(0, 1)


def _mean_without(pool: ImagePool, total: Array, count: int, left_out: Array) -> Array | None:
    """Of so many pictures with this sum, those at some indexes left out; None where none is left."""
    if count == len(left_out):
        return None
    mean: Array = (total - pool.unit(left_out).sum(axis=0, dtype=np.float64)) / (count - len(left_out))
    return mean.clip(0, 1)  # the difference of two sums may be 1e-13 below zero


def prior_labels(pool: ImagePool, attacked: Array) -> Array:
    """Labels of as many pictures as are attacked, `(B,)`, in the shares that they have in the whole data set.

    The attacked are counted, too: the shares among the others are lower where a batch has more of a class, and so tell
    what it holds, the wrong way round. What is left of whole numbers goes to the largest remainders, of equal ones to
    the lower class; without others all classes have one share.
    """
    counts = np.bincount(pool.labels, minlength=pool.classes).astype(float)
    known = counts if len(attacked) < len(pool.labels) else np.ones(pool.classes)
    shares = known * (len(attacked) / known.sum())
    whole = np.floor(shares)
    whole[np.argsort(whole - shares, kind="stable")[: len(attacked) - int(whole.sum())]] += 1
    return np.repeat(np.arange(pool.classes), whole.astype(int))


def stand_in(pool: ImagePool, attacked: Array) -> Array:
    """What a missing answer is scored as, `(C, H, W)`: the mean of the others, mid-grey where there are none."""
    mean = mean_of_others(pool, attacked)
    return np.full(pool.images.shape[1:], MID_GREY) if mean is None else mean


@lru_cache(maxsize=256)
def exact_already(pool: ImagePool, attacked: tuple[int, ...]) -> int:
    """Of how many of these pictures a control is exact, so that no attack can be seen to read more of them."""
    originals = pool.unit(attacked)
    mean = stand_in(pool, np.array(attacked))
    near = np.maximum(psnr(grey_control(originals), originals), psnr(np.broadcast_to(mean, originals.shape), originals))
    return int((near > EXACT).sum())


@lru_cache(maxsize=8)
def _total(pool: ImagePool) -> Array:
    """The sum of all pictures `(C, H, W)`, float64."""
    return _sum(pool, np.arange(len(pool.images)))


@lru_cache(maxsize=64)
def _total_of_label(pool: ImagePool, label: int) -> tuple[Array, int]:
    """The sum of all pictures of a label, and how many they are."""
    places = np.flatnonzero(pool.labels == label)
    return _sum(pool, places), len(places)


def _sum(pool: ImagePool, places: Array) -> Array:
    total = np.zeros(pool.images.shape[1:], dtype=np.float64)
    step = max(1, BLOCK // total.size)
    for begin in range(0, len(places), step):
        total += pool.unit(places[begin : begin + step]).sum(axis=0, dtype=np.float64)
    return total
