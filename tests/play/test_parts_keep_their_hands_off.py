"""What a part does to what it is handed, no other part sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_cells import make_cell, plugged

from invbench import registry
from invbench.play.playing import play
from invbench.play.preparing import preparations

DEFENSE = '''
from invbench.defenses import Defense
from invbench.registry import defense


@defense
class Stained(Defense):
    """Overwrites what it is given."""

    def inputs(self, value, context):
        images, labels = value
        images.zero_()
        labels.fill_(2)
        return images, labels
'''
PROTOCOL = '''
from dataclasses import dataclass

from invbench.protocol import Multiple, Shared, UpdateProtocol
from invbench.registry import protocol


@protocol(games=("update",), axes=("batch_size",))
@dataclass(frozen=True, kw_only=True)
class Fading(UpdateProtocol):
    """Halves the weights that it is given."""

    def share(self, network, weights, buffers, images, labels, draws, gradient):
        update = gradient(network, weights, buffers, images, labels)
        for weight in weights.values():
            weight.mul_(0.5)
        return Shared(update)

    def multiple(self, batch_size):
        return Multiple(1.0, exact=True)
'''
METRIC = """
import numpy as np

from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric


def values(pictures, originals):
    pictures[:] = originals
    return np.zeros(len(originals))


METRIC = Metric(column=Column("a", "a"), games=("update",), inputs=("pictures", "originals"), values=values)
"""


def test_a_defence_that_overwrites_its_input_changes_no_truth(tmp_path: Path) -> None:
    with plugged(tmp_path, {"defenses.stained": DEFENSE}):
        plain, stained = (
            play(
                make_cell(tmp_path, attack="idlg", defense=name, protocol={"name": "fedsgd", "labels": "hidden"}), "cpu"
            )
            for name in ("none", "stained")
        )
    assert stained.record.reason is None
    assert plain.arrays is not None
    assert stained.arrays is not None
    assert (plain.arrays["labels"] == stained.arrays["labels"]).all()
    assert (plain.arrays["originals"] == stained.arrays["originals"]).all()


def test_a_protocol_that_overwrites_the_weights_does_so_for_its_own_client(tmp_path: Path) -> None:
    with plugged(tmp_path, {"protocol.fading": PROTOCOL}):
        fading, plain = (
            play(make_cell(tmp_path, protocol=protocol, attack="analytic"), "cpu").record
            for protocol in ("fading", "fedsgd")
        )
    assert fading.reason is None
    assert fading.status == plain.status == "ok"
    assert fading.scores == plain.scores


def test_a_metric_that_overwrites_the_pictures_moves_no_other_metric(tmp_path: Path) -> None:
    plain = play(make_cell(tmp_path), "cpu").record
    with plugged(tmp_path, {"metrics.a": METRIC}):
        stained = play(make_cell(tmp_path), "cpu").record
    assert stained.scores.pop("a") == [[0.0], [0.0]]
    assert stained.scores == plain.scores


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('games="update"', "games must be a list of names"),
        ('games=("update",), version="two"', "version must be a whole number"),
        ('games=("update",), version=0', "version must be a whole number"),
    ],
)
def test_a_decorator_refuses_what_it_cannot_mean(mark: str, said: str, tmp_path: Path) -> None:
    source = f'from invbench.registry import protocol\n\n\n@protocol({mark})\nclass Odd:\n    """Odd."""\n'
    with (
        plugged(tmp_path, {"protocols.odd": source, "protocol.odd": source}),
        pytest.raises(registry.BrokenPart, match=said),
    ):
        registry.load("protocol", "odd")


def test_a_module_that_leaves_is_broken_and_ends_nothing(tmp_path: Path) -> None:
    source = "import sys\nsys.exit(0)\n"
    with plugged(tmp_path, {"attacks.leaving": source}), pytest.raises(registry.BrokenPart, match="SystemExit"):
        registry.load("attack", "leaving")


PREPARING = """
import torch

from invbench.attacks import UpdateAttack
from invbench.observation import Preparation
from invbench.registry import attack


@attack(game="update")
class Preparing(UpdateAttack):
    def preparations(self, public):
        same = {"what": "something", "key": {}}
        return {
            "zeros": Preparation(make=lambda made: {"x": torch.zeros(1)}, **same),
            "ones": Preparation(make=lambda made: {"x": torch.ones(1)}, **same),
            "again": Preparation(make=lambda made: {"x": torch.ones(1)}, **same),
        }
"""


def test_two_preparations_of_one_key_are_one_only_where_they_do_the_same(tmp_path: Path) -> None:
    with plugged(tmp_path, {"attacks.preparing": PREPARING}):
        found = preparations(make_cell(tmp_path, attack="preparing"))
    assert found["zeros"].name != found["ones"].name == found["again"].name


def test_a_preparation_has_one_name_in_every_process() -> None:
    code = (
        "from invbench.play.preparing import _body\n"
        "print(_body(lambda made: {'x': 1} if 'a' in {'a', 'b', 'c', 'd'} else ('e', lambda: {'f', 'g'})))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
