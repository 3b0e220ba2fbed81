"""Whether an inverted picture is of the class that was asked: the nearest class mean is that class's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from invbench.metrics._images import Floats
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def class_found(pictures: Floats, asked: npt.NDArray[np.integer[Any]], class_means: Floats) -> Floats:
    """1 where no class's mean is nearer than that of the class asked, else 0, `(N,)`.

    `pictures` `(N, C, H, W)` in [0, 1], `asked` `(N,)`, `class_means` `(K, C, H, W)`, NaN for a class without training
    pictures. Nearness is correlation over all values, each picture less its own mean: gradients say which pixels make a
    class likelier, not how bright a picture is. A flat picture correlates with none and finds nothing.
    """
    answers, means = _centred(pictures), _centred(class_means)
    likeness = np.where(np.isnan(means).any(axis=1), -np.inf, np.nan_to_num(answers @ np.nan_to_num(means).T))
    own = likeness[np.arange(len(answers)), asked]
    return np.asarray((likeness <= own[:, None]).all(axis=1) & answers.any(axis=1), dtype=np.float64)


def _centred(pictures: Floats) -> Floats:
    """Rows `(N, C H W)` of mean 0 and length 1; 0 where a picture is flat."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(flat).sum(axis=1, keepdims=True))
    return np.asarray(flat / np.where(length < 1e-9, np.inf, length))


METRIC = Metric(
    column=Column(
        "class_found",
        "share of answers whose nearest class mean, by correlation, is that of the class asked",
        least=0.0,
        most=1.0,
    ),
    games=("model",),
    inputs=("pictures", "asked", "class_means"),
    values=class_found,
)
