"""How well a guess explains an update, through the client and its defences: one measure for every attack.

    misfit = mean of (seen - expected)^2 / variance    over the coordinates that were shared

Expected is what the client would share, on average, if the guess were its batch; the variance is that of the
declared noise, of rounding, of what a compression leaves open, and of float32 arithmetic. At the truth it is about 1
where noise is declared, and at most about 1 where there is none: `updates/arithmetic.py` bounds what any processor
leaves. Whoever holds the update can compute it: no truth is needed. BatchNorm's statistics, which a protocol may grant
beside the update, are not part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from invbench.defenses import Context
from invbench.observation import Update, UpdateObservation
from invbench.protocol._precision import roundoff
from invbench.updates.arithmetic import UNIT, error_of_scores, error_of_softmax, sums, variance_of_weights
from invbench.updates.moving import each_round
from invbench.updates.pooling import stack_behind
from invbench.updates.signals import signals
from invbench.updates.simulation import as_gradient, defended_gradient, protocol_of, simulator, stack_of

WEIGHING = 3 * UNIT
"""Relative error of a gradient's entry by which `noise` weighs equations: the entry's own and its tensor's usual size.

Without declared noise all weights scale with it and the answer does not depend on it; beside noise it is nothing. So
it need not hold on every processor. What judges an answer takes `updates/arithmetic.py`'s error instead: see `widened`.
"""

CHANCE = 8.0
"""Over the root of how many entries are averaged: what chance adds at most to a misfit under declared noise.

It is 1 at the truth, give or take sqrt(2) (Gaussian) to sqrt(5) (Laplace) over that root.
"""


def noise(seen: UpdateObservation, *, error: float = WEIGHING) -> tuple[Update, float]:
    """Noise variance of each coordinate (infinite: not sent), and the scalar that the declared defences applied (n/k
    for random-k)."""
    update = tuple(tensor.double() for tensor in seen.update)
    shared, variance = expected(seen, update, rounding(update, error), update)
    power = sum(float(u[m != 0].square().sum()) for u, m in zip(update, shared, strict=True))
    product = sum(float((u * m).sum()) for u, m in zip(update, shared, strict=True))
    return variance, product / power if power else 1.0


def expected(seen: UpdateObservation, mean: Update, variance: Update, update: Update) -> tuple[Update, Update]:
    """Mean and variance of each coordinate of `update` behind the declared defences and the client's own message.

    Clients that send weights round them, each by itself: their mean has an n-th of that.
    """
    told, known = stack_behind(seen).expected(mean, variance, update)
    if not protocol_of(seen.public).sends_weights:
        return told, known
    rounded = variance_of_weights(tuple(seen.model.parameters()))
    return told, tuple(v + r.to(v) / seen.public.clients for v, r in zip(known, rounded, strict=True))


def widened(seen: UpdateObservation) -> float:
    """How many times larger than `noise` says a variance may be on any processor, at most, and at least 1.

    Weights that are wrong by no more than this factor leave an answer whose covariance is at most the stated one times
    it: with A the equations, S the assumed covariance and T <= r S the true one, (A' S^-1 A)^-1 A' S^-1 T S^-1 A
    (A' S^-1 A)^-1 <= r (A' S^-1 A)^-1.
    """
    public = seen.public
    with torch.device("meta"):
        counted, _ = sums(public.network, torch.zeros(public.pictures, *public.image_shape))
    error = counted.relative_error(roundoff(protocol_of(public).precision))
    assumed, possible = noise(seen)[0], noise(seen, error=max(error, WEIGHING))[0]
    ratios = [p[a > 0] / a[a > 0] for a, p in zip(assumed, possible, strict=True)]
    return max((float(r[r.isfinite()].max()) for r in ratios if r.isfinite().any()), default=1.0)


@dataclass(frozen=True, eq=False)
class Simulated:
    """What the clients would compute of a guess before their defences act on whole updates: float64.

    Where the model moves between rounds, the tensors of each round follow those of the one before.

    `error`: the relative error that the client's arithmetic may leave in it on any processor; `coarse`: the same where
    the client is known to round its operands to less than float32, else 0.
    """

    update: Update
    error: float
    coarse: float = 0.0


def simulated(seen: UpdateObservation, images: Tensor, labels: Tensor) -> Simulated | None:
    """The update that a guess gives, in float32: normalised `images` `(pictures, C, H, W)`, `labels` `(pictures,)`.

    None where the guess has another number of pictures. Simulating takes as long as one evaluation of a search: a guess
    is simulated once and may then be judged at several errors.
    """
    if images.shape[0] != seen.public.pictures or len(labels) != len(images):
        return None
    rounds = [_simulated(one, images, labels) for one in each_round(seen)]
    update = tuple(tensor for one in rounds for tensor in one.update)
    return Simulated(update, max(one.error for one in rounds), max(one.coarse for one in rounds))


def _simulated(seen: UpdateObservation, images: Tensor, labels: Tensor) -> Simulated:
    """Of one round."""
    context = Context(torch.Generator().manual_seed(0))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        step = defended_gradient(stack_of(seen.public), context)
        known = signals(seen.public, seen.model)(as_gradient(seen), images)
        update = simulator(seen.public, seen.model, gradient=step)(images, labels, *known)
    counted, scores = sums(seen.model, images)
    operands = roundoff(protocol_of(seen.public).precision)
    rounded = counted.relative_error(operands)
    error = math.hypot(rounded, error_of_softmax(scores, labels))
    coarse = math.hypot(error, error_of_scores(scores, rounded)) if operands else 0.0
    return Simulated(tuple(tensor.double() for tensor in update), max(error, coarse), coarse)


def misfit(seen: UpdateObservation, guess: Simulated | None) -> float:
    """The mean weighted squared residual of a simulated update."""
    squares, count = squared_residual(seen, guess)
    return squares / max(count, 1)


def squared_residual(
    seen: UpdateObservation, guess: Simulated | None, *, error: float | None = None
) -> tuple[float, int]:
    """The sum of the weighted squares behind `misfit`, minus twice a log likelihood, and how many they are.

    `error`: the relative error of an entry seen that counts as noise; None: what float32 may leave on any processor.
    Infinite where nothing could be simulated, or either update is not finite: nothing explains what is no number.
    """
    squares, counts = zip(*_squares(seen, guess, error), strict=True)
    return sum(squares), sum(counts)


@dataclass(frozen=True)
class Left:
    """What a simulated update leaves of the one seen, beside rounding and declared noise.

    `excess`: how many times larger its square is on average than these allow, at least 1: what is more is an error that
    nobody declared, and variances are that many times larger than they were taken for. `worst`: the same for the
    tensor that is explained worst, in whose few entries an error may lie. `told`: entries, m.
    """

    excess: float
    worst: float
    told: int

    def hidden(self, unknowns: int) -> float:
        """How many times larger the variance of n unknowns may be, on average, for the error that is left: at least 1.

        Independent noise gives n parts of m to the unknowns and leaves the others to be seen. An error of another kind
        (weight decay, smoothed labels) may look like a change of the picture and hide as much as it shows: m / n times
        more. It counts as large in every tensor as it is in the worst.
        """
        return 1 + (self.worst - 1) * max(1.0, self.told / unknowns)


def left(seen: UpdateObservation, guess: Simulated | None) -> Left:
    """What a guess's simulated update leaves of the one seen; infinite where there is nothing to compare."""
    told = [(squares, count) for squares, count in _squares(seen, guess, None) if count]
    chance = CHANCE if seen.public.defenses else 0.0

    def excess(squares: float, count: int) -> float:
        return max(1.0, squares / count / (1 + chance / math.sqrt(count)))

    entries = max(sum(count for _, count in told), 1)
    average = excess(sum(squares for squares, _ in told), entries)
    return Left(average, max((excess(*one) for one in told), default=1.0), entries)


def _squares(seen: UpdateObservation, guess: Simulated | None, error: float | None) -> list[tuple[float, int]]:
    """The sum of the weighted squares of each tensor, of each round, and how many they are; see `squared_residual`."""
    if guess is None:
        return [(math.inf, 1)]
    count, rounds = len(seen.update), each_round(seen)
    parts = (replace(guess, update=guess.update[count * k : count * (k + 1)]) for k in range(len(rounds)))
    return [one for pair in zip(rounds, parts, strict=True) for one in _squares_of_round(*pair, error)]


def _squares_of_round(seen: UpdateObservation, guess: Simulated, error: float | None) -> list[tuple[float, int]]:
    shared = tuple(tensor.double() for tensor in seen.update)
    if not all(bool(tensor.isfinite().all()) for tensor in shared):
        return [(math.inf, 1)]
    allowed = rounding(shared, guess.error if error is None else error)
    told, variance = expected(seen, guess.update, allowed, shared)
    found = []
    for u, m, v in zip(shared, told, variance, strict=True):
        known = torch.isfinite(v)
        squares = float(((u - m).square() / v.clamp(min=torch.finfo(v.dtype).tiny))[known].sum())
        found.append((squares if math.isfinite(squares) else math.inf, int(known.sum())))
    return found


def rounding(update: Update, error: float) -> Update:
    """The variance that arithmetic of this relative error puts on each coordinate."""
    return tuple(error**2 * (tensor.square() + tensor.square().mean()) for tensor in update)
