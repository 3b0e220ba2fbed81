"""No picture crosses the wall in game `update`."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import torch
from small_cells import make_cell

from invbench.games.update import UpdateGame


def test_no_picture_crosses_the_wall(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack="dlg", model="lenet", protocol={"name": "fedsgd", "labels": "hidden"})
    played = UpdateGame().deal(cell, torch.device("cpu"))
    for seen, truth in zip(played.observations, played.truths, strict=True):
        picture = torch.from_numpy(truth.images)
        mean, std = seen.channel_constants()
        crossed = pickle.dumps(seen)
        for kept in (picture, (picture - mean) / std, (picture * 255).round().to(torch.uint8)):
            assert kept.numpy().tobytes() not in crossed
            assert kept.numpy().tobytes() in pickle.dumps(replace(seen, update=(kept,)))  # it would have been seen
        assert seen.labels is None
        assert not any(tensor.requires_grad or tensor.grad_fn for tensor in seen.update)
        assert all(p.grad is None for p in seen.model.parameters())
