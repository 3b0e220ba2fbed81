"""Shadow models: networks like the victim, trained by the victim's recipe, as lanes of one batched program.

A lane is one network: weights are stacked `(lanes, ...)` and the forward pass is mapped over them (`torch.func.vmap`).
Adam is elementwise, so one optimiser of stacked weights takes every lane's own steps.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from invbench import registry
from invbench.core import progress
from invbench.core.training import PEAK_LR, Training, descend, draw, schedule
from invbench.defenses import Context, Defense, Stack
from invbench.observation import Labelled, MembershipPublic

LANES = 16
"""Networks trained at a time. Measured on one core, by network and step: 0.3 ms instead of 1.4 alone for 2,410 weights,
1.9 instead of 5 for a LeNet of 8 x 8 pictures, as long as alone (10) for one of 32 x 32."""
MOST_WEIGHTS = 200_000
"""Of a network in lanes: one of 855,050 weights takes 17 ms a step there and 8 alone."""
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


def train_shadows(public: MembershipPublic, pictures: Labelled, sets: Tensor) -> list[nn.Module]:
    """Trained networks in eval mode, one for each row of `sets` `(shadows, size)`, indexes into `pictures`.

    ArithmeticError, naming the shadow, where one ends with weights that are not finite.
    """
    stack = stack_of(public)
    networks = [untrained(public, k) for k in range(len(sets))]
    trainings = [stack.at("training", Training(public.steps), Context(_stream(k, _DEFENSE))) for k in range(len(sets))]
    generators = [_stream(k, _TRAINING) for k in range(len(sets))]
    for k, (network, chosen, training) in enumerate(zip(networks, sets, trainings, strict=True)):
        public.architecture.pretrain(network, pictures.images[chosen], _stream(k, _PRETRAINING), training)
    if all(map(_fits_lanes, networks, trainings)):
        for start in range(0, len(sets), LANES):
            some = slice(start, start + LANES)
            descend_in_lanes(networks[some], pictures, sets[some], generators[some], trainings[some])
    else:
        for network, chosen, generator, training in zip(networks, sets, generators, trainings, strict=True):
            descend(network, pictures.images[chosen], pictures.labels[chosen], generator, training)
    for k, network in enumerate(networks):
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise ArithmeticError(f"shadow {k} diverged: its weights are not finite after {public.steps} steps")
    return networks


def descend_in_lanes(
    networks: Sequence[nn.Module],
    pictures: Labelled,
    sets: Tensor,
    generators: Sequence[torch.Generator],
    trainings: Sequence[Training],
) -> None:
    """What `descend` does to each network, to all at once: equal up to the order in which products are added."""
    steps, loss = trainings[0].steps, trainings[0].loss
    weights, _ = stack_module_state([network.train() for network in networks])  # (lanes, ...)
    shape = copy.deepcopy(networks[0])
    batches = [draw(sets.shape[1], steps, generator).batches for generator in generators]
    optimizer = torch.optim.Adam(list(weights.values()), lr=PEAK_LR)

    def lane(own: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return loss(functional_call(shape, own, (images,)), labels)

    for step, of_step in enumerate(zip(*batches, strict=True)):
        chosen = sets.gather(1, torch.stack(of_step))  # (lanes, batch)
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LR * schedule(step, steps)
        optimizer.zero_grad()
        losses = vmap(lane)(weights, pictures.images[chosen], pictures.labels[chosen])
        losses.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress.report("shadows", step + 1, steps, float(losses.detach().mean()))
    for place, network in enumerate(networks):
        network.load_state_dict({name: stacked[place].detach() for name, stacked in weights.items()})
        network.eval()


def _fits_lanes(network: nn.Module, training: Training) -> bool:
    """Whether lanes do what `descend` does, no slower: no buffers, no dropout, no training but with another loss."""
    small = sum(weight.numel() for weight in network.parameters()) <= MOST_WEIGHTS
    draws = any(isinstance(layer, nn.modules.dropout._DropoutNd) for layer in network.modules())
    usual = replace(Training(training.steps), loss=training.loss) == training
    return small and usual and not draws and next(network.buffers(), None) is None


def _seed(shadow: int, purpose: int) -> int:
    return 3 * shadow + purpose


def _stream(shadow: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(shadow, purpose))
