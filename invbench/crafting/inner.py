"""The attack that reads what a malicious server has singled out of a batch or of a sum."""

from __future__ import annotations

from typing import Literal

from invbench import registry
from invbench.core.attack import UpdateAttack

Inner = Literal["auto", "analytic", "peel", "inverting-gradients"]
TRIAL = 100
"""Evaluations of the version that a forecast times."""


def inner_attack(name: Inner, evaluations: int) -> UpdateAttack:
    """That attack, with so many evaluations of a target at most where it counts them."""
    part = registry.load("attack", name)
    counting = [setting for setting in ("evaluations", "iterations") if setting in part.parameters]
    return part.build(dict.fromkeys(counting, evaluations), UpdateAttack)
