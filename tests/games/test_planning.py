"""What is known of a cell of clients' pictures beforehand: that it cannot run, or could show nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_cells import crops, make_cell, plugged, write_pool

from invbench.cell import Cell
from invbench.games.update import UpdateDeal, UpdateGame
from invbench.matrix import MatrixErrors

SEARCH = {"name": "inverting-gradients", "iterations": 1}


def reason(cell: Cell) -> str:
    why = UpdateGame().unsupported(cell)
    assert why is not None
    return why


def stage(cell: Cell) -> UpdateDeal:
    return UpdateGame().deal(cell, torch.device("cpu"))


def test_a_data_set_of_one_class_is_refused_for_its_updates_are_zero(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", labels=np.zeros(12, np.int64))
    assert reason(make_cell(tmp_path)).startswith(
        "npz(path=pool.npz) has one class, of which every update is zero: give"
    )
    write_pool(tmp_path / "pool.npz", labels=np.ones(12, np.int64))  # of two classes, one of which nobody has
    assert UpdateGame().unsupported(make_cell(tmp_path)) is None


@pytest.mark.parametrize("kind", ["grey", "the mean of the others"])
def test_pictures_of_which_a_control_is_exact_already_are_refused(tmp_path: Path, kind: str) -> None:
    levels = np.arange(0, 240, 20, dtype=np.uint8).reshape(12, 1, 1, 1)
    images = np.repeat(crops(1), 12, axis=0) if kind != "grey" else np.broadcast_to(levels, (12, 3, 16, 16)).copy()
    write_pool(tmp_path / "pool.npz", images)
    assert "a control has it exactly already" in reason(make_cell(tmp_path, batch_size=2, targets=2))


def test_some_pictures_of_which_a_control_is_exact_are_counted_and_said(tmp_path: Path) -> None:
    images = crops(12)
    images[:3] = 7  # the first batch and half of the second
    write_pool(tmp_path / "pool.npz", images)
    dealt = stage(make_cell(tmp_path, attack=SEARCH, batch_size=2, targets=3))
    assert "of 3 of 6 pictures a control is exact already: nothing is left to be read" in dealt.notes


@pytest.mark.parametrize(("lr", "said"), [(1e300, "not finite"), (1e-300, "zero"), (0.1, None)])
def test_that_an_update_holds_nothing_is_found_out_before_an_attack_has_it_in_its_hands(
    tmp_path: Path, lr: float, said: str | None
) -> None:
    dealt = stage(make_cell(tmp_path, protocol={"name": "fedavg", "steps": 1, "lr": lr}))
    for seen in dealt.observations:
        for tensor in seen.update:
            tensor.zero_()
    found = [note.split(": ")[0] for note in dealt.notes if note.startswith("the update of")]
    assert found == ([f"the update of 2 of 2 targets is {said}"] if said else [])


def test_one_training_picture_that_batch_norm_cannot_normalise_is_refused_beforehand(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.npz", crops(4), np.array([0, 0, 1, 2]))
    network = {"name": "torchvision/resnet18", "trained": True, "training_steps": 1}
    why = reason(make_cell(tmp_path, attack=SEARCH, model=network, targets=1))
    assert why.startswith("torchvision/resnet18(trained=true,training_steps=1) cannot train on one picture: Expected")
    batch = {"name": "fedsgd", "batch_norm": "train"}
    made = make_cell(tmp_path, attack=SEARCH, model="torchvision/resnet18", protocol=batch, targets=1)
    assert "cannot normalise by a batch of one picture: Expected more than 1 value" in reason(made)
    rest = {"name": "fedavg", "batch_norm": "train", "local_batch_size": 2}  # of a client's three, one is left over
    made = make_cell(tmp_path, attack=SEARCH, model="torchvision/resnet18", protocol=rest, batch_size=3, targets=1)
    assert "cannot normalise by a batch of one picture: Expected more than 1 value" in reason(made)
    even = {**rest, "steps": 10**9}
    made = make_cell(tmp_path, attack=SEARCH, model="torchvision/resnet18", protocol=even, batch_size=4, targets=1)
    assert UpdateGame().unsupported(made) is None
    larger = make_cell(tmp_path, attack=SEARCH, model="resnet20", protocol=batch, targets=1)
    assert UpdateGame().unsupported(larger) is None


def test_a_network_that_no_machine_holds_is_refused_and_not_made(tmp_path: Path) -> None:
    wide = {"name": "mlp", "width": 1_000_000, "depth": 2}
    assert "1,000,773,000,003 parameters for such pictures; at most" in reason(
        make_cell(tmp_path, attack=SEARCH, model=wide)
    )
    with pytest.raises(MatrixErrors, match="mlp: depth must be at least 1, at most 1000, not 1e\\+09"):
        make_cell(tmp_path, model={"name": "mlp", "depth": 10**9})


@pytest.mark.parametrize(("lr", "factor"), [(1e308, "-inf"), (1e-320, "-0")])
def test_a_protocol_that_shares_no_number_times_a_gradient_is_refused(tmp_path: Path, lr: float, factor: str) -> None:
    scale = 1e10 if factor == "-inf" else 1e-10
    protocol = {"name": "fedavg", "lr": lr, "loss_scale": scale}
    why = reason(make_cell(tmp_path, attack=SEARCH, protocol=protocol))
    assert why.startswith("fedavg(")
    assert why.endswith(f") shares {factor} times a gradient; the factor has to be finite and not 0")


@pytest.mark.parametrize(
    "model",
    [
        {"name": "lenet", "width": 2**31},
        {"name": "convnet", "width": 10**17},
        {"name": "vit", "width": 10**17},
        {"name": "vit", "hidden": 10**17},
    ],
)
def test_a_layer_whose_bytes_torch_cannot_count_is_refused_by_the_model_s_name(
    tmp_path: Path, model: dict[str, object]
) -> None:
    why = reason(make_cell(tmp_path, attack=SEARCH, model=model))
    assert why.startswith(f"{model['name']}(")
    assert why.endswith("has a layer of more than 2^63 bytes")


TOWER = """
from dataclasses import dataclass
from torch import nn
from invbench.models import ImageModel
from invbench.registry import model

@model(data="images")
@dataclass(frozen=True, kw_only=True)
class Tower(ImageModel):
    "As many layers as an int holds."

    def build(self, image_shape, classes):
        return nn.Sequential(nn.Flatten(), *(nn.Linear(8, 8) for _ in range(10**9)))
"""


def test_somebody_elses_network_of_a_billion_layers_is_refused_and_not_made(tmp_path: Path) -> None:
    with plugged(tmp_path, {"models.tower": TOWER}):
        made = make_cell(tmp_path, attack=SEARCH, model="tower")
        assert reason(made) == "tower has more than 100,000 layers and tensors"
