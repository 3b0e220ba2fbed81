"""Fully connected layers on a row of a table."""

from __future__ import annotations

from dataclasses import dataclass

from invbench.models import training_steps
from invbench.models.mlp import MLP
from invbench.registry import model, parameter


@model(data="table")
@dataclass(frozen=True, kw_only=True)
class TableMLP(MLP):
    """A multi-layer perceptron on a row's numbers and one-hot categories. PyTorch's own start.

    It is trained by gradients, and so shares updates, as networks of pictures do: a row is one of `(D, 1, 1)`
    (`victims/rows.py`). It predicts classes of the target, since every protocol and every defence here is one of the
    mean cross-entropy.
    """

    training_steps: int = training_steps(500)
    width: int = parameter(64, at_least=1, unit="units", help="size of each hidden layer")
    depth: int = parameter(1, at_least=1, at_most=1000, unit="layers", help="number of hidden layers")
