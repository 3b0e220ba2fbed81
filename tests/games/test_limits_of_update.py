"""The limits of cells of game `update`: where there are some, what cells share, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_cells import crops, make_cell, make_cells, write_pool

from invbench.cell import Cell
from invbench.games import _limits
from invbench.games._limits import Limits, limit_artefacts, limits_of
from invbench.games.update import UpdateGame

ATTACK = {"name": "inverting-gradients", "iterations": 1}  # never called
NOISE = {"name": "gaussian", "std": 0.01}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    write_pool(tmp_path / "pool.npz", crops(48, side=6))  # 108 pixels a picture


def limits(cell: Cell) -> Limits:
    return limits_of(cell, UpdateGame().public(cell))


def values(cell: Cell, metric: str) -> np.ndarray:
    return np.array([target[0] for target in limits(cell).scores[metric]], dtype=np.float64)


def test_cells_without_noise_have_neither_limits_nor_notes_nor_artefacts(tmp_path: Path) -> None:
    for cell in make_cells(tmp_path, attack=ATTACK, defense=["none", {"name": "top-k", "fraction": 0.1}]):
        assert limits(cell) == Limits({}, ())
        assert not UpdateGame().artefacts(cell)


def test_every_strength_reads_the_same_information_and_ten_times_the_noise_costs_20_db(tmp_path: Path) -> None:
    strengths = [NOISE, {"name": "gaussian", "std": 0.1}, {"name": "laplace", "std": 0.01 * 2**0.5}]
    one, two, laplace = make_cells(tmp_path, attack=ATTACK, defense=strengths)
    names = [{artefact.name for artefact in UpdateGame().artefacts(cell)} for cell in (one, two, laplace)]
    assert names[0] == names[1] == names[2]
    assert len(names[0]) == 2  # one a target
    for metric in ("limit_psnr", "limit_psnr_dfil"):
        assert values(one, metric) - values(two, metric) == pytest.approx([20, 20])
        assert values(laplace, metric) == pytest.approx(values(one, metric))
    assert (values(one, "limit_psnr_dfil") >= values(one, "limit_psnr")).all()
    assert (values(one, "limit_psnr_prior") >= values(one, "limit_psnr")).all()
    deal = UpdateGame().deal(one, torch.device("cpu"))
    assert deal.limits() == limits(one).scores
    assert not any("limit" in note for note in deal.notes)


def test_noise_that_float32_does_not_keep_has_no_limits_and_the_reason(tmp_path: Path) -> None:
    """Numbers of about 0.02 are 2e-9 apart: noise of 1e-12 leaves them as they are, and 229 dB would mean nothing."""
    strengths = [{"name": "gaussian", "std": std} for std in (1e-12, 1e-7)]
    lost, kept = make_cells(tmp_path, attack=ATTACK, defense=strengths)
    found = limits(lost)
    assert not found.scores
    assert "noise of standard deviation 1e-12 is lost in float32, whose numbers are about" in found.notes[0]
    bare, noised = (
        UpdateGame().deal(cell, torch.device("cpu")).observations[0].update
        for cell in make_cells(tmp_path, attack=ATTACK, defense=["none", strengths[0]])
    )
    assert np.mean([float((a != b).double().mean()) for a, b in zip(bare, noised, strict=True)]) < 0.1
    assert (values(kept, "limit_psnr_prior") > 100).all()


def test_the_mean_of_clients_has_their_noise_averaged_and_another_picture_each(tmp_path: Path) -> None:
    two = {"name": "fedsgd", "clients": 2}
    cell = make_cell(tmp_path, attack=ATTACK, defense=NOISE, protocol=two)
    batch = make_cell(tmp_path, attack=ATTACK, defense={"name": "gaussian", "std": 0.01 / 2**0.5}, batch_size=2)
    assert values(cell, "limit_psnr_dfil") == pytest.approx(values(batch, "limit_psnr_dfil"))
    assert values(cell, "limit_psnr_prior") == pytest.approx(values(batch, "limit_psnr_prior"))


def test_a_step_without_a_telling_derivative_leaves_the_limits_empty_and_says_why(tmp_path: Path) -> None:
    stack = [[{"name": "top-k", "fraction": 0.1}, NOISE]]
    assert limits(make_cell(tmp_path, attack=ATTACK, defense=stack)) == Limits(
        {}, ("the limits are empty: top-k comes before the noise and has no derivative that tells what it does",)
    )
    rounds = {"name": "fedsgd", "precision": "tf32"}
    (note,) = limits(make_cell(tmp_path, attack=ATTACK, defense=NOISE, protocol=rounds)).notes
    assert "clients round to tf32" in note
    after = limits(make_cell(tmp_path, attack=ATTACK, defense=[[NOISE, {"name": "top-k", "fraction": 0.1}]]))
    assert after.scores.keys() == {"limit_psnr", "limit_psnr_prior", "limit_psnr_dfil"}
    assert after.notes == ("the limits are of the noisy update before top-k, which can only lower them",)


def test_an_update_of_fewer_numbers_than_pixels_has_no_unbiased_attacker(tmp_path: Path) -> None:
    narrow = {"name": "mlp", "width": 2, "depth": 1}
    cell = make_cell(tmp_path, attack=ATTACK, defense=NOISE, model=narrow, batch_size=4)
    found = limits(cell)
    assert found.scores["limit_psnr"] == [[None], [None]]
    assert "limit_psnr is empty for 2 of 2 targets" in found.notes[0]
    others = ("limit_psnr_prior", "limit_psnr_dfil")
    assert all(value is not None for metric in others for [value] in found.scores[metric])


def test_what_does_not_fit_in_memory_has_the_one_limit_that_random_probes_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(tmp_path, attack=ATTACK, defense=NOISE)
    exact = values(cell, "limit_psnr_dfil")
    monkeypatch.setattr(_limits, "MOST_BYTES", 0)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "other"))
    found = limits(cell)
    assert found.scores["limit_psnr"] == found.scores["limit_psnr_prior"] == [[None], [None]]
    assert values(cell, "limit_psnr_dfil") == pytest.approx(exact, abs=1.5)
    assert any("50 random probes: standard error" in note for note in found.notes)


def test_more_pixels_than_are_solved_for_have_quadratures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_cell(tmp_path, attack=ATTACK, defense=NOISE)
    exact = values(cell, "limit_psnr_prior")
    monkeypatch.setattr(_limits, "MOST_SOLVED", 0)
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "other"))
    assert values(cell, "limit_psnr_prior") == pytest.approx(exact, abs=0.6)
    assert any("16 random quadratures" in note for note in limits(cell).notes)


def test_a_network_that_draws_has_no_limits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Drawing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(108, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.layer(images.flatten(1))
            return scores + torch.randn_like(scores)

    monkeypatch.setattr(_limits, "victim", lambda cell: Drawing())
    (note,) = limits(make_cell(tmp_path, attack=ATTACK, defense=NOISE)).notes
    assert note.startswith("the limits are empty: ")
    assert "random" in note


def test_other_pictures_other_steps_and_other_seeds_are_other_information(tmp_path: Path) -> None:
    clipped = [{"name": "clip", "norm": 0.1}, NOISE]
    cells = [
        make_cell(tmp_path, attack=ATTACK, defense=NOISE),
        make_cell(tmp_path, attack=ATTACK, defense=NOISE, offset=2),
        make_cell(tmp_path, attack=ATTACK, defense=[clipped]),
        make_cell(tmp_path, attack=ATTACK, defense=NOISE, seed=1),
    ]
    names = [artefact.name for cell in cells for artefact in limit_artefacts(cell, UpdateGame().public(cell))]
    assert len(set(names)) == 8
