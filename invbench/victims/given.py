"""Victims whose weights are given in a file: why it does not fit."""

from __future__ import annotations

from dataclasses import replace

from invbench.cell import Cell
from invbench.models._weights import misfit_of_file
from invbench.victims import architecture, model_of


def unfit_weights(cell: Cell) -> str | None:
    """Why the cell's file of weights is none of its model's, before any defence changes the network; None: it is."""
    path = model_of(cell).weights
    return None if path is None else misfit_of_file(path, architecture(replace(cell, defense=None)))
