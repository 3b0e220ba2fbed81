"""Cells that are played: the guarantee of their stack stands in the record, and why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_cells import make_cell

from invbench.defenses import dp_sgd
from invbench.games import game_of
from invbench.games.update import UpdateGame
from invbench.observation import Public
from invbench.play.asking import why_unsupported
from invbench.play.outcomes import unplayed
from invbench.report.figures import figures_of
from invbench.report.summary import to_csv
from invbench.store import Record

DP = {"name": "dp-sgd", "noise": 4.0, "rounds": 1}


def dealt(folder: Path, defense: Any) -> Record:
    """The limits and notes of such a cell, as its record; no attack is asked."""
    cell = make_cell(folder, defense=defense)
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    return replace(unplayed(cell, "ok", ""), reason=None, scores=deal.limits(), notes=tuple(deal.notes))


def notes(record: Record, word: str) -> Sequence[str]:
    return [note for note in record.notes if word in note]


def test_a_local_guarantee_stands_in_the_record_with_its_limit_and_in_words(tmp_path: Path) -> None:
    stack = [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 1.0}]]
    record = dealt(tmp_path, stack)
    assert [len(items) for items in record.scores["epsilon"]] == [1, 1], "one value a cell, the same for all targets"
    assert record.scores["epsilon"][0][0] == pytest.approx(4.3772, abs=1e-3)
    assert record.scores["limit_rero"][0][0] == pytest.approx(0.4307, abs=1e-3)  # Phi(Phi^-1(1/4) + 0.5)
    [said] = notes(record, "epsilon 4.377 at delta 1e-05")
    assert "any two batches of the client, sensitivity 2 * 0.5" in said
    assert notes(record, "limit_rero 0.4307 with a prior of 1/4")
    assert "epsilon_mean" in to_csv([figures_of(record)], [record.id]).splitlines()[0]


@pytest.mark.parametrize(
    ("batch", "labels", "kappa"),
    [(1, "hidden", 1 / 12), (1, "known", 1 / 4), (2, "hidden", 2 / 12), (2, "known", 2 / 4), (4, "known", None)],
)
def test_what_labels_and_several_guesses_tell_is_in_the_prior_of_a_reconstruction(
    tmp_path: Path, batch: int, labels: str, kappa: float | None
) -> None:
    """Twelve targets of three labels: who names candidates of a label, as many as a batch has, is right so often."""
    stack = [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 1e6}]]
    cell = make_cell(
        tmp_path, batch_size=batch, targets=2, defense=stack, protocol={"name": "fedsgd", "labels": labels}
    )
    found = UpdateGame().deal(cell, torch.device("cpu"))._guaranteed.limits(cell)["limit_rero"]
    assert found == [[kappa if kappa is None else pytest.approx(kappa, abs=1e-5)]] * 2


def test_an_empty_bound_says_whether_noise_or_the_prior_makes_it_so(tmp_path: Path) -> None:
    loud = dealt(tmp_path, [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 0.05}]])
    assert loud.scores["limit_rero"] == [[None], [None]]
    assert notes(loud, "limit_rero is empty: so little noise bounds nothing")
    stack = [[{"name": "clip", "norm": 0.5}, {"name": "gaussian", "std": 1.0}]]
    cell = make_cell(tmp_path, batch_size=4, targets=2, defense=stack, protocol={"name": "fedsgd", "labels": "known"})
    [said] = [note for note in game_of(cell).deal(cell, torch.device("cpu")).notes if "limit_rero" in note]
    assert (
        said == "limit_rero is empty: labels, and a guess for each picture, may name the right candidate by themselves"
    )


def test_without_a_guarantee_there_is_no_column_and_the_reason_is_a_note(tmp_path: Path) -> None:
    noisy = dealt(tmp_path, {"name": "gaussian", "std": 1.0})
    assert not {"epsilon", "limit_rero"} & noisy.scores.keys()
    assert notes(noisy, "no epsilon: gaussian has none by itself")
    header = to_csv([figures_of(noisy)], [noisy.id]).splitlines()[0]
    assert "epsilon" not in header
    assert "limit_rero" not in header
    assert not notes(dealt(tmp_path, "none"), "epsilon")


def test_dp_sgd_acts_on_each_example_of_an_update_and_the_attacker_is_told_how(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, batch_size=4, defense=DP)
    public: Public = game_of(cell).public(cell)
    assert public.defenses[0].parameters["batch"] == 4
    asked = make_cell(tmp_path, batch_size=4, defense={"name": "dp-sgd", "epsilon": 0.9263415, "rounds": 1})
    told: Public = game_of(asked).public(asked)
    assert told.defenses[0].parameters["noise"] == pytest.approx(4, abs=1e-5)


def test_what_dp_sgd_cannot_protect_is_unsupported_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = make_cell(tmp_path, defense=DP, protocol={"name": "fedavg", "steps": 2})
    assert "defence dp-sgd: acts on one gradient" in str(why_unsupported(steps))
    few = make_cell(tmp_path, defense={**DP, "population": 400}, batch_size=1)
    assert why_unsupported(few) is None, "a noise that is given needs no accountant"
    monkeypatch.setattr(dp_sgd, "installed", lambda: False)
    missing = make_cell(tmp_path, defense={"name": "dp-sgd", "epsilon": 8.0, "rounds": 10, "population": 400})
    assert "pip install 'invbench[dp]'" in str(why_unsupported(missing))
