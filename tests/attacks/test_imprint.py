"""A module in front of the network holds the pictures of a batch one by one, and every table says that it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from read_pictures import share
from small_cells import MLP, crops, make_cell, plugged, write_pool

from invbench.attacks.imprint import ImprintAttack
from invbench.cell import Cell
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt
from invbench.play.forecasting import forecast
from invbench.play.playing import play
from invbench.registry import attack as mark

SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10-train-4660.npz"
CPU = torch.device("cpu")


def cell_of(folder: Path, batch: int, *, bins: int = 100, public: int = 60, **said: Any) -> Cell:
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", crops(160))
    said = {"attack": {"name": "imprint", "bins": bins}, "model": "lenet", "targets": 2, **said}
    protocol = {"name": "fedsgd", "public": public, **said.pop("protocol", {})}
    return make_cell(folder, batch_size=batch, protocol=protocol, **said)


def exact(cell: Cell) -> float:
    """The share of pictures above 80 dB."""
    return share(cell, dealt(cell, CPU), above=80)


@pytest.mark.parametrize("structure", ["cumulative", "sparse"])
def test_one_picture_is_read_above_90_db(structure: str, tmp_path: Path) -> None:
    attack = {"name": "imprint", "bins": 20, "structure": structure}
    record = play(cell_of(tmp_path, 1, attack=attack), "cpu").record
    assert min(value for target in record.scores["psnr"] for value in target) > 90
    assert record.scores["label_accuracy"] == [[1.0], [1.0]]


def test_as_many_of_a_batch_are_exact_as_are_alone_in_their_bin(tmp_path: Path) -> None:
    share = exact(cell_of(tmp_path, 16, targets=4))
    assert share == pytest.approx(0.99**15, abs=0.2)  # 0.86; four batches are sure to 0.07
    assert exact(cell_of(tmp_path, 16, bins=4, targets=2)) < 0.4


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared 4,660 pictures of CIFAR-10")
def test_of_64_in_1000_bins_60_are_exact(tmp_path: Path) -> None:
    """`benchmarks/imprint.py` measures 20 batches; two are sure to 0.03."""
    dataset = {"name": "npz", "path": str(SHARED)}
    cell = cell_of(tmp_path, 64, attack="imprint", dataset=dataset, public=3380, targets=2)
    assert exact(cell) == pytest.approx(60.09 / 64, abs=0.09)


def test_noise_in_the_update_s_place_tells_nothing_and_is_of_the_crafted_model(tmp_path: Path) -> None:
    record = play(cell_of(tmp_path, 2, bins=20, controls=["noise"], targets=2), "cpu").record
    assert record.status == "ok", record.reason
    read, noise = (sum(map(sum, of["psnr"])) / 4 for of in (record.scores, record.controls["noise"]))
    assert read > noise + 20
    assert len(record.scores["d_snr"]) == len(record.scores["d_snr_honest"]) == 2


def test_every_table_says_that_a_module_was_added(tmp_path: Path) -> None:
    assert cell_of(tmp_path, 2).names["attack"] == "imprint(bins=100) (malicious server, module added)"


def test_clients_are_given_one_model_whose_bins_follow_from_the_attacker_s_own_pictures(tmp_path: Path) -> None:
    deals = [dealt(cell_of(tmp_path, 2, offset=k, protocol={"clients": 2, "model_check": True}), CPU) for k in (0, 1)]
    first, other = (deal.observations[0].model.state_dict() for deal in deals)
    public = deals[0].observations[0].public
    assert {name.partition(".")[0] for name in first} == {"inserted", "victim"}
    assert [name for name, _ in public.network.named_parameters()] == [n for n in first if not n.endswith("running")]
    crafted = ImprintAttack(bins=100).craft(public, other, client=1)
    assert torch.equal(crafted["inserted.first.bias"], first["inserted.first.bias"])
    assert torch.equal(first["victim.0.weight"], other["victim.0.weight"])


def test_the_forecast_runs_on_the_same_architecture(tmp_path: Path) -> None:
    assert forecast(cell_of(tmp_path, 2, bins=20), "cpu").seconds > 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"public": 0}, "say `public: NUMBER`"),
        ({"public": 1}, "at least two pictures"),
        ({"protocol": {"name": "fedavg"}}, "exact multiple of one gradient"),
        ({"bins": 1_000_000}, "lenet with the module added has 1,53"),
    ],
)
def test_what_it_needs(said: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(why_unsupported(cell_of(tmp_path, 2, **said)))


ADDING = """
from dataclasses import dataclass
from torch import nn
from invbench.attacks import UpdateAttack
from invbench.registry import attack

class Signs(nn.Module):
    def forward(self, images):
        return (images > 0).long()

@attack(game="update", server="malicious", adds_module={marked})
@dataclass(frozen=True, kw_only=True)
class Adding(UpdateAttack):
    def craft(self, public, weights, client):
        return weights

{inserted}
    def __call__(self, seen):
        return seen.nothing("idle")
"""


@pytest.mark.parametrize(
    ("marked", "module", "why"),
    [
        (True, None, "goes with a method inserted"),
        (False, "nn.Identity()", "goes with a method inserted"),
        (True, "nn.Flatten()", "the module that adding adds must make pictures of (3, 16, 16) of the same shape"),
        (True, "nn.Linear(3, 3)", "the module that adding adds takes no picture of (3, 16, 16)"),
        (True, "'module'", "the module that adding adds must be a torch.nn.Module or None, not str"),
        (True, "Signs()", "must make pictures of (3, 16, 16) of the same shape and type, torch.float32"),
    ],
)
def test_an_unmarked_module_and_one_that_makes_no_pictures_fail_the_cell(
    marked: bool, module: str | None, why: str, tmp_path: Path
) -> None:
    inserted = "" if module is None else f"    def inserted(self, public):\n        return {module}\n"
    with plugged(tmp_path, {"attacks.adding": ADDING.format(marked=marked, inserted=inserted)}):
        record = play(make_cell(tmp_path, attack="adding", model=MLP, targets=1), "cpu").record
    assert (record.status, why in str(record.reason)) == ("failed", True), record.reason


CRAFTING = """
from dataclasses import dataclass
import torch
from invbench.attacks import UpdateAttack
from invbench.registry import attack

@attack(game="update", server="malicious")
@dataclass(frozen=True, kw_only=True)
class Crafting(UpdateAttack):
    def craft(self, public, weights, client):
        return {made}

    def __call__(self, seen):
        return seen.nothing("idle")
"""


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("None", "craft() must answer tensors by name, not NoneType"),
        ("list(weights.items())", "craft() must answer tensors by name, not list"),
        ("{**weights, 3: 0, 'b': 0}", "it has 3, which the victim has not"),
        ("dict(list(weights.items())[1:])", "it lacks '1.weight'"),
        ("{k: v.double() for k, v in weights.items()}", "1.weight must stay a dense tensor of torch.float32"),
        ("{k: v.to_sparse() for k, v in weights.items()}", "1.weight must stay a dense tensor of torch.float32"),
        ("{k: v.to('meta') for k, v in weights.items()}", "1.weight must stay a dense tensor of torch.float32"),
        ("{k: v / 0 for k, v in weights.items()}", "the model crafted for client 0 holds NaN or infinity in 1.weight"),
    ],
)
def test_a_crafted_model_that_is_none_fails_the_cell_and_says_what_is_wrong(
    made: str, why: str, tmp_path: Path
) -> None:
    with plugged(tmp_path, {"attacks.crafting": CRAFTING.format(made=made)}):
        record = play(make_cell(tmp_path, attack="crafting", model=MLP, targets=1), "cpu").record
    assert (record.status, why in str(record.reason)) == ("failed", True), record.reason


def test_an_honest_server_adds_nothing() -> None:
    with pytest.raises(ValueError, match="an honest server changes no architecture"):
        mark(game="update", adds_module=True)
