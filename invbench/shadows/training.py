"""Shadow models: networks like the victim, trained by the victim's recipe, as lanes of one batched program.

A lane is one network: weights are stacked `(lanes, ...)` and the forward pass is mapped over them (`torch.func.vmap`).
Adam is elementwise, so one optimiser of stacked weights takes every lane's own steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils.rnn import pad_sequence

from invbench import registry
from invbench.core import progress
from invbench.core.private import clipped_sum
from invbench.core.training import PEAK_LR, Training, backward, descend, draw, schedule
from invbench.defenses import Context, Defense, Stack
from invbench.observation import Labelled, MembershipPublic

LANES = 16
"""Networks trained at a time. Measured on one core, by network and step: 0.3 ms instead of 1.4 alone for 2,410 weights,
1.9 instead of 5 for a LeNet of 8 x 8 pictures, as long as alone (10) for one of 32 x 32."""
MOST_WEIGHTS = 200_000
"""Of a network in lanes: one of 855,050 weights takes 17 ms a step there and 8 alone."""
Backward = Callable[[Tensor, Tensor, Tensor], float]
"""Pictures `(lanes, B, C, H, W)`, labels and which of them are in the batch, `(lanes, B)`: sets `.grad` of the stacked
weights and gives the mean loss."""
_START, _TRAINING, _DEFENSE = range(3)  # the streams of one shadow
_PRETRAINING = 1 << 33  # another, apart from those of all shadows and of splits


def stack_of(public: MembershipPublic) -> Stack:
    """The declared defences, as parts."""
    built = [registry.load("defense", d.name).build(dict(d.parameters), Defense) for d in public.defenses]
    return Stack(tuple(built))


def untrained(public: MembershipPublic, shadow: int) -> nn.Module:
    """The network of this shadow before training, float32 on the CPU: the same for every cell of one architecture."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(_seed(shadow, _START))
        network = public.architecture.build(public.image_shape, public.classes)
        network = stack_of(public).at("model", network, Context(torch.default_generator))
    return network.to(torch.float32).eval()


def train_shadows(public: MembershipPublic, pictures: Labelled, sets: Tensor, first: int = 0) -> list[nn.Module]:
    """Trained networks in eval mode, one for each row of `sets` `(shadows, size)`, indexes into `pictures`.

    `first`: the number of the first of them, which says its start and its draws.
    ArithmeticError, naming the shadow, where one ends with weights that are not finite.
    """
    numbers = range(first, first + len(sets))
    networks = [untrained(public, k) for k in numbers]
    trainings = [_training_of(public, k) for k in numbers]
    generators = [_stream(k, _TRAINING) for k in numbers]
    for k, network, chosen, training in zip(numbers, networks, sets, trainings, strict=True):
        public.architecture.pretrain(network, pictures.images[chosen], _stream(k, _PRETRAINING), training)
    if all(map(_fits_lanes, networks, trainings)):
        for start in range(0, len(sets), LANES):
            some = slice(start, start + LANES)
            descend_in_lanes(networks[some], pictures, sets[some], generators[some], trainings[some])
    else:
        for network, chosen, generator, training in zip(networks, sets, generators, trainings, strict=True):
            descend(network, pictures.images[chosen], pictures.labels[chosen], generator, training)
    for k, network in zip(numbers, networks, strict=True):
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise ArithmeticError(f"shadow {k} diverged: its weights are not finite after {public.steps} steps")
    return networks


def together(public: MembershipPublic) -> int:
    """How many shadows are trained at a time."""
    return LANES if _fits_lanes(untrained(public, 0), _training_of(public, 0)) else 1


def descend_in_lanes(
    networks: Sequence[nn.Module],
    pictures: Labelled,
    sets: Tensor,
    generators: Sequence[torch.Generator],
    trainings: Sequence[Training],
) -> None:
    """What `descend` does to each network, to all at once: equal up to the order in which products are added."""
    steps = trainings[0].steps
    weights, _ = stack_module_state([network.train() for network in networks])  # (lanes, ...)
    pairs = zip(trainings, generators, strict=True)
    batches = [draw(sets.shape[1], training, generator).batches for training, generator in pairs]
    optimizer = torch.optim.Adam(list(weights.values()), lr=PEAK_LR)
    in_lanes = _backward if trainings[0].private is None else _private_backward
    of_batches = in_lanes(copy.deepcopy(networks[0]), weights, trainings)
    for step, of_step in enumerate(zip(*batches, strict=True)):
        chosen = sets.gather(1, pad_sequence(list(of_step), batch_first=True))  # (lanes, longest batch)
        kept = pad_sequence([torch.ones(len(batch)) for batch in of_step], batch_first=True)
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * schedule(step, steps)
        optimizer.zero_grad()
        loss = of_batches(pictures.images[chosen], pictures.labels[chosen], kept)
        optimizer.step()
        progress.report("shadows", step + 1, steps, loss)
    for place, network in enumerate(networks):
        network.load_state_dict({name: stacked[place].detach() for name, stacked in weights.items()})
        network.eval()


def _backward(shape: nn.Module, weights: dict[str, Tensor], trainings: Sequence[Training]) -> Backward:
    """The gradient of each lane's batch, all of one length."""
    loss = trainings[0].loss

    def lane(own: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return loss(functional_call(shape, own, (images,)), labels)

    def of_batches(images: Tensor, labels: Tensor, kept: Tensor) -> float:
        losses = vmap(lane)(weights, images, labels)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return float(losses.detach().mean())

    return of_batches


def _private_backward(shape: nn.Module, weights: dict[str, Tensor], trainings: Sequence[Training]) -> Backward:
    """The noisy gradient of each lane's batch, with noise of its own; batches are filled up to the longest."""
    every = [training.private for training in trainings if training.private is not None]
    streams = [private.stream() for private in every]
    numbers = sum(stacked.numel() for stacked in weights.values())
    summed = vmap(clipped_sum(shape, trainings[0].loss, every[0].clip, numbers))

    def of_batches(images: Tensor, labels: Tensor, kept: Tensor) -> float:
        sums, losses = summed({name: stacked.detach() for name, stacked in weights.items()}, images, labels, kept)
        lanes = [{name: total[lane] for name, total in sums.items()} for lane in range(len(every))]
        noised = [private.noised(own, stream) for private, own, stream in zip(every, lanes, streams, strict=True)]
        for name, stacked in weights.items():
            stacked.grad = torch.stack([own[name] for own in noised])
        return float((losses * kept).sum() / kept.sum().clamp_min(1))

    return of_batches


def _fits_lanes(network: nn.Module, training: Training) -> bool:
    """Whether lanes do what `descend` does, no slower: no buffers, no dropout, no gradient of a batch but its own."""
    small = sum(weight.numel() for weight in network.parameters()) <= MOST_WEIGHTS
    draws = any(isinstance(layer, nn.modules.dropout._DropoutNd) for layer in network.modules())
    usual = type(training) is Training and training.backward is backward
    return small and usual and not draws and next(network.buffers(), None) is None


def _training_of(public: MembershipPublic, shadow: int) -> Training:
    """How this shadow is trained, as the defences have it."""
    training = Training(public.steps, examples=public.trained_on)
    return stack_of(public).at("training", training, Context(_stream(shadow, _DEFENSE)))


def _seed(shadow: int, purpose: int) -> int:
    return 3 * shadow + purpose


def _stream(shadow: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(shadow, purpose))
