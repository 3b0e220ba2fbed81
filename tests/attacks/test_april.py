"""Attack `april`: exact where a first attention sees patches and positions as they are, and says where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from made_updates import noise_like, normalised, observe, photographs, public, victim
from torch import Tensor, nn
from torchvision.models import VisionTransformer as Theirs  # type: ignore[import-untyped]

from invbench.attacks.april import April
from invbench.matching.recipe import Recipe
from invbench.metrics import psnr
from invbench.models._vision_transformer import Attention, Block, VisionTransformer
from invbench.models.lenet import LeNet
from invbench.models.vit import ViT
from invbench.observation import Failed, UpdateObservation
from invbench.peeling import attention
from invbench.peeling.attention import Solution, attention_input, embedded_patches, read_picture

OPEN = ViT(width=64, pre_norm=False)
"""16 patches of 4 x 4 in colour, 48 numbers each, and the class token: 17 tokens of 64."""


@cache
def seen_by(model: ViT = OPEN, count: int = 1) -> UpdateObservation:
    images, labels = photographs(count)
    return observe(victim(images, model=model), images, labels, hidden=True)


def quality(seen: UpdateObservation, attack: April | None = None) -> float:
    """PSNR of the answer, dB."""
    return float(psnr((attack or April())(seen).images, photographs(1)[0])[0])


def control() -> float:
    """PSNR of the answer to noise in the update's place, or of grey where that is better, dB."""
    seen, images = seen_by(), photographs(1)[0]
    grey = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    return max(quality(replace(seen, update=noise_like(seen.update))), float(psnr(grey, images)[0]))


# The closed form


@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_the_picture_and_its_label_are_read_without_pre_norm(pooling: Any) -> None:
    seen = seen_by(replace(OPEN, pooling=pooling))
    guess = April()(seen)
    assert psnr(guess.images, photographs(1)[0])[0] > control() + 10
    assert guess.labels is not None
    assert guess.labels.tolist() == photographs(1)[1].tolist()
    tokens = 17 if pooling == "class" else 16
    assert {**guess.facts, "condition": None} == {
        "tokens": tokens, "rank": tokens, "condition": None, "patch_numbers": 48, "patch_rank": 48,
    }  # fmt: skip
    assert not guess.notes


def test_in_float64_the_picture_is_exact() -> None:
    images, labels = photographs(1)
    network = victim(images, model=OPEN).double()
    seen = observe(network, images.double(), labels)
    read = read_picture(seen.model, seen.update, (3, 16, 16), 1e-16)
    assert read is not None
    torch.testing.assert_close(read.picture, normalised(images.double())[0], rtol=0, atol=1e-7)


def test_the_input_of_pytorchs_own_attention_is_solved_for() -> None:
    """An independent attention and its gradients by autograd; ours computes the same from the same weights."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    tokens = torch.randn(1, 7, 12, dtype=torch.float64, requires_grad=True)
    out = theirs(tokens, tokens, tokens)[0]
    (out * torch.randn_like(out)).sum().backward()
    assert theirs.in_proj_weight.grad is not None
    assert tokens.grad is not None
    solved = attention_input(theirs.in_proj_weight.detach(), theirs.in_proj_weight.grad, tokens.grad[0], 1e-16)
    assert solved.rank == 7
    torch.testing.assert_close(solved.value, tokens[0].detach(), rtol=1e-7, atol=1e-7)
    ours = Attention(12, 3).double()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    torch.testing.assert_close(ours(tokens), out)


@pytest.mark.parametrize("wrong", ["weights", "positions", "patches"])
def test_a_wrong_closed_form_is_seen(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """W in the place of W', an embedding that is not taken away, patches column by column."""

    def turned(weight: Tensor, weight_gradient: Tensor, input_gradient: Tensor, error: float) -> Solution:
        parts = weight.chunk(3)
        return attention_input(torch.cat([part.mT for part in parts]), weight_gradient, input_gradient, error)

    def kept(weight: Tensor, weight_gradient: Tensor, input_gradient: Tensor, error: float) -> Solution:
        solved = attention_input(weight, weight_gradient, input_gradient, error)
        return replace(solved, value=solved.value + network.get_parameter("positions").detach())

    def by_column(embedding: nn.Conv2d, tokens: Tensor, image_shape: tuple[int, int, int]) -> Solution:
        return embedded_patches(embedding, tokens.unflatten(0, (4, 4)).transpose(0, 1).flatten(0, 1), image_shape)

    images, labels = photographs(1)
    network = victim(images, model=OPEN)
    with torch.no_grad():
        network.get_parameter("positions").normal_()  # as large as after training; 0.02 would hardly show
    seen = observe(network, images, labels)
    assert quality(seen) > control() + 10
    name = "embedded_patches" if wrong == "patches" else "attention_input"
    monkeypatch.setattr(attention, name, {"weights": turned, "positions": kept, "patches": by_column}[wrong])
    assert quality(seen) < control() + 10


def test_a_factor_on_the_update_changes_nothing() -> None:
    seen = seen_by()
    halved = replace(seen, update=tuple(-0.25 * tensor for tensor in seen.update))
    torch.testing.assert_close(April()(halved).images, April()(seen).images, rtol=0, atol=1e-6)


def test_what_an_update_leaves_open_is_said() -> None:
    wide, deep = April()(seen_by(replace(OPEN, width=32))), April()(seen_by(replace(OPEN, depth=1)))
    assert "a token tells 32 of the 48 numbers of its patch" in wide.notes
    assert deep.facts["rank"] == 9  # error signals of the class token's query, and of four heads' keys and values
    assert deep.notes == ("the first attention's gradient has rank 9 and does not determine 17 tokens",)


def test_an_embedding_that_was_not_shared_tells_nothing() -> None:
    seen = seen_by()
    held_back = replace(seen, update=(seen.update[0], torch.zeros_like(seen.update[1]), *seen.update[2:]))
    with pytest.raises(Failed, match="the position embedding's gradient is zero"):
        April()(held_back)


def test_where_it_has_no_closed_form_it_says_why() -> None:
    searches = "; `form: optimise` searches"
    images, _ = photographs(1)
    skipping = victim(images, model=OPEN)
    assert isinstance(skipping, VisionTransformer)
    first = skipping.blocks[0]
    assert isinstance(first, Block)
    first.skips = True
    theirs = Theirs(image_size=16, patch_size=4, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8, num_classes=10)
    normed, known = "needs a first attention that sees patches and positions as they are", "needs a vision transformer"
    unknown = f"{known} whose layers it knows: model `vit`"
    for network, batch, reason in (
        (victim(images, model=OPEN), 1, None),
        (victim(images, model=OPEN), 2, f"needs batch_size 1, not 2: positions have one gradient for all{searches}"),
        (victim(images, model=ViT(width=64)), 1, f"{normed}; a layer norm stands between{searches}"),
        (skipping, 1, f"needs a first attention with no skip around it{searches}"),
        (theirs, 1, unknown + searches),
        (victim(images, model=LeNet()), 1, unknown),
    ):
        known_of = public(network, (3, 16, 16), batch=batch)
        assert April().unsupported(known_of) == reason
        lacking = "needs a learned position embedding; victim has none" if reason == unknown else None
        assert April(form="optimise").unsupported(known_of) == lacking
    several = public(victim(images, model=OPEN), (3, 16, 16), protocol="fedavg", steps=3)
    assert "exact multiple of one gradient" in str(April().unsupported(several))


# The search


def searched(seen: UpdateObservation, **settings: Any) -> Tensor:
    return April(form="optimise", iterations=4, **settings).attack_all([seen])[0].images


def test_the_search_takes_any_vision_transformer_and_batch() -> None:
    images, labels = photographs(2)
    seen = observe(victim(images, model=ViT(width=16)), images, labels)
    fresh = lambda: replace(seen, generator=torch.Generator().manual_seed(1))  # noqa: E731
    plain = Recipe(iterations=4, objective="l2", optimizer="adam").attack_all([fresh()])[0].images
    assert torch.equal(searched(fresh(), position=0.0), plain)
    assert not torch.equal(searched(fresh()), plain)


def test_the_term_of_the_search_is_that_of_the_position_embedding_alone() -> None:
    seen = seen_by(ViT(width=16))
    term = April(form="optimise", position=2.0)._objective(seen)
    plain = April(form="optimise", position=0.0)._objective(seen)
    assert float(term(seen.update, seen.update)) == pytest.approx(0.0, abs=1e-5)
    turned = [-tensor if place == 1 else tensor for place, tensor in enumerate(seen.update)]
    assert float(term(tuple(turned), seen.update) - plain(tuple(turned), seen.update)) == pytest.approx(4.0, abs=1e-5)
    others = tuple(tensor if place == 1 else -tensor for place, tensor in enumerate(seen.update))
    assert float(term(others, seen.update) - plain(others, seen.update)) == pytest.approx(0.0, abs=1e-5)


def test_singular_values_below_the_root_of_the_rows_times_the_error_count_as_zero() -> None:
    drawn = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(64, 64, generator=drawn, dtype=torch.float64))[0] for _ in range(2))
    values = torch.ones(64, dtype=torch.float64)
    values[-2:] = torch.tensor([0.01, 0.006])  # above and below sqrt(64) times an error of 0.001
    weight = torch.randn(192, 64, generator=drawn, dtype=torch.float64)
    assert attention_input(weight, weight, left @ values.diag() @ right, 1e-3).rank == 63
