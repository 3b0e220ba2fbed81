"""Does a certificate keep its promise where the update holds an error that nobody declared?

python benchmarks/certificates.py [--seeds 3] [--pictures 2]
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from _measure import record
from _raw import Kept, Name
from _table import Table
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from invbench.attacks.peel import Peel
from invbench.data import ImagePool
from invbench.data.digits import Digits
from invbench.data.natural import Natural
from invbench.metrics import psnr
from invbench.models import ImageModel
from invbench.models.lenet import LeNet
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.observation import Failed, Guess, Public, PublicDefense, Update, UpdateObservation
from invbench.peeling.sharpen import polish
from invbench.protocol._precision import Precision, multiplying
from invbench.updates.simulation import simulate
from invbench.victims.building import build_victim

VICTIMS: dict[str, tuple[ImageModel, float]] = {
    "linear": (Linear(), 1.0),
    "mlp": (MLP(width=64), 1.0),
    "mlp(activation=tanh)": (MLP(width=64, activation="tanh"), 1.0),
    "mlp(activation=leaky-relu)": (MLP(width=64, activation="leaky-relu"), 1.0),
    "lenet": (LeNet(), 1.0),
    "lenet(activation=tanh)": (LeNet(activation="tanh"), 0.5),
    "lenet(activation=relu)": (LeNet(activation="relu"), 1.0),
    "lenet(activation=leaky-relu)": (LeNet(activation="leaky-relu"), 1.0),
    "lenet(pool=average)": (LeNet(pool="average"), 1.0),
}
"""Victims, and what their first weights are multiplied by: LeNet's wide start saturates a tanh."""

SIDE = 8
"""Pictures are 8 x 8: an answer takes a fraction of a second."""
SIZES = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)
RIGHT = 80.0
"""Decibels from which on an answer is right (`exact` in every table)."""
CAP = 100.0
"""Decibels at which PSNR is capped: what is there may be anywhere above its promise."""
NEAR = 0.03
"""Noise on the pictures from which polishing starts, where averages hide too much from the layers."""
MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.25, 0.2)


@dataclass(frozen=True, eq=False)
class Round:
    """One client's round: its network, its normalised picture `(1, C, H, W)` and label `(1,)`, and what it shares."""

    public: Public
    network: nn.Module
    image: Tensor
    label: Tensor
    draws: torch.Generator

    def update(self, network: nn.Module | None = None) -> Update:
        return simulate(self.public, network or self.network, self.image, self.label)

    def noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.draws)


Wrong = Callable[[Round, float], Update]
"""What a client shares that is off by about so much, relative to its update."""


def _noise(one: Round, size: float) -> Update:
    return tuple(t + size * t.square().mean().sqrt() * one.noise(t) for t in one.update())


def _one_tensor(one: Round, size: float) -> Update:
    update = one.update()
    hit = int(torch.randint(len(update), (1,), generator=one.draws))
    return (*update[:hit], update[hit] * (1 + size * one.noise(update[hit])), *update[hit + 1 :])


def _decay(one: Round, size: float) -> Update:
    """Weight decay, `size` of the update's length."""
    update, weights = one.update(), [p.detach() for p in one.network.parameters()]
    share = size * _length(update) / _length(weights)
    return tuple(t + share * w for t, w in zip(update, weights, strict=True))


def _smoothed(one: Round, size: float) -> Update:
    """Labels smoothed by `size`."""
    soft = torch.full((1, one.public.classes), size / one.public.classes)
    soft[0, one.label] += 1 - size
    loss = cross_entropy(one.network(one.image), soft)
    return tuple(slope.detach() for slope in torch.autograd.grad(loss, list(one.network.parameters())))


def _clipped(one: Round, size: float) -> Update:
    return tuple(t * (1 - size) for t in one.update())


def _batch(one: Round, size: float) -> Update:
    """A second picture, of another label, that has `size` of the batch."""
    other = replace(one, image=one.noise(one.image), label=(one.label + 3) % one.public.classes)
    return tuple((1 - size) * a + size * b for a, b in zip(one.update(), other.update(), strict=True))


def _network(one: Round, size: float) -> Update:
    """The gradient at weights that are off by `size`."""
    other = copy.deepcopy(one.network)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1 + size * one.noise(weight))
    return one.update(other)


def _rounded_to(dtype: torch.dtype) -> Wrong:
    return lambda one, _: tuple(t.to(dtype).to(t.dtype) for t in one.update())


def _multiplying(precision: Precision) -> Wrong:
    """A client whose products are of such operands."""

    def update(one: Round, _: float) -> Update:
        with multiplying(precision):
            return one.update()

    return update


ERRORS: dict[str, Wrong] = {
    "noise": _noise,
    "noise-in-one-tensor": _one_tensor,
    "decay": _decay,
    "smoothing": _smoothed,
    "clipping": _clipped,
    "other-batch": _batch,
    "other-network": _network,
}
"""Errors of every size in `SIZES`."""
ROUNDED: dict[str, Wrong] = {
    "float16": _rounded_to(torch.float16),
    "bfloat16": _rounded_to(torch.bfloat16),
    "tf32-client": _multiplying("tf32"),
    "bfloat16-client": _multiplying("bfloat16"),
}
DECLARED = (1e-5, 1e-4, 1e-3)
"""Standard deviations of Gaussian noise that is declared: a promise holds there, too."""


class Settings(Kept, frozen=True):
    seeds: int
    pictures: int


class Answer(Kept, frozen=True):
    """One answer: the victim, the error and its size, PSNR, what its certificate promises (None: no certificate), and
    whether the same picture's answer is certified without any error."""

    victim: Name
    error: Name
    size: float
    psnr: float
    promised: float | None
    certified_without: bool


class Samples(Kept, frozen=True):
    answers: list[Answer]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seeds", type=int, default=2)
    asked.add_argument("--pictures", type=int, default=1)
    given = asked.parse_args()
    torch.set_num_threads(1)
    record("certificates", Settings(given.seeds, given.pictures), lambda: measure(given.seeds, given.pictures))


def measure(seeds: int, pictures: int) -> Samples:
    """Every victim and error, of so many weight seeds and so many pictures of each data set."""
    found: list[Answer] = []
    for victim in VICTIMS:
        for seed in range(seeds):
            for one in rounds(victim, seed, pictures):
                found += answers(victim, one)
        print(victim, len(found), flush=True)
    return Samples(found)


def rounds(victim: str, seed: int, pictures: int) -> Iterator[Round]:
    """A round of each of the first digits and of the first photographs."""
    for pool in (_pool(Digits), _pool(Natural)):
        places = pool.targets[seed * pictures : (seed + 1) * pictures]
        images = adaptive_avg_pool2d(torch.from_numpy(pool.unit(places)), SIDE)
        for image, label in zip(images.split(1), torch.from_numpy(pool.labels[places]).split(1), strict=True):
            yield _round(victim, seed, image, label)


def answers(victim: str, one: Round, sizes: Sequence[float] = SIZES) -> list[Answer]:
    """The answers to one round: as it is, then with every error."""
    exact = answered(one, one.update())
    without = exact.promised is not None
    found = [replaced(exact, victim, "none", 0.0, without)]
    for name, wrong, size in [
        *((name, wrong, size) for name, wrong in ERRORS.items() for size in sizes),
        *((name, wrong, 0.0) for name, wrong in ROUNDED.items()),
    ]:
        found.append(replaced(answered(one, wrong(one, size)), victim, name, size, without))
    for std in DECLARED:
        declared = (PublicDefense("gaussian", {"std": std}),)
        noisy = tuple(t + std * one.noise(t) for t in one.update())
        found.append(replaced(answered(one, noisy, declared), victim, "declared-noise", std, without))
    return found


@dataclass(frozen=True)
class Said:
    """PSNR of an answer, 0 where there is none, and what its certificate promises."""

    psnr: float
    promised: float | None


def replaced(said: Said, victim: str, error: str, size: float, without: bool) -> Answer:
    return Answer(victim, error, size, said.psnr, said.promised, without)


def answered(one: Round, update: Update, declared: tuple[PublicDefense, ...] = ()) -> Said:
    """The answer of `peel`, or of polishing from near the picture where pools keep peel from reading it."""
    seen = UpdateObservation(
        public=replace(one.public, defenses=declared),
        model=copy.deepcopy(one.network),
        update=tuple(tensor.detach() for tensor in update),
        labels=None,
        generator=torch.Generator(),
        device=torch.device("cpu"),
    )
    truth = seen.to_unit_range(one.image)
    try:
        if any(isinstance(layer, nn.AvgPool2d) for layer in one.network.modules()):
            near = (truth + NEAR * one.noise(truth)).clamp(0, 1)
            guess = polish(seen, Guess(images=near, labels=one.label))
        else:
            guess = Peel()(seen)
    except Failed:
        return Said(0.0, None)
    promised = guess.facts["promised_psnr"]
    assert promised is None or isinstance(promised, float)
    return Said(float(psnr(guess.images, truth)[0]), promised)


def answer(settings: Settings, samples: Samples) -> Table:
    groups = {name: [one for one in samples.answers if one.victim == name] for name in VICTIMS}
    broken = [one for one in samples.answers if is_broken(one)]
    certified = [one for one in samples.answers if one.promised is not None]
    least = min((one.psnr - _promise(one) for one in certified if one.psnr < CAP), default=math.nan)
    return Table(
        title="Does a certificate keep its promise?",
        question=f"{len(samples.answers):,} answers of `peel` (of polishing for average pooling, from noise of {NEAR} "
        f"on the picture) at batch 1: pictures of {SIDE} x {SIDE}, {settings.seeds} weight seeds, without an error and "
        "with ones that are not declared: noise, in all tensors or in one, weight decay, smoothed labels, a clip, a "
        f"share of another picture, other weights, each of {', '.join(f'{size:g}' for size in SIZES)} of the update; "
        "updates rounded to float16 and bfloat16; clients that multiply in TF32 and bfloat16; and with "
        "declared noise. Broken: answers worse than "
        f"their certificate promises. Lost: above {RIGHT:.0f} dB and certified without the error, not with it.",
        command=f"python benchmarks/certificates.py --seeds {settings.seeds} --pictures {settings.pictures}",
        columns=["victim", "answers", "certified", "broken", "least promised, dB", "above 80 dB", "lost of those"],
        rows=[row(name, found) for name, found in groups.items() if found],
        text=[
            f"{len(certified):,} of {len(samples.answers):,} are certified, {len(broken)} of them worse than promised; "
            f"of those below {CAP:.0f} dB the closest is {least:.1f} dB above its promise."
        ],
    )


def row(name: str, found: Sequence[Answer]) -> list[str]:
    promised = [_promise(one) for one in found if one.promised is not None]
    right = [one for one in found if one.psnr > RIGHT]
    counts = [len(found), len(promised), sum(map(is_broken, found))]
    least = f"{min(promised):.1f}" if promised else ""
    return [f"`{name}`", *map(str, counts), least, str(len(right)), str(sum(map(is_lost, right)))]


def is_broken(one: Answer) -> bool:
    """Whether it is worse than its certificate promises."""
    return one.promised is not None and one.psnr < one.promised


def is_lost(one: Answer) -> bool:
    """Whether it is right, and would be certified were it not for the error."""
    return one.psnr > RIGHT and one.certified_without and one.promised is None


def _promise(one: Answer) -> float:
    return math.nan if one.promised is None else one.promised


def _round(victim: str, seed: int, image: Tensor, label: Tensor) -> Round:
    model, gain = VICTIMS[victim]
    channels = image.shape[1]
    network = build_victim(model, (channels, SIDE, SIDE), 10, seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(gain)
    public = Public(
        model="victim",
        network=copy.deepcopy(network).to("meta"),
        image_shape=(channels, SIDE, SIDE),
        classes=10,
        batch_size=1,
        labels="hidden",
        mean=MEAN[:channels],
        std=STD[:channels],
    )
    mean, std = (torch.tensor(constants[:channels]).reshape(-1, 1, 1) for constants in (MEAN, STD))
    return Round(public, network, (image - mean) / std, label, torch.Generator().manual_seed(seed))


@cache
def _pool(kind: type[Digits] | type[Natural]) -> ImagePool:
    return kind().load()


def _length(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors))


if __name__ == "__main__":
    main()
