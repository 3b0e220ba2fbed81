"""A malicious server reads one client's update in the sum of all, and every table says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_cells import make_cell, make_cells, plugged

from invbench.attacks import Attack
from invbench.attacks.suppress import Suppress, _left
from invbench.games import Deal
from invbench.play.asking import why_unsupported
from invbench.play.dealing import dealt
from invbench.play.playing import play

CPU = torch.device("cpu")
MLP = {"name": "mlp", "width": 16}
SUPPRESS = {"name": "suppress", "inner": "analytic"}


def rounds(folder: Path, clients: tuple[int, ...] = (1, 8), **said: Any) -> list[Deal[Any, Any]]:
    """The same first picture's round, alone and with others."""
    said = {"attack": SUPPRESS, "model": MLP, "targets": 1, **said}
    protocols = [{"name": "fedsgd", "clients": n} for n in clients]
    return [dealt(cell, CPU) for cell in make_cells(folder, protocol=protocols, **said)]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("model", [MLP, {"name": "convnet", "norm": "group", "width": 8}], ids=["mlp", "convnet"])
def test_the_sum_of_several_holds_the_update_of_the_first_alone(
    model: dict[str, Any], batch: int, tmp_path: Path
) -> None:
    for defense in ("none", "secure-aggregation"):
        clients = (1, 4 // batch)
        said = {"attack": {"name": "suppress", "inner": "inverting-gradients"}, "defense": defense, "batch_size": batch}
        one, several = (_left(deal.observations[0]) for deal in rounds(tmp_path, clients, model=model, **said))
        assert several.public.pictures == batch
        for alone, summed in zip(one.update, several.update, strict=True):
            rounding = clients[1] / 2**15 if defense == "secure-aggregation" else 1e-6
            assert float((alone - summed).abs().max()) <= rounding


def test_the_bias_gradient_of_the_others_does_not_vanish_and_is_told_apart(tmp_path: Path) -> None:
    one, several = (deal.observations[0] for deal in rounds(tmp_path))
    truth = one.update[-1]  # p - y of the first client
    assert float((8 * several.update[-1] - truth).abs().max()) > 0.1
    assert float((_left(several).update[-1] - truth).abs().max()) < 1e-6


def test_the_picture_of_one_of_eight_is_read_as_well_as_that_of_one_alone(tmp_path: Path) -> None:
    psnr = []
    for deal in rounds(tmp_path, defense="secure-aggregation"):
        (guess,) = Suppress(inner="analytic").attack_all(deal.observations)
        truth = torch.from_numpy(deal.truths[0].images)
        assert truth.shape == guess.images.shape
        psnr.append(-10 * float((guess.images - truth).square().mean().log10()))
    assert psnr[0] > 30
    assert abs(psnr[0] - psnr[1]) < 1


def test_clients_that_compare_their_models_share_nothing(tmp_path: Path) -> None:
    protocol = {"name": "fedsgd", "clients": 2, "model_check": True}
    cell = make_cell(tmp_path, attack=SUPPRESS, model=MLP, protocol=protocol, targets=1)
    assert "model_check" in str(why_unsupported(cell))
    with pytest.raises(ValueError, match="different models and compare them"):
        dealt(cell, CPU)
    honest = make_cell(tmp_path, attack="inverting-gradients", model=MLP, protocol=protocol, targets=1)
    assert why_unsupported(honest) is None
    assert dealt(honest, CPU).observations


@pytest.mark.parametrize(
    "model", ["lenet", {"name": "mlp", "activation": "tanh"}, {"name": "mlp", "bias": False}, "linear"]
)
def test_a_network_without_a_relu_to_kill_is_unsupported(model: Any, tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack="suppress", model=model, protocol={"name": "fedsgd", "clients": 2}, targets=1)
    assert "a ReLU and a fully connected classifier" in str(why_unsupported(cell))


def test_other_clients_noise_is_declared_to_the_inner_attack(tmp_path: Path) -> None:
    defense = {"name": "gaussian", "std": 0.01}
    one, four = (_left(deal.observations[0]) for deal in rounds(tmp_path, (1, 4), defense=defense))
    assert [d.name for d in one.public.defenses] == ["gaussian"]
    assert four.public.defenses[1].parameters["std"] == pytest.approx(0.01 * 3**0.5)


def test_every_table_names_the_malicious_server(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=SUPPRESS, model=MLP, targets=1)
    assert cell.names["attack"] == "suppress(inner=analytic) (malicious server)"


CRAFTING = """
from dataclasses import dataclass
from invbench.attacks import UpdateAttack
from invbench.registry import attack

@attack(game="update"{mark})
@dataclass(frozen=True, kw_only=True)
class Crafting(UpdateAttack):
    def craft(self, public, weights, client):
        return {made}

    def __call__(self, seen):
        return seen.nothing("idle")
"""


@pytest.mark.parametrize(
    ("mark", "made", "why"),
    [
        ("", "weights", "goes with a method craft"),
        (', server="malicious"', "{}", "not of the victim's architecture: it lacks"),
        (', server="malicious"', "{k: w[:1] for k, w in weights.items()}", "must stay a dense tensor of torch.float32"),
    ],
)
def test_unmarked_crafting_and_another_architecture_fail_the_cell(
    mark: str, made: str, why: str, tmp_path: Path
) -> None:
    with plugged(tmp_path, {"attacks.crafting": CRAFTING.format(mark=mark, made=made)}):
        record = play(make_cell(tmp_path, attack="crafting", model=MLP, targets=1), "cpu").record
    assert (record.status, why in str(record.reason)) == ("failed", True)


def test_the_forecast_is_of_a_short_version() -> None:
    assert Suppress().trial() == (Suppress(evaluations=100), 15.0)
    assert isinstance(Suppress(), Attack)
