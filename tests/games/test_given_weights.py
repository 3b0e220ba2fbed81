"""Cells whose model comes with weights: attacked as they are, refused where nobody knows who is behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_cells import MLP, make_cell

from invbench import registry
from invbench.core.artefacts import fetch
from invbench.games import game_of
from invbench.models import UNKNOWN, ImageModel
from invbench.play.playing import play
from invbench.victims import trained_victim, victim
from invbench.victims.building import build_victim


def weights_of(folder: Path, classes: int = 3) -> Path:
    """Those of the smallest victim of small cells, drawn from another seed than theirs."""
    settings = {key: value for key, value in MLP.items() if key != "name"}
    made = build_victim(registry.load("model", "mlp").build(settings, ImageModel), (3, 16, 16), classes, seed=99)
    save_file(made.state_dict(), folder / "w.safetensors")
    return folder / "w.safetensors"


def given(**said: Any) -> dict[str, Any]:
    """The model with the file, its path beside the matrix."""
    return {"model": {**MLP, "weights": "w.safetensors", **said}}


def test_a_round_attacks_the_file_s_weights_and_its_record_says_so(tmp_path: Path) -> None:
    file = weights_of(tmp_path)
    cell = make_cell(tmp_path, **given())
    made = victim(cell).state_dict()
    assert all(torch.equal(made[name], tensor) for name, tensor in load_file(file).items())
    dealt = game_of(cell).deal(cell, torch.device("cpu"))
    assert torch.equal(dealt.observations[0].model.state_dict()["1.weight"], made["1.weight"])
    assert f"weights of w.safetensors: {UNKNOWN}" in dealt.notes
    assert len({cell.id, make_cell(tmp_path).id}) == 2


def test_training_goes_on_from_the_file_s_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    file = weights_of(tmp_path)
    tuned = {"trained": True, "training_steps": 1}
    before, after = load_file(file), fetch(trained_victim(make_cell(tmp_path, **given(**tuned))))
    moved = max(float((after[name] - tensor).abs().max()) for name, tensor in before.items())
    assert 0 < moved < 0.01  # one step of Adam
    drawn = trained_victim(make_cell(tmp_path, model={**MLP, **tuned}))
    assert drawn.name != trained_victim(make_cell(tmp_path, **given(**tuned))).name


def test_a_file_of_another_head_is_unsupported_before_anything_is_computed(tmp_path: Path) -> None:
    weights_of(tmp_path, classes=1000)
    cell = make_cell(tmp_path, **given())
    said = "w.safetensors: 3.weight is 1000 x 8, the model's 3 x 8, 3.bias is 1000, the model's 3"
    assert game_of(cell).unsupported(cell) == said, "a record has no folder of the user's"


def test_a_defence_that_changes_the_network_acts_on_the_file_s_weights(tmp_path: Path) -> None:
    file = weights_of(tmp_path)
    cell = make_cell(tmp_path, **given(), defense={"name": "precode", "size": 4})
    assert game_of(cell).unsupported(cell) is None
    made = victim(cell).state_dict()
    assert torch.equal(made["1.weight"], load_file(file)["1.weight"])
    assert len(made) > 4


@pytest.mark.parametrize("game", ["membership", "training-set", "informed", "audit", "model"])
def test_games_whose_truth_is_who_trained_a_victim_refuse_weights_that_others_trained(
    tmp_path: Path, game: str
) -> None:
    weights_of(tmp_path)
    attack = next(name for name in registry.names("attack") if registry.load("attack", name).facts["game"] == game)
    cell = make_cell(tmp_path, attack=attack, **given())
    assert game_of(cell).unsupported(cell) == (
        f"game {game} trains its victims itself and scores what they learned from whom; who trained the weights of"
        " w.safetensors on what is not known"
    )


def test_a_changed_file_ends_the_cell_that_was_planned_with_the_other(tmp_path: Path) -> None:
    weights_of(tmp_path)
    cell = make_cell(tmp_path, **given())
    assert cell.id
    save_file({name: tensor + 1 for name, tensor in load_file(tmp_path / "w.safetensors").items()}, tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / "w.safetensors")
    played = play(cell, "cpu").record
    assert played.status == "failed"
    assert "the files of model mlp(weights=w.safetensors,width=8,depth=1) changed while" in str(played.reason)
