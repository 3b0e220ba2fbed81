"""Every client's pictures out of the sum of FedAvg updates, by kernels that each was given alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from read_pictures import share
from small_cells import crops, make_cell, write_pool

from invbench.cell import Cell
from invbench.games import Deal
from invbench.games.update import UpdateGame
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt
from invbench.play.playing import play

CPU = torch.device("cpu")
FEDAVG = {"name": "fedavg", "clients": 3, "steps": 4, "local_batch_size": 2, "lr": 1e-3, "public": 60}


def cell_of(folder: Path, batch: int = 8, *, protocol: dict[str, Any] | None = None, **said: Any) -> Cell:
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", crops(160))
    said = {"attack": "loki", "model": "lenet", "targets": 2, **said}
    return make_cell(folder, batch_size=batch, protocol=FEDAVG | (protocol or {}), **said)


def read(cell: Cell, deal: Deal[Any, Any]) -> float:
    """The share of pictures above 25 dB: their scale is known up to half a bin."""
    return share(cell, deal, above=25)


@pytest.mark.parametrize("defense", ["none", "secure-aggregation"])
def test_most_pictures_of_all_clients_are_read_out_of_their_sum(defense: str, tmp_path: Path) -> None:
    cell = cell_of(tmp_path, defense=defense)
    assert read(cell, dealt(cell, CPU)) > 0.75


def test_one_client_of_one_step_is_read_too_and_the_honest_network_tells_nothing(tmp_path: Path) -> None:
    cell = cell_of(tmp_path, protocol={"name": "fedavg", "clients": 1})
    assert read(cell, dealt(cell, CPU)) > 0.75
    assert read(cell, UpdateGame().deal(cell, CPU)) < 0.2


def test_it_is_marked_and_clients_that_compare_their_models_share_nothing(tmp_path: Path) -> None:
    assert cell_of(tmp_path).names["attack"] == "loki (malicious server, module added)"
    assert "model_check" in str(why_unsupported(cell_of(tmp_path, protocol={"model_check": True})))
    assert "say `public: NUMBER`" in str(why_unsupported(cell_of(tmp_path, protocol={"public": 0})))


def test_a_record_has_what_a_client_could_check(tmp_path: Path) -> None:
    record = play(cell_of(tmp_path, 2, protocol={"local_batch_size": 1, "steps": 2}), "cpu").record
    assert record.status == "ok", record.reason
    assert all(value[0] > 0 for value in record.scores["d_snr"])


def test_of_clients_whose_computing_diverged_it_answers_nothing(tmp_path: Path) -> None:
    record = play(cell_of(tmp_path, protocol={"lr": 1e300}), "cpu").record
    assert record.status == "ok", record.reason
    assert any(note.startswith("the update is not finite") for note in record.notes)
