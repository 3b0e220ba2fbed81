"""Units that rarely fire read more of a batch than honest ones, the fewer pictures the more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from read_pictures import share
from small_cells import crops, make_cell, write_pool

from invbench.attacks.trap_weights import TrapWeights
from invbench.cell import Cell
from invbench.games import Deal
from invbench.games.update import UpdateGame
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt
from invbench.play.playing import play

CPU = torch.device("cpu")
MLP = {"name": "mlp", "width": 200, "depth": 1}


def cell_of(folder: Path, batch: int, **said: Any) -> Cell:
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", crops(200))
    said = {"attack": "trap-weights", "model": MLP, "targets": 2, "protocol": {"name": "fedsgd", "public": 80}, **said}
    return make_cell(folder, batch_size=batch, **said)


def exact(cell: Cell, deal: Deal[Any, Any]) -> float:
    """The share of pictures above 80 dB."""
    return share(cell, deal, above=80)


def test_fewer_pictures_are_read_better_and_honest_weights_tell_hardly_any(tmp_path: Path) -> None:
    found = {}
    for batch in (10, 40):
        cell = cell_of(tmp_path, batch)
        found[batch] = exact(cell, dealt(cell, CPU)), exact(cell, UpdateGame().deal(cell, CPU))
    assert found[10][0] > found[40][0] > found[40][1]
    assert found[10][0] > found[10][1] + 0.2


def test_one_picture_is_exact_with_its_label(tmp_path: Path) -> None:
    record = play(cell_of(tmp_path, 1), "cpu").record
    assert min(value for target in record.scores["psnr"] for value in target) > 90
    assert record.scores["label_accuracy"] == [[1.0], [1.0]]


def test_normalisation_that_is_not_folded_in_loses_the_traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of(tmp_path, 20)
    right = exact(cell, dealt(cell, CPU))
    monkeypatch.setattr("invbench.attacks.trap_weights.folded", lambda rows, mean, std: (rows, torch.zeros(len(rows))))
    assert exact(cell, dealt(cell, CPU)) < right - 0.2


def test_every_client_is_given_the_same_and_another_victim_something_else(tmp_path: Path) -> None:
    public = UpdateGame().public(cell_of(tmp_path, 4))
    weights = [{"1.weight": torch.full((8, 768), value), "1.bias": torch.zeros(8)} for value in (0.0, 1.0)]
    one, again, other = (
        TrapWeights().craft(public, weights[k], client)["1.weight"] for k, client in ((0, 0), (0, 5), (1, 0))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"model": "lenet"}, "lenet starts with a Conv2d, then a Sigmoid"),
        ({"model": {"name": "mlp", "bias": False}}, "a Linear without bias"),
        ({"model": {"name": "mlp", "activation": "tanh"}}, "a Linear, then a Tanh"),
        ({"model": "linear"}, "a Linear, then nothing"),
        ({"protocol": "fedsgd"}, "say `public: NUMBER` in the protocol, or `scale`"),
        ({"protocol": {"name": "fedavg", "public": 80}}, "exact multiple of one gradient"),
    ],
)
def test_what_it_needs(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(cell_of(tmp_path, 4, **said)))


def test_a_scale_of_one_s_own_needs_no_pictures(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, 4, attack={"name": "trap-weights", "scale": 0.9}, protocol="fedsgd")
    assert why_unsupported(cell) is None
    assert cell.names["attack"] == "trap-weights(scale=0.9) (malicious server)"
