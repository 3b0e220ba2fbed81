"""A victim's own weights: a file of safetensors, whatever does not fit named, and its content in the cell's id."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from invbench import registry
from invbench.cell import Choice
from invbench.models import ImageModel
from invbench.models._weights import BadWeights, misfit_of_file, put
from invbench.victims.building import build_victim

SHAPE = (1, 8, 8)


def model(name: str = "mlp", **settings: Any) -> ImageModel:
    return registry.load("model", name).build(settings, ImageModel)


def network(name: str = "mlp", **settings: Any) -> nn.Module:
    return build_victim(model(name, **settings), SHAPE, 3, seed=1)


def saved(file: Path, tensors: dict[str, Tensor]) -> Path:
    save_file({name: tensor.detach().clone() for name, tensor in tensors.items()}, file)
    return file


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet20", "autoencoder"])
def test_a_victim_has_the_weights_of_its_file_whatever_the_seed(tmp_path: Path, name: str) -> None:
    there = network(name)
    for buffer in there.buffers():  # statistics as after training
        if buffer.is_floating_point():
            buffer.add_(0.5)
    file = saved(tmp_path / "w.safetensors", there.state_dict())
    given = model(name, weights=file)
    assert misfit_of_file(file, there) is None
    for seed in (1, 2):
        made = build_victim(given, SHAPE, 3, seed)
        pairs = zip(made.state_dict().items(), there.state_dict().items(), strict=True)
        assert all(one == other and torch.equal(a, b) for (one, a), (other, b) in pairs)
        assert all(parameter.requires_grad for parameter in made.parameters())


def test_a_count_of_batches_may_be_missing_and_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    there = network("resnet20")
    halves = {n: t.half() for n, t in there.state_dict().items() if not n.endswith("num_batches_tracked")}
    file = saved(tmp_path / "w.safetensors", halves)
    given = model("resnet20", weights=file)
    assert misfit_of_file(file, there) is None
    assert given.weights_notes()[1:] == ("w.safetensors: float16 read as float32",)
    made = build_victim(given, SHAPE, 3, seed=5).state_dict()
    assert all(made[name].dtype == torch.float32 and torch.equal(made[name], t.float()) for name, t in halves.items())


def faulty(tmp_path: Path, change: Any, name: str = "mlp") -> str:
    there = network(name)
    tensors = dict(there.state_dict())
    why = misfit_of_file(saved(tmp_path / "w.safetensors", change(tensors)), there.to("meta"))
    assert why is not None
    assert why.startswith("w.safetensors: "), "a record has no folder of the user's"
    return why.removeprefix("w.safetensors: ")


def test_missing_surplus_and_misshapen_tensors_are_named_at_once(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        del tensors["1.bias"]
        return tensors | {"head.scale": torch.ones(2), "5.weight": torch.zeros(10, 256)}

    assert faulty(tmp_path, change) == (
        "lacks 1.bias (256); holds head.scale (2), which the model has not; 5.weight is 10 x 256, the model's 3 x 256"
    )


def test_at_most_three_tensors_of_a_kind_are_named(tmp_path: Path) -> None:
    found = faulty(tmp_path, lambda tensors: {"0.weight": tensors["1.weight"]})
    assert found.startswith("lacks 1.weight (256 x 64), 1.bias (256), 3.weight (256 x 256) and 3 more; holds 0.weight")
    assert found.endswith("nearest to 1.weight is 0.weight")


def test_a_tensor_s_name_of_any_length_is_told_shortened(tmp_path: Path) -> None:
    found = faulty(tmp_path, lambda tensors: tensors | {"x" * 100_000: torch.ones(2)})
    assert found.startswith("holds xxx")
    assert len(found) < 200


def test_a_wrappers_prefix_is_told_and_not_taken_off(tmp_path: Path) -> None:
    found = faulty(tmp_path, lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()})
    assert found.endswith("; its names begin with 'module.': take that off before they are saved")


def test_what_is_not_finite_in_float32_or_no_floating_number_is_named(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors["1.bias"] = torch.full((256,), 1e300, dtype=torch.float64)
        tensors["3.weight"][0, 0] = torch.nan
        return tensors | {"5.bias": torch.zeros(3, dtype=torch.int32)}

    assert faulty(tmp_path, change) == (
        "5.bias holds int32, where the model has floating numbers; 1.bias, 3.weight hold NaN or infinity"
    )


def test_what_is_no_file_of_safetensors_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "w.pt")
    (tmp_path / "torn.safetensors").write_bytes(b"\x00" * 20)
    for name, reason in [
        ("w.pt", r"w\.pt: is no file of safetensors; a pickle can run code when it is read, so save them by"),
        ("torn.safetensors", r"torn\.safetensors: is no file of safetensors \("),
        ("nobody.safetensors", r"nobody\.safetensors: No such file"),
        (".", r": is no file; weights are one file of safetensors"),
    ]:
        with pytest.raises(BadWeights, match=reason):
            model(weights=tmp_path / name)


def test_weights_that_changed_since_they_were_checked_do_not_half_fill_a_network() -> None:
    there = network()
    before = {name: tensor.clone() for name, tensor in there.state_dict().items()}
    with pytest.raises(BadWeights, match=r"w\.safetensors: lacks 5\.weight"):
        put(there, {n: t + 1 for n, t in before.items() if n != "5.weight"}, "w.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in there.state_dict().items())


def choice(**settings: Any) -> Choice:
    return Choice("model", "mlp", tuple(registry.load("model", "mlp").settings(settings).items()))


def test_an_id_holds_the_content_and_not_the_place_and_nothing_without_a_file(tmp_path: Path) -> None:
    first = saved(tmp_path / "a.safetensors", network().state_dict())
    (tmp_path / "elsewhere").mkdir()
    second = Path(shutil.copy(first, tmp_path / "elsewhere" / "b.safetensors"))
    assert choice(weights=first).key == choice(weights=second).key
    assert "content" not in choice().key
    assert "weights" not in choice().key
    assert choice(weights=first).short == "mlp(weights=a.safetensors)"
    held = choice(weights=first)
    before = held.key
    assert not held.changed
    saved(first, {name: tensor + 1 for name, tensor in network().state_dict().items()})
    os.utime(first, ns=(1, 1))  # a copy within the clock's grain has another time, too
    assert held.changed
    assert choice(weights=first).key != before
