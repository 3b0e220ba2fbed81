"""What a client sends, in bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from invbench.defenses import Context, Defense, Stack
from invbench.defenses._contract import BrokenContract
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.defenses.laplace import Laplace
from invbench.defenses.prune import Prune
from invbench.defenses.quantize import Quantize
from invbench.defenses.random_k import RandomK
from invbench.defenses.secure_aggregation import SecureAggregation
from invbench.defenses.sign import Sign
from invbench.defenses.top_k import TopK
from invbench.observation import Update


@pytest.mark.parametrize(
    ("stack", "sent"),
    [
        ((), 4 * 1000),
        ((Gaussian(std=0.1),), 4 * 1000),
        ((Sign(),), 1000 / 8),
        ((Quantize(bits=8),), 1000 + 2 * 4),
        ((TopK(fraction=0.01), Quantize(bits=8)), 11 + 13),  # a hundredth of all bytes, and the places
        ((TopK(fraction=0.01),), 10 * 4 + 13),  # ten places of ten bits
        ((TopK(fraction=0.5),), 500 * 4 + 125),  # a bit a coordinate is shorter
        ((RandomK(fraction=0.01),), 10 * 4 + 13),
        ((TopK(fraction=0.01), Gaussian(std=0.1)), 4 * 1000),  # noise filled the zeros
        ((Quantize(bits=8), TopK(fraction=0.01)), 11 + 13),  # in either order
        ((RandomK(fraction=0.5), TopK(fraction=0.01)), 10 * 4 + 13),  # what is left out is left out once
        ((TopK(fraction=0.5), Prune(share=0.99)), 10 * 4 + 13),
        ((Sign(), RandomK(fraction=0.01)), 2 + 13),  # a bit a sign that is sent
        ((TopK(fraction=0.01), Clip(norm=1.0)), 10 * 4 + 13),
        ((Quantize(bits=8), Clip(norm=1.0)), 1000 + 2 * 4),  # a factor
        ((Quantize(bits=8), Gaussian(std=0.1)), 4 * 1000),  # noisy values lie on no level
        ((Sign(), Laplace(std=0.1)), 4 * 1000),
        ((Sign(), Gaussian(std=0.0)), 1000 / 8),
        ((SecureAggregation(), TopK(fraction=0.01)), 2 * 32 + 2000 + 32),  # of what is summed nothing is left out
    ],
)
def test_a_message_is_as_long_as_what_is_packed(stack: tuple[Defense, ...], sent: float) -> None:
    drawn = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    update = (drawn[:800].reshape(8, 100), drawn[800:])
    defended = Stack(stack).at("update", update, Context(torch.Generator().manual_seed(1)))
    assert Stack(stack).message_bytes(defended) == sent


@pytest.mark.parametrize("said", [-1, 2.5, "many", None, True])
def test_a_defence_that_says_no_number_of_bytes_is_named(said: Any) -> None:
    class Silent(Defense):
        def message_bytes(self, shared: Update, clients: int, before: int) -> Any:
            return said

    with pytest.raises(BrokenContract, match="defence Silent: message_bytes must be a whole number of bytes"):
        Stack((Silent(),)).message_bytes((torch.zeros(3),))
