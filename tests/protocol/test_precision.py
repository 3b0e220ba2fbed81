"""Clients that round the operands of their products: which bits are lost, where, and what attackers know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_updates import normalised, observe, photographs, victim
from small_cells import MLP as SMALL
from small_cells import make_cell
from torch import Tensor, nn
from torch.nn import functional

from invbench.attacks.peel import Peel
from invbench.core import execution
from invbench.defenses import NO_DEFENSES, Context
from invbench.metrics import psnr
from invbench.models import ImageModel
from invbench.models.convnet import ConvNet
from invbench.models.lenet import LeNet
from invbench.models.linear import Linear
from invbench.models.mlp import MLP
from invbench.models.resnet20 import ResNet20
from invbench.observation import UpdateObservation
from invbench.play.playing import play
from invbench.protocol._precision import Precision, multiplying, rounded, roundoff
from invbench.updates.client import observed_update
from invbench.updates.likelihood import left, simulated

COARSE: list[Precision] = ["tf32", "bfloat16"]
MODELS: dict[str, ImageModel] = {
    "linear": Linear(), "mlp": MLP(width=64, activation="tanh"), "lenet": LeNet(),
    "lenet tanh": LeNet(activation="tanh"), "convnet": ConvNet(width=8), "resnet20": ResNet20(),
}  # fmt: skip

KINKED = {"convnet", "resnet20"}


def numbers() -> Tensor:
    """Of every size that float32 has, with what is no number."""
    drawn = torch.Generator().manual_seed(0)
    sizes = torch.randint(-149, 128, (10_000,), generator=drawn).float()
    values = torch.randn(10_000, generator=drawn) * 2**sizes
    return torch.cat([values, torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 3.4e38, 1e-45])])


def test_bfloat16_is_rounded_as_torch_rounds_it_bit_for_bit() -> None:
    values = numbers()
    ours, theirs = rounded(values, "bfloat16"), values.bfloat16().float()
    assert torch.equal(ours.isnan(), theirs.isnan())
    assert torch.equal(ours.nan_to_num(nan=1.0).view(torch.int32), theirs.nan_to_num(nan=1.0).view(torch.int32))


def test_tf32_keeps_ten_bits_and_ties_go_to_the_even_one() -> None:
    one = torch.tensor([1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-20, -(1 + 2**-11)])
    assert rounded(one, "tf32").tolist() == [1 + 2**-10, 1.0, 1 + 2**-9, 1 + 2**-10, -1.0]


@pytest.mark.parametrize("precision", COARSE)
def test_no_number_moves_by_more_than_the_roundoff(precision: Precision) -> None:
    values = numbers()
    values = values[(values.abs() > 1e-37) & (values.abs() < 1e38)]
    moved = ((rounded(values, precision) - values) / values).abs()
    assert 0.8 * roundoff(precision) < moved.max() <= roundoff(precision)


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear": lambda x, w, b: functional.linear(x.flatten(1), w.flatten(1), b),
    "convolution": lambda x, w, b: functional.conv2d(x, w, b, padding=1),
    "batched": lambda x, w, b: torch.bmm(x.flatten(2), w.permute(1, 2, 3, 0).flatten(1, 2)) + b,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_of_rounded_operands_forwards_and_backwards_and_a_bias_is_added_as_it_is(name: str) -> None:
    drawn = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(shape, generator=drawn) for shape in ((3, 3, 3, 3), (4, 3, 3, 3), (4,)))

    def slopes(x: Tensor, w: Tensor, upwards: Tensor | None) -> tuple[Tensor, ...]:
        leaves = [tensor.clone().requires_grad_() for tensor in (x, w, b)]
        y = PRODUCTS[name](*leaves)
        above = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)) if upwards is None else upwards
        return (y, *torch.autograd.grad(y, leaves[:2], above), above)

    with multiplying("tf32"):
        *coarse, above = slopes(x, w, None)
    *expected, _ = slopes(rounded(x, "tf32"), rounded(w, "tf32"), rounded(above, "tf32"))
    *fine, _ = slopes(x, w, above)
    for one, same, other in zip(coarse, expected, fine, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-6, atol=1e-6)
        assert not torch.allclose(one, other, rtol=1e-5, atol=1e-5)


def seen_of(network: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> UpdateObservation:
    seen = observe(network, images, labels, hidden=True)
    public = replace(seen.public, protocol_settings={"precision": precision})
    context = Context(torch.Generator().manual_seed(0))
    update = observed_update(public, network, normalised(images), labels, NO_DEFENSES, [context])
    return replace(seen, public=public, update=update)


@pytest.mark.parametrize("precision", COARSE)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_tensor_is_rounded_and_by_no_more_than_the_likelihood_expects(
    name: str, precision: Precision, batch: int
) -> None:
    images, labels = photographs(4)
    images, labels = functional.avg_pool2d(images[:batch], 1 if name in KINKED else 2), labels[:batch]
    network = victim(images, model=MODELS[name])
    seen, exact = (seen_of(network, images, labels, one) for one in (precision, "float32"))  # type: ignore[arg-type]
    for coarse, fine in zip(seen.update, exact.update, strict=True):
        assert fine.dim() < 2 or (coarse - fine).norm() / fine.norm() > roundoff(precision) / 30
    assert left(seen, simulated(seen, normalised(images), labels)).excess == 1
    if name not in KINKED:  # where units have kinks, float32 alone may move one, and more than this is expected
        undeclared = replace(exact, update=seen.update)
        assert left(undeclared, simulated(undeclared, normalised(images), labels)).excess > 10


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet"])
def test_what_is_certified_of_a_client_that_rounds_holds(name: str) -> None:
    images, labels = photographs(1)
    images = functional.avg_pool2d(images, 2)
    network = victim(images, model=MODELS[name])
    promised = []
    for precision in ("float32", *COARSE):
        guess = Peel()(seen_of(network, images, labels, precision))
        told = guess.facts["promised_psnr"]
        promised.append(told)
        assert told is None or 40 < told <= psnr(guess.images, images)[0]
    assert promised[0] is not None
    assert promised[1] is not None


def test_a_cell_says_its_precision_and_its_id_does_only_where_it_is_not_float32(tmp_path: Path) -> None:
    protocols = ["fedsgd", {"name": "fedsgd", "precision": "float32"}, {"name": "fedsgd", "precision": "tf32"}]
    plain, same, coarse = (make_cell(tmp_path, attack="peel", model=SMALL, protocol=one) for one in protocols)
    assert plain.id == same.id != coarse.id
    assert "precision" not in plain.settings["protocol"]
    assert coarse.settings["protocol"]["precision"] == "tf32"
    exact, rounds = (play(cell, "cpu").record for cell in (plain, coarse))
    assert exact.status == rounds.status == "ok"
    assert min(v for target in exact.scores["psnr"] for v in target if v is not None) > 90
    assert exact.precision == execution.precision()
