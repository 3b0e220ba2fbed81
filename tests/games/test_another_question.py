"""A game of another package that asks something else of what clients share is served by every protocol of updates."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cells import MLP, make_cell, make_cells, plugged, write_pool

from invbench import registry
from invbench.play.playing import play

GAME = '''
from dataclasses import dataclass

import numpy as np

from invbench.games import Deal, Game
from invbench.games.update import UpdateGame
from invbench.registry import game


@dataclass(frozen=True, eq=False)
class Bright(Deal):
    observations: tuple
    truth: np.ndarray  # (targets,): whether the first picture of each batch is bright

    def score(self, answers):
        return {"right": [[float(answer == truth)] for answer, truth in zip(answers, self.truth)]}

    def arrays(self, answers):
        return {"truth": self.truth}


@game(data="images", axes=("attack", "model", "defense"), protocol="fedsgd", protocols_of=("update",))
@dataclass(frozen=True, kw_only=True)
class Brightness(Game):
    """Is the first picture of the batch bright?"""

    def unsupported(self, cell):
        return UpdateGame().unsupported(cell)

    def public(self, cell):
        return UpdateGame().public(cell)

    def deal(self, cell, device):
        dealt = UpdateGame().deal(cell, device)
        return Bright(dealt.observations, np.array([truth.images[0].mean() > 0.5 for truth in dealt.truths]))
'''
ATTACK = '''
from dataclasses import dataclass

from invbench.core.attack import Attack
from invbench.registry import attack


class Yes(int):
    evaluations, diverged, objective, notes, facts, stopped = 0, False, None, (), {}, {}


@attack(game="brightness")
@dataclass(frozen=True, kw_only=True)
class Guessing(Attack):
    """Always yes."""

    def __call__(self, seen):
        return Yes(1)
'''


@pytest.mark.parametrize("protocol", ["fedsgd", {"name": "fedavg", "steps": 2}])
def test_every_protocol_of_updates_serves_it_and_none_of_another_game(protocol: object, tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz")
    with plugged(tmp_path, {"games.brightness": GAME, "attacks.guessing": ATTACK}):
        [cell] = make_cells(tmp_path, attack="guessing", model=MLP, batch_size=2, defense="none", protocol=protocol)
        record = play(cell, "cpu").record
        assert (record.status, record.reason) == ("ok", None)
        assert len(record.scores["right"]) == cell.targets
        assert registry.serves(registry.load("protocol", "fedavg"), "brightness")
        assert not registry.serves(registry.load("protocol", "fedavg"), "attribute")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("zip(answers, self.truth)]", "zip(answers, self.truth)][1:]", "scored 1 targets of 2 by right"),
        ("Bright(dealt.observations,", "Bright(dealt.observations[:1],", "dealt 1 observations for 2 targets"),
        (
            "def arrays(",
            'def limits(self):\n        return {"right": [[0.0], [0.0]]}\n\n    def arrays(',
            "score and a limit",
        ),
    ],
)
def test_a_game_that_miscounts_is_a_failed_cell(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    assert right in GAME
    with plugged(tmp_path, {"games.brightness": GAME.replace(right, wrong), "attacks.guessing": ATTACK}):
        record = play(make_cell(tmp_path, attack="guessing", model=MLP, batch_size=2), "cpu").record
    assert record.status == "failed"
    assert said in (record.reason or "")


def test_a_control_that_no_game_makes_is_said(tmp_path: Path) -> None:
    sheet = """
from invbench.numbers.columns import Column
from invbench.numbers.sheet import Noun, Sheet

SHEET = Sheet(columns=(Column("right", "right"),), item=Noun("batch", "batches"), controls=("coin",))
"""
    with plugged(tmp_path, {"games.brightness": GAME, "attacks.guessing": ATTACK, "sheets.brightness": sheet}):
        record = play(make_cell(tmp_path, attack="guessing", model=MLP, batch_size=2, controls=["coin"]), "cpu").record
    assert record.status == "failed"
    assert "made no control 'coin', which its sheet names" in (record.reason or "")
