"""torchvision's published weights by name: the real loading, of files in torchvision's format at a local address."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from safetensors.torch import save_file
from torch import Tensor, nn

from invbench import registry
from invbench.cell import Choice
from invbench.models import _published
from invbench.models._weights import BadWeights
from invbench.models.torchvision import Torchvision
from invbench.victims.building import build_victim

SHAPE = (3, 64, 64)
SQUEEZENET = {"variant": "squeezenet1_1", "published": "IMAGENET1K_V1"}

Publish = Callable[[dict[str, Any]], Path]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts tensors, as torchvision saves them, where the weights' address points to."""
    monkeypatch.setattr(_published, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def put(tensors: dict[str, Any]) -> Path:
        torch.save(tensors, tmp_path / "made")
        digest = hashlib.sha256((tmp_path / "made").read_bytes()).hexdigest()
        file = (tmp_path / "made").rename(tmp_path / f"made-{digest[:8]}.pth")
        monkeypatch.setattr(_published, "_url", lambda variant, name: file.as_uri())
        return file

    return put


def theirs() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(torchvision.models.squeezenet1_1(weights=None).state_dict())


def test_a_victim_has_the_published_weights_and_its_id_their_name(
    publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = theirs()
    file = publish(tensors)
    model = Torchvision(**SQUEEZENET)
    assert model.unsupported(SHAPE, 1000) is None
    made = build_victim(model, SHAPE, 1000, seed=1)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in made.state_dict().items())
    file.unlink()  # once is enough
    build_victim(model, SHAPE, 1000, seed=2)
    assert capsys.readouterr().out == ""
    settings = registry.load("model", "torchvision").settings(SQUEEZENET)
    choice = Choice("model", "torchvision", tuple(settings.items()))
    assert choice.key["published"] == "IMAGENET1K_V1"
    assert choice.short == "torchvision/squeezenet1_1(published=IMAGENET1K_V1)"
    assert model.origin == "torchvision's IMAGENET1K_V1"
    assert "ImageNet's mean" in model.weights_notes()[0]


def test_a_damaged_download_and_a_damaged_file_are_refused(publish: Publish, tmp_path: Path) -> None:
    model, file = Torchvision(**SQUEEZENET), publish({"a": torch.zeros(2)})
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(BadWeights, match=rf"squeezenet1_1: IMAGENET1K_V1 cannot be had from {file.as_uri()} \(invalid"):
        model.given_weights()
    (tmp_path / "hub" / "checkpoints" / file.name).write_bytes(b"other")
    with pytest.raises(BadWeights, match="is damaged or another file: its SHA-256 begins with"):
        model.given_weights()


def test_without_a_network_one_sentence_says_the_address_and_the_folder(publish: Publish, tmp_path: Path) -> None:
    file = publish({"a": torch.zeros(2)})
    file.unlink()
    with pytest.raises(BadWeights) as raised:
        Torchvision(**SQUEEZENET).given_weights()
    assert file.as_uri() in str(raised.value)
    assert str(raised.value).endswith(
        "without a network, put that file into the folder checkpoints of torch.hub.get_dir()"
    )
    assert str(tmp_path / "hub") not in str(raised.value), "a record has no folder of the user's"


class Runs:
    """An object whose pickle would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (b"",)


def test_a_pickle_of_anything_but_numbers_is_not_read(publish: Publish) -> None:
    publish({"a": Runs()})
    with pytest.raises(BadWeights, match=r"cannot be had from .*Weights only load failed"):
        Torchvision(**SQUEEZENET).given_weights()


def test_old_names_become_today_s_and_what_only_trains_is_left_out(publish: Publish) -> None:
    ones = torch.ones(1, dtype=torch.float16)
    publish(
        {
            "features.denseblock1.denselayer2.norm.1.weight": ones,
            "features.denseblock1.denselayer2.conv.2.weight": ones,
            "features.norm5.weight": ones,
            "aux1.conv.conv.weight": ones,
            "AuxLogits.fc.bias": ones,
        }
    )
    found = _published.published_weights("densenet121", "IMAGENET1K_V1")
    assert list(found) == [
        "features.denseblock1.denselayer2.norm1.weight",
        "features.denseblock1.denselayer2.conv2.weight",
        "features.norm5.weight",
    ]
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    network = dict(torchvision.models.densenet121(weights=None).state_dict())
    assert all(name in network for name in found)


def test_weights_of_another_shape_are_named(publish: Publish) -> None:
    publish(theirs() | {"classifier.1.bias": torch.zeros(10)})
    with pytest.raises(BadWeights, match=r"^torchvision's IMAGENET1K_V1: classifier\.1\.bias is 10, the model's 1000$"):
        build_victim(Torchvision(**SQUEEZENET), SHAPE, 1000, seed=1)


def test_googlenet_and_inception_scale_pictures_as_their_published_weights_were_trained() -> None:
    for variant in ("googlenet", "inception_v3"):
        with torch.device("meta"):
            drawn, given = (
                Torchvision(variant=variant, published=name).build((3, 96, 96), 1000)
                for name in (None, "IMAGENET1K_V1")
            )
        assert isinstance(given, nn.Module)
        assert (drawn.transform_input, given.transform_input) == (False, True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"published": "DEFAULT"}, "DEFAULT is another file in another version; torchvision publishes IMAGENET1K_V1"),
        ({"published": "IMAGENET1K_V3"}, "has no published weights 'IMAGENET1K_V3'; nearest: 'IMAGENET1K_V1'"),
        ({"weights": "own.safetensors"}, "`weights` and `published` are two sets of weights; give one"),
    ],
)
def test_names_that_nothing_is_published_under_are_refused(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "own.safetensors")
    own = {"weights": tmp_path / settings["weights"]} if "weights" in settings else {}
    with pytest.raises(ValueError, match=reason):
        Torchvision(**SQUEEZENET | settings | own)


def test_published_weights_take_colour_and_a_thousand_classes() -> None:
    model = Torchvision(**SQUEEZENET)
    for shape, classes in [((1, 64, 64), 1000), ((3, 64, 64), 10)]:
        assert model.unsupported(shape, classes) == (
            "torchvision's IMAGENET1K_V1 takes 3 channels and scores 1000 classes; here are"
            f" {shape[0]} channels and {classes} classes"
        )


def test_every_published_file_has_a_hash_in_its_name() -> None:
    for variant in torchvision.models.list_models(module=torchvision.models):
        for entry in torchvision.models.get_model_weights(variant):
            assert torch.hub.HASH_REGEX.search(entry.url.rpartition("/")[2]), entry.url
