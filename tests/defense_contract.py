"""What holds for every defence at every stage it acts at, whoever wrote it and whatever it does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from contracts import choice
from made_updates import public
from torch import Tensor, nn

from invbench.core.regression import Regression
from invbench.core.training import Training
from invbench.defenses import Client, Context, Defense, Stack, Stage
from invbench.observation import Update
from invbench.victims.training import train


def built(name: str) -> Defense:
    """The defence with its defaults; what must be given is chosen (`contracts.choice`)."""
    return choice("defense", name).build(Defense)


def value_at(stage: Stage, update: Update) -> Any:
    """What a defence is given at this stage: made of the update where it is of gradients."""
    drawn = seeded(5)
    if stage == "corpus":
        return ["a line of the text\n", "\n", "another line of the text\n", "a line of the text\n"]
    if stage == "model":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 4))
    if stage == "training":
        return Training(3, examples=3)
    if stage == "inputs":
        return torch.randn(3, 3, 2, 2, generator=drawn), torch.tensor([0, 3, 1])
    if stage == "answer":
        return torch.randn(3, 4, generator=drawn).softmax(dim=1)
    if stage == "regression":
        rows, target = torch.rand(9, 4, generator=drawn).double(), torch.rand(9, generator=drawn).double()
        return Regression(rows.T @ rows, rows.T @ target, 1.0, 9, 4.0, torch.zeros(4, dtype=torch.float64))
    others = [tuple(t + t for t in update), tuple(-t for t in update)]
    return update if stage == "update" else [update, *others]


def act(defense: Defense, stage: Stage, value: Any, seed: int) -> Any:
    return Stack((defense,)).at(stage, value, Context(seeded(seed), client_of(stage, value)))  # type: ignore[call-overload]


def client_of(stage: Stage, value: Any) -> Client | None:
    """Whose value it is: a client whose network takes the pictures, or has parameters of the update's shapes."""
    if stage not in ("inputs", "update"):
        return None
    network = value_at("model", ()) if stage == "inputs" else nn.ParameterList([t.detach().clone() for t in value])
    batch = value if stage == "inputs" else value_at("inputs", ())
    return Client(public(network, (3, 2, 2), classes=4, batch=3), network, batch)


def check_stage(defense: Defense, stage: Stage, update: Update, seed: int) -> None:
    """Shapes, types and device are kept, the input is unchanged, every number is finite, the seed decides."""
    value = value_at(stage, update)
    before = [t.clone() for t in _tensors(stage, value)]
    after = act(defense, stage, value, seed)
    assert _same_bits(list(_tensors(stage, value)), before), "its input was changed"
    old, new = list(_shaped(stage, value)), list(_shaped(stage, after))
    assert [(t.shape, t.dtype, t.device) for t in new] == [(t.shape, t.dtype, t.device) for t in old]
    found = list(_tensors(stage, after))
    assert all(t.isfinite().all() for t in found)
    again = list(_tensors(stage, act(defense, stage, value_at(stage, update), seed)))
    assert _same_bits(found, again), "the same seed gave something else"


def check_global_stream(defense: Defense, stage: Stage, update: Update) -> None:
    """The global random stream is neither read nor moved, but for stage `model`, where new layers draw from it."""
    if stage == "model":
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = act(defense, stage, value_at(stage, update), 7)
        assert torch.equal(torch.get_rng_state(), before), "it moved the global random stream"
        torch.manual_seed(2)
        second = act(defense, stage, value_at(stage, update), 7)
        assert _same_bits(list(_tensors(stage, first)), list(_tensors(stage, second))), "it read the global stream"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _tensors(stage: Stage, value: Any) -> Iterator[Tensor]:
    """All numbers of a stage's value; of a network and a training what comes of them."""
    if stage == "model":
        yield from value.state_dict().values()
        yield from _shaped(stage, value)
    elif stage == "training":
        network, (images, labels) = value_at("model", ()), value_at("inputs", ())
        train(network, images, labels, seeded(11), value)
        yield from network.state_dict().values()
    elif stage == "corpus":
        yield torch.tensor(list("".join(value).encode()))
    elif stage == "answer":
        yield value
    elif stage == "regression":
        yield from (value.gram, value.moment, value.noise)
    else:
        for part in value:
            yield from [part] if isinstance(part, Tensor) else part


def _shaped(stage: Stage, value: Any) -> Iterator[Tensor]:
    """The numbers whose shape and type must be kept: of a network its scores, of a client's inputs the pictures."""
    if stage == "model":
        yield copy.deepcopy(value).eval()(value_at("inputs", ())[0]).detach()  # as attacked: training may draw
    elif stage == "inputs":
        yield value[0]
    elif stage == "aggregate":
        yield from value[0]  # there may be fewer updates: their sum alone
    elif stage == "corpus":
        return  # passages may go
    else:
        yield from _tensors(stage, value)


def _same_bits(a: list[Tensor], b: list[Tensor]) -> bool:
    """Equal types, shapes and bits, the sign of zero included."""
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.cpu().numpy().tobytes() == y.cpu().numpy().tobytes()
        for x, y in zip(a, b, strict=True)
    )
