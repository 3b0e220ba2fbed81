"""The wall: an attack needs its observation and nothing else, and an observation holds nothing of the truth.

Every attack answers twice: here, where game, data and truth are in memory, and in a fresh process that is
given the pickled observations and never imports a game, a data set or a metric.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_cells import MLP, write_pool

import invbench
from invbench import matrix, registry
from invbench.attacks import Attack
from invbench.cell import Cell
from invbench.games import Game
from invbench.games.update import UpdateDeal, UpdateGame
from invbench.play.asking import why_unsupported

SEALED = ("games", "scoring", "data", "metrics", "play", "store", "matrix", "cell", "core.artefacts", "runs")
"""What the fresh process must have had no use for. What a declared defence does to an update is public."""

ATTACKER = """
import pickle, sys
from invbench import registry
from invbench.attacks import Attack

answers = {}
for key, (name, settings, observations) in pickle.load(sys.stdin.buffer).items():
    attack = registry.load("attack", name).build(settings, Attack)
    answers[key] = attack.attack_all(pickle.loads(observations))
sys.stdout.buffer.write(pickle.dumps((answers, sorted(sys.modules))))
"""

BRIEF = {"iterations": 3, "restarts": 2, "evaluations": 4}
NOISE = {"name": "gaussian", "std": 0.001}
VICTIMS = [("lenet", 1), ("lenet", 2), (MLP, 1)]
PEOPLE = [{"name": "warfarin", "sensitive": sensitive} for sensitive in ("vkorc1", "cyp2c9")]


@dataclass(frozen=True)
class Answers:
    """Guesses by attack and cell, from this process and from the fresh one, and the modules that one had."""

    here: dict[tuple[str, str], list[Any]]
    there: dict[tuple[str, str], list[Any]]
    modules: list[str]


def names(game: str) -> list[str]:
    return [name for name in registry.names("attack") if registry.load("attack", name).facts["game"] == game]


def briefly(name: str) -> dict[str, Any]:
    """The attack as a matrix writes it, cut short where it iterates."""
    known = registry.load("attack", name).parameters
    return {"name": name, **{key: value for key, value in BRIEF.items() if key in known}}


def cell(folder: Path, **said: Any) -> Cell:
    (folder / "m.yaml").write_text(yaml.safe_dump({"targets": 2, **said}))
    (only,) = matrix.load(folder / "m.yaml", []).cells
    return only


def cells(folder: Path) -> list[Cell]:
    """Every attack on every victim, person or protocol that it supports."""
    write_pool(folder / "pool.npz")
    pictures = {"name": "npz", "path": "pool.npz"}
    found = []
    for name in names("update"):
        for model, batch in VICTIMS:
            grid = {"attack": [briefly(name)], "model": [model], "batch_size": [batch], "defense": ["none"]}
            found.append(cell(folder, dataset=pictures, grid=grid))
            hidden = {**grid, "protocol": [{"name": "fedsgd", "labels": "hidden"}], "defense": [NOISE]}
            found.append(cell(folder, dataset=pictures, grid=hidden))
    for name in names("attribute"):
        found += [cell(folder, dataset=data, grid={"attack": [name], "model": ["iwpc"]}) for data in PEOPLE]
    return [one for one in found if why_unsupported(one) is None]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder, elsewhere = tmp_path_factory.mktemp("game"), tmp_path_factory.mktemp("attacker")
    here, jobs = {}, {}
    for one in cells(folder):
        key = one.attack.name, one.id
        observations = registry.load("game", one.game).build({}, Game).deal(one, torch.device("cpu")).observations
        jobs[key] = (one.attack.name, dict(one.attack.settings), pickle.dumps(observations))
        here[key] = one.attack.build(Attack).attack_all(observations)
    root = Path(invbench.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", ATTACKER],
        input=pickle.dumps(jobs),
        stdout=subprocess.PIPE,
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=120,
    )
    there, modules = pickle.loads(done.stdout)
    return Answers(here, there, modules)


def same_bits(one: Any, two: Any) -> bool:
    """Every field equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and one.numpy().tobytes() == two.numpy().tobytes()
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(two) and all(same_bits(getattr(one, f), getattr(two, f)) for f in vars(one))
    return bool(one == two)


@pytest.mark.parametrize("name", [*names("update"), *names("attribute")])
def test_an_attack_gives_the_same_bits_where_game_data_and_truth_do_not_exist(name: str, answers: Answers) -> None:
    keys = [key for key in answers.here if key[0] == name]
    assert keys  # there is a cell that it supports
    for key in keys:
        assert len(answers.here[key]) == 2
        assert all(same_bits(a, b) for a, b in zip(answers.here[key], answers.there[key], strict=True))
        assert not same_bits(answers.here[key][0], answers.here[key][1])  # the comparison can tell two guesses apart


def test_the_attacker_had_no_use_for_what_stands_behind_the_wall(answers: Answers) -> None:
    sealed = tuple(f"invbench.{folder}" for folder in SEALED)
    assert [module for module in answers.modules if module.startswith(sealed)] == []
    assert "invbench.attacks" in answers.modules


@pytest.fixture
def played(tmp_path: Path) -> UpdateDeal:
    write_pool(tmp_path / "pool.npz")
    grid = {"attack": ["dlg"], "model": ["lenet"], "batch_size": [1], "defense": ["none"]}
    hidden = {**grid, "protocol": [{"name": "fedsgd", "labels": "hidden"}]}
    staged = cell(tmp_path, dataset={"name": "npz", "path": "pool.npz"}, grid=hidden)
    return UpdateGame().deal(staged, torch.device("cpu"))


def test_no_picture_crosses_the_wall(played: UpdateDeal) -> None:
    for seen, truth in zip(played.observations, played.truths, strict=True):
        picture = torch.from_numpy(truth.images)
        mean, std = seen.channel_constants()
        crossed = pickle.dumps(seen)
        for kept in (picture, (picture - mean) / std, (picture * 255).round().to(torch.uint8)):
            assert kept.numpy().tobytes() not in crossed
            assert kept.numpy().tobytes() in pickle.dumps(replace(seen, update=(kept,)))  # it would have been seen
        assert seen.labels is None
        assert not any(tensor.requires_grad or tensor.grad_fn for tensor in seen.update)
        assert all(p.grad is None for p in seen.model.parameters())
