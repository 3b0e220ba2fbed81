"""Game `update`: what crosses the wall, which pictures a client holds, and that every attack faces the same update."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from exact_attack import EXACT
from small_cells import MLP, crops, make_cell, make_cells, plugged, write_pool
from torch import Tensor, nn

from invbench.cell import Cell
from invbench.core.randomness import seed_of
from invbench.data import Dataset
from invbench.games.update import UpdateDeal, UpdateGame
from invbench.observation import Guess, Public, Update, UpdateObservation
from invbench.protocol._gradient import gradient

CPU = torch.device("cpu")
HIDDEN = {"name": "fedsgd", "labels": "hidden"}
LENET_ATTACK = {"name": "inverting-gradients", "iterations": 1}
"""An attack that any victim can be played with; these tests never call it."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def stage(cell: Cell) -> UpdateDeal:
    return UpdateGame().deal(cell, CPU)


def staged(folder: Path, **said: Any) -> UpdateDeal:
    return stage(make_cell(folder, **said))


def noises(cell: Cell) -> Sequence[UpdateObservation]:
    """What the attack sees in the rerun on noise."""
    return UpdateGame().reruns(cell)["noise"].observe(CPU)


def originals(played: UpdateDeal) -> np.ndarray:
    """What the clients held, `(targets, B, C, H, W)`, as the results folder is told."""
    nothing = [seen.nothing("") for seen in played.observations]
    return played.arrays(nothing)["originals"]


def same(one: Update, other: Update) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def length(update: Update) -> float:
    return float(torch.cat([tensor.flatten() for tensor in update]).norm())


def values(update: Update) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in update])


# The wall


def reachable(start: object) -> dict[int, object]:
    """Everything that an observation leads to, by identity; of code only what a function closes over."""
    found: dict[int, object] = {}
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        if thing is None or id(thing) in found or isinstance(thing, type | ModuleType):
            continue
        found[id(thing)] = thing
        if isinstance(thing, FunctionType):
            waiting += [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
        elif isinstance(thing, Tensor):  # what C++ holds, the collector does not see
            waiting += [thing.grad, thing.grad_fn, thing._base, vars(thing)]
        else:
            waiting += gc.get_referents(thing)
    return found


def numbers(things: dict[int, object]) -> Iterator[np.ndarray]:
    """Every tensor's whole memory, every array and every list of numbers among them, flat."""
    for thing in things.values():
        if isinstance(thing, Tensor) and not thing.is_meta:
            whole = torch.empty(0, dtype=thing.dtype).set_(thing.detach().untyped_storage())
            yield from (thing.detach().flatten().numpy(), whole.numpy())
        elif isinstance(thing, np.ndarray) and thing.dtype.kind in "iuf":
            yield from (thing.ravel(), thing.ravel() if thing.base is None else np.ravel(thing.base))
        elif isinstance(thing, list | tuple) and thing and all(isinstance(v, int | float) for v in thing):
            yield np.array(thing)


def holds(things: dict[int, object], wanted: np.ndarray) -> bool:
    """Whether `wanted` stands somewhere in there, at any place of a longer row."""
    row = np.asarray(wanted, dtype=np.float64).ravel()
    for numbers_ in numbers(things):
        held = np.asarray(numbers_, dtype=np.float64)
        if len(held) < len(row):
            continue
        starts = np.flatnonzero(np.abs(held[: len(held) - len(row) + 1] - row[0]) < 1e-6)
        if any(np.allclose(held[s : s + len(row)], row, atol=1e-6, rtol=0) for s in starts):
            return True
    return False


def forms(picture: np.ndarray, public: Public) -> list[np.ndarray]:
    """A unit-range picture as it may lie about: so, in bytes, normalised."""
    mean, std = (np.reshape(c, (-1, 1, 1)) for c in (public.mean, public.std))
    return [picture, np.rint(picture * 255), (picture - mean) / std]


def test_an_observation_has_the_fields_that_the_threat_model_grants_and_no_others() -> None:
    granted = {"public", "model", "update", "labels", "generator", "device", "prepared", "rounds", "pooled"}
    granted |= {"buffers_before", "buffers_after", "statistics"}
    assert {field.name for field in dataclasses.fields(UpdateObservation)} == granted
    assert {field.name for field in dataclasses.fields(Public)} == {
        "model", "network", "image_shape", "classes", "batch_size", "labels", "mean", "std",
        "protocol", "protocol_settings", "defenses", "clients", "reference",
    }  # fmt: skip


def test_the_public_part_says_what_the_cell_says(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, batch_size=3, protocol=HIDDEN, defense=[[{"name": "clip", "norm": 2.0}, "sign"]])
    public = stage(cell).observations[0].public
    assert (public.model, public.batch_size) == (cell.model.short, 3)
    assert (public.image_shape, public.classes) == ((3, 16, 16), 3)
    assert (public.protocol, dict(public.protocol_settings)) == (
        "fedsgd",
        {
            **{"labels": "hidden", "clients": 1, "batch_norm": "eval", "precision": "float32"},
            **{"public": 0, "property_share": 1.0, "model_check": False, "rounds": 1, "server_lr": 0.0},
            **{"batch_statistics": "before"},
            **{"reduction": "mean", "loss_scale": 1.0, "loss": "known"},
        },
    )
    assert public.labels == "hidden"
    assert (public.mean, public.std) == cell.normalisation
    assert [(d.name, dict(d.parameters)) for d in public.defenses] == [("clip", {"norm": 2.0, "p": "l2"}), ("sign", {})]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_hidden_labels_and_pictures_are_nowhere_in_an_observation(tmp_path: Path, batch_size: int) -> None:
    labels = np.array([5, 3, 7, 1] * 3)
    write_pool(tmp_path / "pool.npz", labels=labels)
    played = staged(tmp_path, batch_size=batch_size, protocol=HIDDEN)
    behind = reachable(played)
    assert {id(played.pool), id(played.truths[0])} <= behind.keys()  # the walk finds what is there
    for number, seen in enumerate(played.observations):
        found = reachable(seen)
        assert seen.labels is None
        assert not found.keys() & {id(played), id(played.pool), *map(id, played.truths), id(played.cell)}
        for picture in originals(played)[number]:
            assert holds(behind, picture)
            assert not any(holds(found, form) for form in forms(picture, seen.public))
        if batch_size > 1:  # one number by itself stands everywhere
            assert holds(behind, labels[:batch_size])
            assert not holds(found, labels[:batch_size])


def test_known_labels_are_those_of_the_batch_in_its_order(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", labels=np.array([2, 0, 1, 1, 2, 2, 0, 0, 1, 0, 1, 2]))
    played = staged(tmp_path, batch_size=3, targets=4)
    assert [seen.labels.tolist() for seen in played.observations] == [[2, 0, 1], [1, 2, 2], [0, 0, 1], [0, 1, 2]]
    assert all(seen.labels.dtype == torch.int64 for seen in played.observations)


@pytest.mark.parametrize("defense", ["none", {"name": "per-example-clip", "norm": 0.5}])
@pytest.mark.parametrize("model", [MLP, {"name": "convnet", "width": 2}])
def test_nothing_of_the_clients_computation_hangs_on_what_is_shared(tmp_path: Path, model: Any, defense: Any) -> None:
    cell = make_cell(tmp_path, attack=LENET_ATTACK, model=model, defense=defense, batch_size=2)
    fresh = stage(cell).observations[0].model
    for seen in stage(cell).observations:
        assert not seen.model.training
        for held in (*seen.update, *seen.model.parameters(), *seen.model.buffers()):
            assert held.grad is None
            assert held.is_leaf
            assert held.untyped_storage().nbytes() == held.numel() * held.element_size()
        assert not any(tensor.requires_grad or tensor.grad_fn is not None for tensor in seen.update)
        for name, buffer in seen.model.named_buffers():  # BatchNorm has not looked at the batch
            start = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0}[name.rpartition(".")[2]]
            assert torch.equal(buffer, torch.full_like(buffer, start))
        assert same(tuple(seen.model.parameters()), tuple(fresh.parameters()))


def test_the_public_network_is_the_architecture_without_its_weights(tmp_path: Path) -> None:
    played = staged(tmp_path, attack=LENET_ATTACK, model={"name": "convnet", "width": 2})
    seen = played.observations[0]
    shapes = {name: tensor.shape for name, tensor in seen.model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in seen.public.network.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in seen.public.network.state_dict().values())
    assert not any(isinstance(v, Tensor) and not v.is_meta for v in reachable(seen.public).values())


def test_the_attackers_stream_repeats_no_draw_of_the_client_or_of_the_victim(tmp_path: Path) -> None:
    noise = {"name": "gaussian", "std": 1.0}
    bare, noisy = (staged(tmp_path, defense=d).observations[0] for d in ("none", noise))
    drawn = (values(noisy.update).double() - values(bare.update)).float()
    replayed = torch.randn(len(drawn), generator=noisy.generator)
    replayed_double = torch.randn(len(drawn), generator=bare.generator, dtype=torch.float64).float()
    weights = values(tuple(bare.model.parameters()))
    for attackers in (replayed, replayed_double):
        for other in (drawn, weights):
            correlation = np.corrcoef(attackers.numpy(), other.detach().numpy())[0, 1]
            assert abs(correlation) < 5 / np.sqrt(len(drawn))
    cell = make_cell(tmp_path, defense=noise)
    client = seed_of("client", cell.seed, [d.key for d in cell.defense], 0)
    victim = seed_of("victim", cell.seed, cell.model.key, cell.data_hash)
    seeds = {seen.generator.initial_seed() for seen in stage(cell).observations}
    assert len(seeds | {client, victim, seed_of("noise control", cell.seed, 0)}) == 5


def _spoil(seen: UpdateObservation) -> None:
    """What an attack may do to everything that it was given."""
    with torch.no_grad():
        for tensor in (*seen.model.parameters(), *seen.update):
            tensor.fill_(7.0)
    if seen.labels is not None:
        seen.labels.fill_(0)
    seen.generator.manual_seed(0)
    for layer in seen.public.network.modules():
        layer.train()
    seen.public.network.add_module("their own", nn.Linear(1, 1))


def test_what_an_attack_does_to_an_observation_changes_nothing_elsewhere(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, batch_size=3, targets=2)
    untouched, spoilt = stage(cell), stage(cell)
    _spoil(spoilt.observations[0])
    for before, after in (
        (untouched.observations[1], spoilt.observations[1]),  # the cell's next observation
        (untouched.observations[0], stage(cell).observations[0]),  # the next cell's
    ):
        assert same(before.update, after.update)
        assert same(tuple(before.model.parameters()), tuple(after.model.parameters()))
        assert torch.equal(before.labels, after.labels)
        assert before.generator.initial_seed() == after.generator.initial_seed()
    network = stage(cell).observations[0].public.network  # one for the cell, not one for all cells
    assert not network.training
    assert "their own" not in dict(network.named_modules())
    assert np.array_equal(originals(spoilt), originals(untouched))
    wrong = [Guess(images=torch.zeros(3, 3, 16, 16), labels=torch.zeros(3, dtype=torch.int64))] * 2
    assert spoilt.score(wrong) == untouched.score(wrong)


# Who holds what


@pytest.mark.parametrize(("batch_size", "offset"), [(1, 0), (1, 4), (3, 0), (2, 3)])
def test_batch_k_of_size_b_holds_pictures_kb_to_kb_plus_b_less_1(tmp_path: Path, batch_size: int, offset: int) -> None:
    images = crops(12)
    write_pool(tmp_path / "pool.npz", images)
    held = originals(staged(tmp_path, batch_size=batch_size, offset=offset))
    for target in range(2):
        first = (offset + target) * batch_size
        assert np.allclose(held[target] * 255, images[first : first + batch_size], atol=1e-3)


def test_the_update_is_the_gradient_of_the_normalised_batch(tmp_path: Path) -> None:
    images, labels = crops(12), np.arange(12) % 3
    write_pool(tmp_path / "pool.npz", images, labels)
    constants = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    played = staged(tmp_path, dataset={"name": "npz", "path": "pool.npz", **constants}, batch_size=4)
    mean, std = (torch.tensor(c).reshape(-1, 1, 1) for c in constants.values())
    for k, seen in enumerate(played.observations):
        batch = slice(4 * k, 4 * k + 4)
        inputs = (torch.from_numpy(images[batch]).float() / 255 - mean) / std
        loss = nn.functional.cross_entropy(seen.model(inputs), torch.from_numpy(labels[batch]))
        expected = torch.autograd.grad(loss, list(seen.model.parameters()))
        torch.testing.assert_close(seen.update, expected, rtol=1e-4, atol=1e-7)


def test_a_target_does_not_depend_on_which_others_are_attacked(tmp_path: Path) -> None:
    noise = {"name": "gaussian", "std": 0.1}
    many = staged(tmp_path, defense=noise, batch_size=2, targets=5)
    one = staged(tmp_path, defense=noise, batch_size=2, targets=1, offset=3)
    assert same(one.observations[0].update, many.observations[3].update)
    assert torch.equal(one.observations[0].labels, many.observations[3].labels)
    assert one.observations[0].generator.initial_seed() == many.observations[3].generator.initial_seed()
    assert np.array_equal(originals(one)[0], originals(many)[3])
    assert not same(one.observations[0].update, many.observations[2].update)


# The same update for every attack


def test_two_attacks_face_the_same_update_bit_for_bit(tmp_path: Path) -> None:
    attacks = [EXACT, "dlg", "idlg", {"name": "inverting-gradients", "tv": 0.5}]
    noise = {"name": "gaussian", "std": 0.1}
    seen = [stage(cell).observations for cell in make_cells(tmp_path, attack=attacks, defense=noise)]
    for others in seen[1:]:
        for one, other in zip(seen[0], others, strict=True):
            assert same(one.update, other.update)
            assert same(tuple(one.model.parameters()), tuple(other.model.parameters()))
            assert one.generator.initial_seed() != other.generator.initial_seed()


def test_every_defence_seed_and_target_has_draws_of_its_own(tmp_path: Path) -> None:
    """The client's noise, in units of its std, of eight rounds that differ in one thing each."""
    small, large = ({"name": "gaussian", "std": std} for std in (0.1, 0.2))
    stacked = [{"name": "clip", "norm": 1e6}, small]
    bare = {c.seed: stage(c).observations for c in make_cells(tmp_path, seed=[0, 1])}
    drawn = []
    for cell in make_cells(tmp_path, defense=[small, large, stacked], seed=[0, 1]):
        std = dict(cell.defense[-1].settings)["std"]
        for k, seen in enumerate(stage(cell).observations):
            drawn.append(((values(seen.update) - values(bare[cell.seed][k].update)) / std).numpy())
    assert len(drawn) == 12
    assert np.std(drawn) == pytest.approx(1, abs=0.03)
    between = np.corrcoef(drawn)[np.triu_indices(len(drawn), 1)]
    assert np.abs(between).max() < 5 / np.sqrt(len(drawn[0]))


def test_a_victims_weights_depend_on_seed_model_and_data_alone(tmp_path: Path) -> None:
    write_pool(tmp_path / "other.npz", crops(12)[::-1])
    write_pool(tmp_path / "pool.npz")
    same_victim = make_cells(
        tmp_path,
        attack=[EXACT, LENET_ATTACK],
        batch_size=[1, 2],
        defense=["none", {"name": "clip", "norm": 0.1}],
        protocol=["fedsgd", HIDDEN],
    )
    changed = [
        make_cell(tmp_path, seed=1),
        make_cell(tmp_path, model={**MLP, "activation": "sigmoid"}),
        make_cell(tmp_path, dataset={"name": "npz", "path": "other.npz"}),
    ]
    weights = [values(tuple(stage(cell).observations[0].model.parameters())) for cell in (*same_victim, *changed)]
    assert len(same_victim) == 16
    assert all(torch.equal(weights[0], others) for others in weights[1:16])
    assert all(weights[0].shape == others.shape and not torch.equal(weights[0], others) for others in weights[16:])


def test_a_victim_does_not_depend_on_what_the_process_drew_before(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    torch.manual_seed(1)
    first = stage(cell).observations[0]
    torch.rand(17)
    state = torch.get_rng_state()
    second = stage(cell).observations[0]
    assert same(tuple(first.model.parameters()), tuple(second.model.parameters()))
    assert torch.equal(torch.get_rng_state(), state)


# Defences, through the whole game


def test_a_clipped_update_is_no_longer_than_its_norm_and_keeps_its_direction(tmp_path: Path) -> None:
    bare, clipped = (staged(tmp_path, defense=d).observations for d in ("none", {"name": "clip", "norm": 0.3}))
    for before, after in zip(bare, clipped, strict=True):
        assert length(before.update) > 0.5
        assert length(after.update) == pytest.approx(0.3, rel=1e-5)
        scaled = values(before.update) * (0.3 / length(before.update))
        torch.testing.assert_close(values(after.update), scaled, rtol=1e-5, atol=1e-8)


def test_a_clip_above_the_norm_and_noise_of_std_0_are_no_defence(tmp_path: Path) -> None:
    stacks = ["none", {"name": "clip", "norm": 1e6}, {"name": "gaussian", "std": 0.0}]
    bare, *idle = (stage(cell).observations for cell in make_cells(tmp_path, defense=stacks))
    for observations in idle:
        assert all(same(a.update, b.update) for a, b in zip(bare, observations, strict=True))


def test_per_example_clip_bounds_every_picture_s_own_gradient(tmp_path: Path) -> None:
    clip = {"name": "per-example-clip", "norm": 0.2}
    bare, clipped = (staged(tmp_path, defense=d, batch_size=3) for d in ("none", clip))
    mean, std = bare.observations[0].channel_constants()
    for k, (before, after) in enumerate(zip(bare.observations, clipped.observations, strict=True)):
        weights = {name: p.detach() for name, p in before.model.named_parameters()}
        each = []
        for picture, label in zip(torch.from_numpy(originals(bare)[k]), before.labels, strict=True):
            one = values(gradient(before.model, weights, {}, ((picture - mean) / std)[None], label[None])).detach()
            assert one.norm() > 0.2
            each.append(one * 0.2 / one.norm())
        torch.testing.assert_close(values(after.update), torch.stack(each).mean(dim=0), rtol=1e-4, atol=1e-7)


def test_top_k_shares_exactly_its_share_and_what_it_shares_is_unchanged(tmp_path: Path) -> None:
    bare, sparse = (staged(tmp_path, defense=d).observations for d in ("none", {"name": "top-k", "fraction": 0.1}))
    for before, after in zip(bare, sparse, strict=True):
        full, kept = values(before.update), values(after.update)
        assert int((kept != 0).sum()) == round(0.1 * len(full))
        assert torch.equal(kept[kept != 0], full[kept != 0])
        assert full[kept != 0].abs().min() >= full[kept == 0].abs().max()


def test_a_stack_acts_in_its_order(tmp_path: Path) -> None:
    clip, noise = {"name": "clip", "norm": 0.3}, {"name": "gaussian", "std": 1.0}
    noise_last, clip_last = make_cells(tmp_path, defense=[[clip, noise], [noise, clip]])
    assert all(length(seen.update) > 10 for seen in stage(noise_last).observations)
    assert all(length(seen.update) == pytest.approx(0.3, rel=1e-5) for seen in stage(clip_last).observations)


# The control `noise`


def test_noise_has_the_size_of_the_update_tensor_by_tensor_and_nothing_else_of_it(tmp_path: Path) -> None:
    played = staged(tmp_path, attack=LENET_ATTACK, model="lenet", batch_size=2)
    for seen, noise in zip(played.observations, noises(played.cell), strict=True):
        sizes = [tensor.norm().item() for tensor in seen.update]
        assert [tensor.norm().item() for tensor in noise.update] == pytest.approx(sizes, rel=1e-5)
        assert [t.shape for t in noise.update] == [t.shape for t in seen.update]
        cosine = torch.cosine_similarity(values(noise.update), values(seen.update), dim=0)
        assert abs(cosine) < 5 / np.sqrt(len(values(seen.update)))
        assert noise.public.model == seen.public.model
        assert torch.equal(noise.labels, seen.labels)


def test_the_attack_on_noise_has_the_attack_s_own_start_and_a_model_of_its_own(tmp_path: Path) -> None:
    played = staged(tmp_path)
    seen = played.observations[0]
    torch.rand(5, generator=seen.generator)  # the attack has run already
    seen.model.requires_grad_(False)
    noise, other = noises(played.cell)
    fresh = staged(tmp_path).observations[0]
    assert torch.equal(torch.rand(5, generator=noise.generator), torch.rand(5, generator=fresh.generator))
    assert noise.model is not seen.model
    assert not same(noise.update, other.update)
    assert same(noise.update, noises(played.cell)[0].update)


# Several clients


CLIENTS = {"name": "fedsgd", "clients": 3}


def test_a_target_of_several_clients_takes_the_next_pictures_of_all(tmp_path: Path) -> None:
    together = staged(tmp_path, attack=LENET_ATTACK, model="lenet", batch_size=2, protocol=CLIENTS)
    alone = staged(tmp_path, attack=LENET_ATTACK, model="lenet", batch_size=6)
    public = together.observations[0].public
    assert (public.batch_size, public.clients, public.pictures) == (2, 3, 6)
    assert np.array_equal(originals(together), originals(alone))
    assert originals(together).shape == (2, 6, 3, 16, 16)
    for averaged, whole in zip(together.observations, alone.observations, strict=True):
        assert torch.equal(averaged.labels, whole.labels)
        torch.testing.assert_close(averaged.update, whole.update)  # equal shares of one batch: the same mean gradient


def test_each_client_defends_its_own_update(tmp_path: Path) -> None:
    clip = {"name": "clip", "norm": 1e-3}
    said = {"attack": LENET_ATTACK, "model": "lenet", "batch_size": 2}
    together = staged(tmp_path, protocol=CLIENTS, defense=clip, **said)
    [first, *_] = staged(tmp_path, protocol=CLIENTS, **said).observations
    assert length(together.observations[0].update) < 1e-3  # clipped each to that length, in directions of their own
    assert length(first.update) > 1e-3


def test_too_many_clients_for_the_pool_are_unsupported_with_both_counts(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=LENET_ATTACK, batch_size=2, targets=3, protocol=CLIENTS)
    assert reason(cell) == "3 batches of 6 need 18 pictures; the target pool has 12"


AIMING = """
from dataclasses import dataclass
import torch
from invbench.attacks import UpdateAttack
from invbench.observation import Guess
from invbench.registry import attack

@attack(game="update", aims="client")
@dataclass(frozen=True, kw_only=True)
class Aiming(UpdateAttack):
    '''After the first client's pictures.'''

    def __call__(self, seen):
        return Guess(images=torch.zeros(seen.public.batch_size, *seen.public.image_shape))
"""


def test_an_attack_that_aims_at_one_client_is_scored_on_its_pictures_and_the_notes_say_so(tmp_path: Path) -> None:
    with plugged(tmp_path, {"attacks.aiming": AIMING}):
        played = staged(tmp_path, attack="aiming", model="lenet", batch_size=2, protocol=CLIENTS)
        whole = staged(tmp_path, attack=LENET_ATTACK, model="lenet", batch_size=2, protocol=CLIENTS)
        assert np.array_equal(originals(played), originals(whole)[:, :2])
        assert "the attack aims at one of 3 clients: 2 pictures a target count" in played.notes
        assert not any("aims" in note for note in whole.notes)
        assert same(played.observations[0].update, whole.observations[0].update)


# BatchNorm with the statistics of the batch


def test_in_train_mode_batch_norm_takes_the_batch_s_own_statistics_and_overwrites_nothing(tmp_path: Path) -> None:
    said = {"attack": LENET_ATTACK, "model": {"name": "convnet", "width": 2}, "batch_size": 2}
    trains = staged(tmp_path, protocol={"name": "fedsgd", "batch_norm": "train"}, **said)
    evaluates = staged(tmp_path, **said)
    [seen, *_], [other, *_] = trains.observations, evaluates.observations
    assert not same(seen.update, other.update)
    assert not any("running" in name for name, _ in seen.model.named_buffers())
    assert not any("running" in name for name, _ in seen.public.network.named_buffers())
    assert any("running" in name for name, _ in other.public.network.named_buffers())

    client = stage(make_cell(tmp_path, **said)).observations[0].model.train()
    images = torch.from_numpy(originals(evaluates)[0])
    mean, std = seen.channel_constants()
    client.zero_grad()
    nn.functional.cross_entropy(client((images - mean) / std), seen.labels).backward()
    torch.testing.assert_close(seen.update, tuple(p.grad for p in client.parameters()))


# What cannot be played


def reason(cell: Cell) -> str:
    why = UpdateGame().unsupported(cell)
    assert why is not None
    return why


def test_a_pool_with_too_few_pictures_is_unsupported_with_both_counts(tmp_path: Path) -> None:
    assert UpdateGame().unsupported(make_cell(tmp_path, batch_size=4, targets=3)) is None
    assert reason(make_cell(tmp_path, batch_size=5, targets=3)) == (
        "3 batches of 5 need 15 pictures; the target pool has 12"
    )
    assert UpdateGame().unsupported(make_cell(tmp_path, batch_size=4, targets=2, offset=1)) is None
    assert reason(make_cell(tmp_path, batch_size=4, targets=2, offset=2)) == (
        "2 batches of 4 from batch 2 on need 16 pictures; the target pool has 12"
    )


def test_a_trained_victim_leaves_fewer_targets(tmp_path: Path) -> None:
    trained = {**MLP, "trained": True}  # 2 of each 4 pictures train
    assert UpdateGame().unsupported(make_cell(tmp_path, model=trained, targets=6)) is None
    assert "need 7 pictures; the target pool has 6" in reason(make_cell(tmp_path, model=trained, targets=7))


def test_a_trained_victim_without_a_training_pool_is_unsupported(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", labels=np.arange(12))  # one picture a class: none trains
    assert UpdateGame().unsupported(make_cell(tmp_path)) is None
    assert "trains on" in reason(make_cell(tmp_path, model={**MLP, "trained": True}))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"dataset": {"name": "warfarin", "sensitive": "vkorc1"}}, "warfarin"),
        ({"model": "iwpc"}, "iwpc is not of that kind"),
    ],
)
def test_a_table_of_people_is_no_data_of_this_game(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    assert why in reason(make_cell(tmp_path, **said))


def test_a_victim_that_cannot_take_the_pictures_says_why(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", crops(12, side=3))
    why = reason(make_cell(tmp_path, attack=LENET_ATTACK, model={"name": "lenet", "pool": "max"}))
    assert "3 x 3" in why or "4" in why
    assert UpdateGame().unsupported(make_cell(tmp_path, attack=LENET_ATTACK, model="lenet")) is None


# Trained victims

TRAINED = {**MLP, "trained": True, "training_steps": 5}


def test_defences_of_a_training_need_one(tmp_path: Path) -> None:
    idle = make_cell(tmp_path, defense=[{"name": "dp-sgd", "batch": 2}])
    assert "is not `trained`" in reason(idle)
    assert (
        UpdateGame().unsupported(make_cell(tmp_path, model=TRAINED, defense=[{"name": "dp-sgd", "batch": 2}])) is None
    )
    much = make_cell(tmp_path, model=TRAINED, defense=[{"name": "dp-sgd", "batch": 7}])
    assert "batches of 7 on average, but there are 6 training examples" in reason(much)


def test_a_trained_victim_is_attacked_with_pictures_that_never_trained_it(tmp_path: Path) -> None:
    images, labels = crops(12), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2])
    write_pool(tmp_path / "pool.npz", images, labels)  # 70 % rounded down: 2, 3 and 2 of each class train
    held = originals(staged(tmp_path, model=TRAINED, targets=5))
    assert np.allclose(held[:, 0] * 255, images[[2, 3, 7, 8, 11]], atol=1e-3)


def test_a_victim_is_trained_once_and_differs_from_its_start(tmp_path: Path) -> None:
    cells = make_cells(tmp_path, model=[TRAINED], batch_size=[1, 2], defense=["none", "sign"])
    weights = []
    for cell in cells:
        (victim,) = UpdateGame().artefacts(cell)
        weights.append(values(tuple(stage(cell).observations[0].model.parameters())))
        assert victim.made
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
    assert all(torch.equal(weights[0], others) for others in weights[1:])
    other_length = staged(tmp_path, model={**TRAINED, "training_steps": 6}).observations[0].model
    assert not torch.equal(weights[0], values(tuple(other_length.parameters())))


def test_training_repeats_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_cell(tmp_path, model=TRAINED)
    first = stage(cell).observations[0].model
    torch.rand(3)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "another"))
    assert same(tuple(first.parameters()), tuple(stage(cell).observations[0].model.parameters()))


def test_training_learns_its_pool(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, model={**MLP, "width": 32, "trained": True, "training_steps": 150})
    seen = stage(cell).observations[0]
    pool = cell.dataset.build(Dataset).load()
    mean, std = seen.channel_constants()
    inputs = (torch.from_numpy(pool.unit(pool.train)) - mean) / std
    right = seen.model(inputs).argmax(dim=1).numpy() == pool.labels[pool.train]
    assert right.all()


@pytest.mark.parametrize("change", [{"seed": 1}, {"dataset": {"name": "npz", "path": "pool.npz", "mean": [0.5] * 3}}])
def test_another_seed_or_normalisation_trains_another_victim(tmp_path: Path, change: dict[str, Any]) -> None:
    name: Callable[[Cell], str] = lambda cell: UpdateGame().artefacts(cell)[0].name  # noqa: E731
    assert name(make_cell(tmp_path, model=TRAINED)) != name(make_cell(tmp_path, model=TRAINED, **change))


def test_an_untrained_victim_needs_nothing_made(tmp_path: Path) -> None:
    assert UpdateGame().artefacts(make_cell(tmp_path)) == ()


@pytest.mark.parametrize(
    ("lr", "said"),
    [(1e300, "not finite: the clients' own computing diverged"), (1e-300, "zero: nothing was shared"), (0.1, None)],
)
def test_a_note_says_where_an_update_holds_nothing_that_could_be_read(
    tmp_path: Path, lr: float, said: str | None
) -> None:
    cell = make_cell(tmp_path, attack=EXACT, model=MLP, protocol={"name": "fedavg", "steps": 1, "lr": lr})
    notes = [note for note in UpdateGame().deal(cell, torch.device("cpu")).notes if note.startswith("the update of")]
    assert notes == ([] if said is None else [f"the update of 2 of 2 targets is {said}"])


def test_the_note_on_undetermined_pictures_counts_what_the_defence_let_through(tmp_path: Path) -> None:
    def told(fraction: float) -> list[str]:
        cell = make_cell(tmp_path, model="mlp", defense={"name": "random-k", "fraction": fraction})
        notes = UpdateGame().deal(cell, torch.device("cpu")).notes
        return [note for note in notes if "does not determine them" in note]

    [few] = told(1e-4)  # 26 entries, of which those of silent units are zero by themselves
    assert few == "an update tells at most 13 numbers and its pictures have 768: it does not determine them"
    assert not told(0.5)
