"""Elias' recursive code of whole numbers (Elias 1975; Alistarh et al. 2017, arXiv 1610.02132, appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor


def elias_bits(numbers: Tensor) -> Tensor:
    """Bits of each whole number, from 1 on: a closing 0; before it the number's binary digits unless it is 1; before
    them, in the same way, how many digits these are, less one."""
    left, bits = numbers.to(torch.float64), torch.ones_like(numbers, dtype=torch.int64)
    while bool((left > 1).any()):
        digits = torch.where(left > 1, torch.frexp(left).exponent, 0)
        bits = bits + digits
        left = (digits - 1).clamp(min=1).to(torch.float64)
    return bits
