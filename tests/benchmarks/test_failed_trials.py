"""A trial that failed counts: it is scored as a missing picture, and nothing is said to be fast for ending early."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import auto  # type: ignore[import-not-found]
import gpu  # type: ignore[import-not-found]
import matching  # type: ignore[import-not-found]
import msgspec
import pytest
import simulation  # type: ignore[import-not-found]
import strongest  # type: ignore[import-not-found]
import success  # type: ignore[import-not-found]
import torch
import victims  # type: ignore[import-not-found]
from _cells import decibels, stage  # type: ignore[import-not-found]
from _trials import Trial, mean_psnr, median_seconds, share  # type: ignore[import-not-found]
from command_line import FinishedRun, write
from defense_contract import built

from invbench import registry
from invbench.attacks.auto import Auto
from invbench.games._planning import STAGES
from invbench.matching.objectives import OBJECTIVES
from invbench.matrix import load
from invbench.store import Results


@pytest.fixture(scope="module")
def data(shared_data: Path) -> Path:
    return shared_data / "cifar10-test-first100.npz"


def test_a_missing_picture_is_scored_as_the_mean_picture_as_the_game_scores_it(data: Path) -> None:
    round_ = stage(data, "lenet", 2, 1)
    nothing = round_.observations[0].nothing("no answer")
    assert decibels(round_, 0, None) == round_.score([nothing])["psnr"][0]
    one = decibels(round_, 0, torch.from_numpy(round_.truths[0].images[:1]))
    assert one == [100.0, decibels(round_, 0, None)[1]]


def test_other_pictures_than_the_tables_speak_of_are_refused(data: Path, tmp_path: Path) -> None:
    import numpy as np

    with np.load(data) as held:
        np.savez(tmp_path / "others.npz", images=held["images"][::-1], labels=held["labels"])
    with pytest.raises(SystemExit, match="does not hold the first 100 test pictures"):
        stage(tmp_path / "others.npz", "lenet", 1, 1)


def test_a_victim_s_mean_counts_the_pictures_that_were_not_returned() -> None:
    found = [victims.Picture(90.0, True, "peel", 1.0), victims.Picture(10.0, False, None, 3.0)]
    assert victims.row("lenet", found)[1:] == ["2", "**50.0**", "10.0", "1 of 2", "1 of 2", "peel", "2"]
    assert victims.row("lenet", found[1:])[2] == "**10.0**"  # where nothing survived there is a row as well


def test_a_picture_that_auto_does_not_return_has_a_score(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Auto, "attack_all", lambda self, seen: [seen[0].nothing("the gradient is zero")])
    [found] = victims.attacked(data, "lenet", 1)
    assert found.part is None
    assert not found.certified
    assert found.psnr == decibels(stage(data, "lenet", 1, 1), 0, None)[0]


def test_a_median_of_times_is_a_median_and_a_mean_psnr_a_mean_over_all() -> None:
    trials = [Trial([30.0], 1.0), Trial([30.0], 2.0), Trial([12.0], 9.0, "ValueError")]
    assert median_seconds(trials) == 2
    assert mean_psnr(trials) == 24


def test_a_failed_trial_leaves_no_ratio_of_times() -> None:
    good, bad = [Trial([30.0], 2.0)] * 2, [Trial([30.0], 4.0), Trial([12.0], 0.1, "ValueError")]
    assert share(good, [bad[0]] * 2) == "**0.500**"
    assert share(good, bad) == "none: 1 of 4 trials failed"
    assert share(bad, good) == "none: 1 of 4 trials failed"


def test_auto_s_table_tells_failed_trials_and_a_missing_peer() -> None:
    settings = auto.Settings(2, [0], 2)
    seeds = [auto.Seed(0, [100.0, 12.0], 1, 1, 1, 2.0)]
    table = auto.answer(settings, auto.Samples(seeds, [Trial([99.0], 1.0)] * 2, [Trial([12.0], 1.0, "KeyError")] * 2))
    assert table.rows[0] == ["0", "**56.0**", "12.0", "1 of 2", "1 of 2", "1 of 2", "1 of 2", "2.00"]
    assert "none: 2 of 4 trials failed" in table.text[0]
    assert table.failed == ["breaching, picture 0: KeyError", "breaching, picture 1: KeyError"]
    assert "not installed" in auto.answer(settings, auto.Samples(seeds, [Trial([99.0], 1.0)], [])).text[0]


def test_matching_counts_failed_trials_and_leaves_open_what_is_not_measured() -> None:
    good, bad = Trial([20.0, 22.0], 10.0), Trial([12.0, 12.0], 1.0, "ValueError")
    parts = [
        matching.Part("convnet", 1, 0, ["aaaaaaa"], Trial([20.0, 22.0], 1.0), good),
        matching.Part("convnet", 1, 1, ["aaaaaaa"], good, bad),
        matching.Part("resnet18", 1, 0, ["aaaaaaa"], good, None),
    ]
    shown = matching.row(parts, "convnet", 1)
    assert shown == ["convnet", "1", "2", "**21.0**", "16.5", "6", "6", "none: 1 of 4 trials failed"]
    assert matching.row(parts, "resnet18", 1)[3:] == ["**21.0**", "not installed", "10", "", ""]
    settings = matching.Settings(2, {1: 3, 8: 3}, {1: 3, 8: 3})
    everything = [
        matching.Part(model, batch, index, ["aaaaaaa"], good, bad if index else good)
        for model in matching.MODELS
        for batch in (1, 8)
        for index in (0, 1)
    ]
    failed = matching.answer(settings, matching.Samples(everything)).failed
    assert failed[0] == "convnet-1-1, breaching: ValueError"
    assert len(failed) == 4


def cell(attack: str, psnr: list[float], status: str = "ok", control: float = 12.0) -> Any:
    ended = {"psnr": psnr, "control": [control] * len(psnr), "seconds": 3.0, "device": "cpu"} if status == "ok" else {}
    return strongest.Cell("lenet", "lenet", 1, "known", "none", attack, status, **ended)


def test_auto_is_not_called_the_strongest_where_another_attack_failed() -> None:
    unsupported = cell("analytic", [], "unsupported")
    attacks = {"auto": cell("auto", [19.0, 21.0]), "dlg": cell("dlg", [19.0, 19.0]), "analytic": unsupported}
    assert strongest.is_as_good(attacks, 0.5)
    assert strongest.is_as_good(attacks | {"dlg": cell("dlg", [20.0, 21.0])}, 0.5)
    assert not strongest.is_as_good(attacks | {"dlg": cell("dlg", [20.1, 21.0])}, 0.5)
    assert not strongest.is_as_good(attacks | {"dlg": cell("dlg", [], "timeout")}, 0.5)
    assert not strongest.is_as_good(attacks | {"auto": cell("auto", [], "failed")}, 0.5)


def test_auto_is_lost_where_it_is_surely_below_its_control_and_another_is_above_it() -> None:
    better, worse = cell("dlg", [14.0, 14.0, 14.0]), cell("dlg", [9.0, 9.0, 9.0])
    surely, perhaps = cell("auto", [10.0, 10.1, 10.2]), cell("auto", [6.0, 11.0, 16.0])
    assert strongest.is_lost({"auto": surely, "dlg": better})
    assert not strongest.is_lost({"auto": surely, "dlg": worse})
    assert not strongest.is_lost({"auto": perhaps, "dlg": better})


def test_strongest_has_a_row_where_nothing_ended() -> None:
    cells = [cell("auto", [], "failed"), cell("dlg", [], "timeout")]
    table = strongest.answer(strongest.Settings(left=3), strongest.Samples(cells))
    assert table.rows == [["lenet", "known", "none", "2,400", "none / none", "", "", ""]]
    assert "0 of 1 places" in table.question
    assert table.text[-1] == "Not measured yet: 3 of 4 places."
    assert len(table.failed) == 2


def test_strongest_keeps_places_of_its_table_while_their_cells_have_the_ids_of_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = [msgspec.structs.replace(cell(name, [19.0]), id=f"{k:016x}") for k, name in enumerate(("auto", "dlg"))]
    raw = SimpleNamespace(facts=SimpleNamespace(revisions=["1234567"]), samples=strongest.Samples(old))
    monkeypatch.setattr(strongest, "read", lambda name: raw)
    monkeypatch.setattr(strongest, "ids", lambda data: {one.id for one in old} | {"f" * 16})
    kept = strongest.still_true({}, Path())
    assert [one.revision for one in kept] == ["1234567"] * 2
    assert strongest.still_true(strongest.placed(old), Path()) == []
    told = strongest.answer(strongest.Settings(), strongest.Samples(kept)).text
    assert "Places measured before, whose cells have the same ids: 1 at 1234567." in told
    monkeypatch.setattr(strongest, "ids", lambda data: {old[0].id})
    assert strongest.still_true({}, Path()) == []


def test_strongest_knows_the_ids_of_its_table(data: Path) -> None:
    kept = strongest.read("strongest").samples.cells
    assert {one.id for one in kept} <= strongest.ids(data)


def test_strongest_attacks_every_place_that_was_asked_for(data: Path, tmp_path: Path) -> None:
    """Batch 1 to 8, labels known and hidden, every defence of its time, seven networks, every objective: 60 places."""
    places = set[tuple[Any, ...]]()
    for name, part in strongest.PARTS.items():
        matrix = load(write(tmp_path / f"{name}.yaml", part.matrix(name, data, 4)))
        found = {(c.model.short, c.batch_size, c.protocol.short, c.defense) for c in matrix.cells if c.protocol}
        assert len(found) == part.places
        of_labels = [part.attackers(labels) for labels in part.labels]
        assert len(matrix.cells) == part.places * sum(of_labels) / len(of_labels)
        places |= {(name, *one) for one in found}
    assert len(places) >= 60
    declared = {defense.name for *_, stack in places for defense in stack}
    ours = set(registry.names("defense")) - set(registry.plugin_names("defense"))
    of_updates = STAGES - {"training"}  # its victims are not trained
    assert declared == {name for name in ours if of_updates & set(built(name).stages())} - strongest.LATER
    assert set(registry.names("defense")) >= strongest.LATER
    said = "\n".join(strongest.answer(strongest.Settings(), strongest.read("strongest").samples).text)
    assert all(f"`{name}`" in said for name in (*strongest.LATER, *strongest.LATER_OBJECTIVES)), "the table says so"
    assert {batch for _, _, batch, *_ in places} == {1, 2, 4, 8}
    assert len({model for _, model, *_ in places}) == 7
    asked = {attack["objective"] for attack in strongest.PARTS["lenet"].attacks() if "objective" in attack}
    assert asked == set(OBJECTIVES) - set(strongest.LATER_OBJECTIVES)


def test_a_side_of_which_a_repeat_failed_has_no_speed_on_a_gpu() -> None:
    row = gpu.row(gpu.Case("lenet", 1, [10.0, 30.0, 20.0], [5.0, None, 5.0]))
    assert row == ["lenet", "1", "20.0", "failed 1 of 3", ""]
    assert gpu.row(gpu.Case("lenet", 1, [10.0, 30.0, 20.0], [5.0, 10.0, 4.0]))[-1] == "**4.0**"
    assert gpu.row(gpu.Case("lenet", 1, [10.0], None))[3:] == ["not installed", ""]


def test_the_success_rate_counts_cells_that_failed() -> None:
    def record(status: str, scores: dict[str, Any]) -> Any:
        return SimpleNamespace(status=status, names={"attack": "dlg", "seed": 0}, scores=scores, images=2)

    records = [
        record("ok", {"psnr": [[50.0], [math.nan]]}),
        record("ok", {"psnr": [[41.0], [None]]}),
        record("timeout", {}),
        record("unsupported", {}),
    ]
    lines = success.lines(records)
    assert lines[-2] == "| all | **2 of 6** | |"
    assert "| 0 | 0 of 2 | none none |" in lines


def test_strongest_keeps_every_cell_of_a_real_result(finished: FinishedRun) -> None:
    records = [one for one in Results(finished.result).each_record(settings=True) if one.names["game"] == "update"]
    assert records
    kept = [strongest.cell("mlp", one) for one in records]
    assert [one.status for one in kept] == [one.status for one in records]
    assert all((len(one.psnr) == len(one.control) == 3) == (one.status == "ok") for one in kept)
    whole = next(one for one in records if one.status == "ok")
    lacking = dataclasses.replace(whole, scores=whole.scores | {"psnr": [*whole.scores["psnr"][:-1], [None]]})
    assert (strongest.cell("mlp", lacking).status, strongest.cell("mlp", lacking).psnr) == ("failed", [])


def test_simulating_the_client_has_no_gain_where_a_side_or_a_target_failed() -> None:
    def record(simulate: bool, psnr: list[list[float | None]], status: str = "ok") -> Any:
        return SimpleNamespace(
            status=status,
            targets=2,
            settings={"attack": {"name": "dlg", "simulate": simulate}},
            names={"attack": "dlg", "protocol": "fedavg", "model": "lenet", "batch_size": 1},
            scores={"psnr": psnr} if psnr else {},
            controls={"grey": {"psnr": [[12.0], [12.0]]}},
        )

    whole = record(False, [[10.0], [20.0]])
    [told] = simulation.lines([record(True, [[20.0], [30.0]]), whole])
    assert told.startswith("dlg, fedavg, lenet, batch 1: ")
    assert "gain +10.00 dB" in told
    for survivor in (record(True, [[20.0], [30.0, None]]), record(True, [], "timeout")):
        [told] = simulation.lines([survivor, whole])
        assert "no gain" in told
        assert survivor.status in told
