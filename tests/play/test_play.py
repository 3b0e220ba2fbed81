"""One cell, played: its record is whole, and whatever goes wrong is its reason and nobody else's."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from exact_attack import EXACT
from small_cells import MLP, crops, make_cell, make_cells, plugged, write_pool

from invbench import matrix
from invbench.attacks import Attack
from invbench.cell import Cell
from invbench.core.progress import Progress, listening
from invbench.games.update import UpdateGame
from invbench.matching import compiling
from invbench.play.asking import (
    artefacts,
    make_artefact,
    requested_controls,
    unplayable,
    why_unsupported,
    with_unplayable,
)
from invbench.play.forecasting import _trial_seconds, forecast
from invbench.play.outcomes import unplayed, with_seconds
from invbench.play.playing import play
from invbench.sheets import sheet_of
from invbench.store import Record

CPU = "cpu"
QUICK = {"name": "inverting-gradients", "iterations": 3}
HIDDEN = {"name": "fedsgd", "labels": "hidden"}

HEAD = """
from dataclasses import dataclass
import time
import torch
from invbench.observation import Failed, Guess
from invbench.registry import attack, parameter

def grey(seen):
    return Guess(images=torch.full((1, *seen.public.image_shape), 0.5), evaluations=2, notes=('grey',))

@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Theirs:
    '''An attack of theirs.'''
"""
THEIRS = {
    "unprepared": """
def preparations(self, public):
    return public.no_such_fact

def __call__(self, seen):
    return grey(seen)
""",
    "undecided": """
def unsupported(self, public):
    return public.no_such_fact

def __call__(self, seen):
    return grey(seen)
""",
    "broken": """
def __call__(self, seen):
    return Guess(images=seen.pictures)
""",
    "confused": """
def __call__(self, seen):
    return Guess(images=torch.zeros(2, 3) @ torch.zeros(2, 3))
""",
    "hungry": """
def __call__(self, seen):
    return bytearray(1 << 62)
""",
    "short": """
def attack_all(self, seen):
    return [one.nothing('') for one in seen[1:]]
""",
    "misshapen": """
def __call__(self, seen):
    return Guess(images=torch.zeros(1, 3, 5, 5))
""",
    "unsure": """
def __call__(self, seen):
    if seen.labels[0] == 1:
        raise Failed('it is a one')
    return grey(seen)
""",
    "slow": """
def __call__(self, seen):
    time.sleep(0.25)
    return grey(seen)
""",
    "picky": """
def unsupported(self, public):
    return f'not on {public.model}'
def __call__(self, seen):
    return grey(seen)
""",
    "sharing": """
def attack_all(self, seen):
    rows = torch.full((len(seen), 1, *seen[0].public.image_shape), 0.5)
    label = torch.zeros(1, dtype=torch.int64)
    return [Guess(images=row, labels=label) for row in rows]
""",
}
"""Attacks of another package, as a user may write them."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[None]:
    with plugged(tmp_path, {f"attacks.{name}": HEAD + indent(methods, "    ") for name, methods in THEIRS.items()}):
        yield


def to_make(cell: Cell) -> dict[str, str]:
    """Name and description of everything not yet made that the cell needs made first."""
    return {artefact.name: artefact.what for artefact in artefacts(cell) if not artefact.made}


def record(cell: Cell) -> Record:
    """The cell's record, which must be one that the store reads back."""
    found = play(cell, CPU).record
    text = found.to_json()
    assert Record.from_json(json.loads(text), "here").to_json() == text
    assert found.id == cell.id
    return found


def failure(cell: Cell) -> str:
    """Why a cell failed; it has no scores then."""
    found = record(cell)
    assert (found.status, found.scores, found.controls) == ("failed", {}, {})
    assert found.seconds.keys() == {"cell"}
    assert found.reason is not None
    assert "\n" not in found.reason
    return found.reason


# A good cell


def test_the_record_of_a_good_cell_is_whole(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=QUICK, batch_size=3, controls=["grey", "mean", "noise"])
    found = record(cell)
    assert (found.status, found.reason) == ("ok", None)
    assert found.names == cell.names
    assert json.loads(found.to_json())["settings"] == json.loads(json.dumps(cell.settings))
    assert (found.targets, found.images) == (2, 6)
    named = sheet_of("update").by_name
    of_malicious = {"d_snr", "d_snr_honest"}
    assert found.scores.keys() == {name for name in named if named[name].role != "limit"} - of_malicious
    assert found.controls.keys() == {"grey", "mean", "noise"}
    for scores in (found.scores, *found.controls.values()):
        assert all(np.shape(targets) == (2, 3) for targets in scores.values())
    assert found.evaluations == (4, 4)
    assert all(0 < objective < 2 for objective in found.objectives)
    assert found.diverged == 0
    assert found.stopped == {"budget spent": 2}  # three iterations each, and not a converged one among them
    assert found.seconds.keys() == {"attack", "scoring", "controls", "cell"}
    assert min(found.seconds.values()) > 0
    assert sum(found.seconds[part] for part in ("attack", "scoring", "controls")) <= found.seconds["cell"]
    assert found.memory_mb is None or 0 <= found.memory_mb < 2000
    assert (found.device, found.torch) == ("cpu", torch.__version__)
    assert found.dataset == {"name": "npz(path=pool.npz)", "hash": cell.data_hash, "path": "pool.npz"}


def test_compile_reaches_the_attack_and_its_time_stands_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(step: Any, inputs: Any) -> Any:
        time.sleep(0.5)
        return step

    monkeypatch.setattr(torch._inductor, "compile", compile_)
    monkeypatch.setattr(compiling, "_COST", 0.0)
    monkeypatch.setattr(compiling, "_COST_PER_NODE", 0.0)
    longer = QUICK | {"iterations": 50}
    off = record(make_cell(tmp_path, attack=longer, model="lenet"))
    on = record(make_cell(tmp_path, attack=longer, model="lenet", compile="on"))
    assert "compile" not in off.seconds
    assert on.seconds["compile"] > 0.5
    assert on.seconds["attack"] + on.seconds["compile"] <= on.seconds["cell"]
    assert [note for note in on.notes if "compiled" in note] == ["steps compiled by Inductor (2 of 2 targets)"]
    assert on.scores == off.scores  # this compiler gives back what it got
    assert on.id != off.id


def test_a_record_counts_what_was_scored_the_pictures_of_every_client_too(tmp_path: Path) -> None:
    protocol = {"name": "fedsgd", "clients": 2}
    assert record(make_cell(tmp_path, attack=QUICK, batch_size=3, protocol=protocol)).images == 12


def test_arrays_and_grid_come_with_it(tmp_path: Path) -> None:
    played = play(make_cell(tmp_path, batch_size=1), CPU)
    assert played.arrays is not None
    assert played.arrays["originals"].shape == played.arrays["reconstructions"].shape == (2, 1, 3, 16, 16)
    assert np.allclose(played.arrays["originals"], played.arrays["reconstructions"], atol=1e-4)  # its attack is exact
    assert list(played.files) == ["grid.png"]
    assert played.files["grid.png"].startswith(b"\x89PNG")


def test_a_cell_of_people_has_a_whole_record_and_no_picture(tmp_path: Path) -> None:
    text = {
        "targets": 30,
        "dataset": {"name": "warfarin", "sensitive": "vkorc1"},
        "grid": {"attack": "map-inversion", "model": "iwpc"},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(text))
    (cell,) = matrix.load(tmp_path / "m.yaml", []).cells
    found = record(cell)
    assert (found.status, found.targets, found.images) == ("ok", 30, 30)
    assert found.scores.keys() == set(sheet_of("attribute").by_name)
    assert found.controls.keys() == {"mode", "imputation"}
    assert found.names["batch_size"] is None
    played = play(cell, CPU)
    assert not played.files
    assert played.arrays is not None
    assert len(played.arrays["truth"]) == 30


def test_the_same_cell_has_the_same_bits_whatever_was_played_before(tmp_path: Path) -> None:
    cell, other = make_cells(tmp_path, attack=QUICK, batch_size=2, model=[MLP, "lenet"])
    first = play(cell, CPU)
    play(other, CPU)
    again = play(cell, CPU)
    assert first.record.scores == again.record.scores
    assert first.record.controls == again.record.controls
    assert first.record.objectives == again.record.objectives
    assert first.files == again.files
    assert first.arrays is not None
    assert again.arrays is not None
    assert all(np.array_equal(first.arrays[name], again.arrays[name]) for name in first.arrays)


def test_the_scores_are_those_of_the_attack_on_the_game_s_observations(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=QUICK, batch_size=2)
    staged = UpdateGame().deal(cell, torch.device(CPU))
    expected = staged.score(cell.attack.build(Attack).attack_all(staged.observations))
    assert record(cell).scores == expected


def test_the_attack_tells_how_far_it_is(tmp_path: Path) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        play(make_cell(tmp_path), CPU)
    assert [(p.phase, p.done, p.total) for p in heard] == [("attack", 1, 2), ("attack", 2, 2)]


# What goes wrong


@pytest.mark.usefixtures("theirs")
def test_an_attack_that_raises_is_a_failed_cell_with_the_place(tmp_path: Path) -> None:
    line = HEAD.count("\n") + 3
    assert failure(make_cell(tmp_path, attack="broken")) == (
        f"AttributeError: 'UpdateObservation' object has no attribute 'pictures' (their_attacks_broken.py:{line})"
    )
    reason = failure(make_cell(tmp_path, attack="confused"))
    assert reason.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert reason.endswith(f"(their_attacks_confused.py:{line})")


@pytest.mark.usefixtures("theirs")
def test_a_part_that_fails_to_say_whether_it_can_costs_its_cell_alone(tmp_path: Path) -> None:
    for attack in ("undecided", "unprepared"):
        untold = unplayable(make_cell(tmp_path, attack=attack))
        assert untold is not None
        assert (untold.record.status, "no_such_fact" in str(untold.record.reason)) == ("failed", True)
        assert b"no_such_fact" in untold.files["traceback.txt"]
    assert unplayable(make_cell(tmp_path)) is None


@pytest.mark.usefixtures("theirs")
def test_no_memory_is_told_as_such(tmp_path: Path) -> None:
    assert failure(make_cell(tmp_path, attack="hungry")).startswith("out of memory")
    reason = failure(make_cell(tmp_path, model={**MLP, "width": 10**11}))
    assert reason.startswith("out of memory: ")
    assert "you tried to allocate" in reason


@pytest.mark.usefixtures("theirs")
def test_a_wrong_number_of_guesses_is_a_failure(tmp_path: Path) -> None:
    assert "2 guesses for 3 observations" in failure(make_cell(tmp_path, attack="short", targets=3))


@pytest.mark.usefixtures("theirs")
def test_pictures_of_another_size_are_a_failure(tmp_path: Path) -> None:
    reason = failure(make_cell(tmp_path, attack="misshapen"))
    assert "(1, 3, 5, 5)" in reason


@pytest.mark.usefixtures("theirs")
def test_an_attack_without_an_answer_for_one_target_is_scored_there_and_noted(tmp_path: Path) -> None:
    found = record(make_cell(tmp_path, attack="unsure", targets=4))  # labels 0, 1, 2, 0
    assert found.status == "ok"
    assert found.scores["recovered"] == [[1.0], [0.0], [1.0], [1.0]]
    assert found.scores["psnr"][1] == found.controls["mean"]["psnr"][1]
    assert found.evaluations == (2, 0, 2, 2)
    assert "it is a one (1 of 4 targets)" in found.notes
    assert "grey (3 of 4 targets)" in found.notes


def test_data_that_changed_since_planning_are_a_failure_that_says_so(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    write_pool(tmp_path / "pool.npz", crops(13)[1:])
    assert "data set npz(path=pool.npz) changed while the matrix ran" in failure(cell)
    (tmp_path / "pool.npz").write_bytes(b"half a file")
    assert "pool.npz: is not an npz archive" in failure(cell)
    (tmp_path / "pool.npz").unlink()
    assert "pool.npz: No such file" in failure(cell)
    write_pool(tmp_path / "pool.npz")
    assert record(cell).status == "ok"


def test_a_cell_that_did_not_end_by_itself_has_a_record_too(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, batch_size=3)
    found = with_seconds(unplayed(cell, "timeout", "took more than 5 s"), 5.1, CPU)
    assert Record.from_json(json.loads(found.to_json()), "here").to_json() == found.to_json()
    assert (found.status, found.reason, found.images) == ("timeout", "took more than 5 s", 6)
    assert (dict(found.seconds), found.device, found.torch) == ({"cell": 5.1}, "cpu", torch.__version__)


# What cannot be played


@pytest.mark.usefixtures("theirs")
def test_the_game_s_reason_comes_first_then_the_attack_s(tmp_path: Path) -> None:
    assert why_unsupported(make_cell(tmp_path)) is None
    assert why_unsupported(make_cell(tmp_path, attack="picky")) == "not on mlp(width=8,depth=1)"
    game_s = why_unsupported(make_cell(tmp_path, attack="picky", targets=13))
    assert game_s == "13 batches of 1 need 13 pictures; the target pool has 12"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"attack": EXACT, "batch_size": 2}, ["needs batch_size 1"]),
        ({"attack": "peel", "model": {"name": "lenet", "pool": "max"}}, ["max pooling"]),
        ({"attack": QUICK, "batch_size": 2, "protocol": HIDDEN}, ["hides the labels", "batch_size 1"]),
        ({"attack": "idlg", "batch_size": 2}, ["idlg", "batch_size 1"]),
    ],
)
def test_an_attack_says_what_it_cannot_do(tmp_path: Path, said: dict[str, Any], words: list[str]) -> None:
    reason = why_unsupported(make_cell(tmp_path, **said))
    assert reason is not None
    assert all(word in reason for word in words)


def test_an_attack_is_of_one_game(tmp_path: Path) -> None:
    cell = dataclasses.replace(make_cell(tmp_path), game="attribute")
    assert why_unsupported(cell) == f"{EXACT} is no attack of game attribute"


# The control `noise`, and what cells share


def test_a_game_s_controls_are_asked_for_only_where_it_has_them(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, controls=["grey", "noise"])
    assert requested_controls(cell) == {"grey", "noise"}
    assert requested_controls(dataclasses.replace(cell, game="attribute")) == set()


def test_noise_scores_what_the_attack_makes_of_noise(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack=QUICK, batch_size=2, defense="sign", controls=["noise"])
    bare = UpdateGame().deal(dataclasses.replace(cell, defense=()), torch.device(CPU))
    seen = UpdateGame().reruns(cell)["noise"].observe(torch.device(CPU))
    honest = zip(seen, bare.observations, strict=True)
    assert all(torch.allclose(n.norm(), u.norm()) for a, b in honest for n, u in zip(a.update, b.update, strict=True))
    expected = bare.score(cell.attack.build(Attack).attack_all(seen))
    found = record(cell)
    assert found.controls == {"noise": expected}
    assert found.scores != expected


def test_noise_is_made_once_for_all_defences_and_for_nothing_else(tmp_path: Path, cache: Path) -> None:
    controls = ["noise"]
    defended = make_cells(
        tmp_path, attack=QUICK, defense=["none", "sign", {"name": "clip", "norm": 1.0}], controls=controls
    )
    (name,) = {name for cell in defended for name in to_make(cell)}
    make_artefact(name, defended[1], CPU)
    (file,) = cache.glob("*.safetensors")
    made = file.stat().st_mtime_ns
    assert all(to_make(cell) == {} for cell in defended)
    noises = [record(cell).controls["noise"] for cell in defended]
    assert noises[0] == noises[1] == noises[2]
    assert list(cache.glob("*.safetensors")) == [file]
    assert file.stat().st_mtime_ns == made
    for change in ({"seed": 1}, {"batch_size": 2}, {"attack": {**QUICK, "tv": 0.5}}, {"protocol": HIDDEN},
                   {"model": "lenet"}, {"targets": 3}, {"offset": 1}):  # fmt: skip
        assert name not in to_make(make_cell(tmp_path, **{"attack": QUICK, "controls": controls} | change))
        assert len(to_make(make_cell(tmp_path, **{"attack": QUICK, "controls": controls} | change))) == 1


@pytest.mark.usefixtures("theirs")
def test_noise_is_outside_the_attack_s_seconds(tmp_path: Path) -> None:
    found = record(make_cell(tmp_path, attack="slow", controls=["noise"]))
    assert 0.5 <= found.seconds["attack"] < 1.0  # two targets of 0.25 s, not four
    assert found.seconds["controls"] >= 0.5


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("attack", ["unsure", "sharing"])
def test_any_guess_at_noise_is_kept(tmp_path: Path, attack: str) -> None:
    """Guesses of nothing, and guesses that are rows of one tensor."""
    found = record(make_cell(tmp_path, attack=attack, controls=["noise"]))
    assert found.status == "ok"
    assert found.controls["noise"]["recovered"] == [[1.0], [float(attack == "sharing")]]
    assert record(make_cell(tmp_path, attack=attack, controls=["noise"])).controls == found.controls


def test_a_trained_victim_is_the_first_thing_to_make(tmp_path: Path, cache: Path) -> None:
    trained = {**MLP, "trained": True, "training_steps": 5}
    cell = make_cell(tmp_path, model=trained, controls=["noise"])
    needed = to_make(cell)
    assert [what.split()[0] for what in needed.values()] == ["training", EXACT]
    make_artefact(next(iter(needed)), cell, CPU)
    assert list(to_make(cell)) == list(needed)[1:]
    assert record(cell).status == "ok"
    assert to_make(cell) == {}
    assert len(list(cache.glob("*.safetensors"))) == 2


def test_an_artefact_whose_code_changed_while_the_matrix_ran_is_said_to_have_another_name(tmp_path: Path) -> None:
    """A worker that imports it later names it otherwise: the reason is more than a StopIteration without words."""
    cell = make_cell(tmp_path, model={**MLP, "trained": True, "training_steps": 5})
    with pytest.raises(ValueError, match="changed while the matrix ran"):
        make_artefact("0" * 24, cell, CPU)


# The forecast


def test_the_forecast_is_near_the_truth(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack={"name": "inverting-gradients", "iterations": 60}, model="lenet")
    forecasts = [forecast(cell, CPU) for _ in range(2)]
    truth = record(cell).seconds["attack"]
    assert min(f.seconds for f in forecasts) > 0
    assert any(truth / 8 < f.seconds < 12 * truth for f in forecasts)  # lanes share work, machines are busy
    assert all(f.memory_mb is None or f.memory_mb >= 0 for f in forecasts)


def test_the_forecast_grows_with_the_work(tmp_path: Path) -> None:
    def seconds(iterations: int) -> float:
        cell = make_cell(tmp_path, attack={"name": "inverting-gradients", "iterations": iterations}, model="lenet")
        return min(forecast(cell, CPU).seconds for _ in range(3))

    assert seconds(2000) > 2.5 * seconds(200)


def test_the_forecast_of_an_attack_that_runs_others_adds_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(tmp_path, attack="auto", targets=3)
    asked: list[str] = []

    def seconds(attack: Any, observations: Any) -> float:
        asked.append(type(attack).__name__)
        return 2.0

    monkeypatch.setattr("invbench.play.forecasting._trial_seconds", seconds)
    assert forecast(cell, CPU).seconds == 2.0 * len(asked) * 3
    assert {"Peel", "Recipe"} <= set(asked)


def test_a_trial_of_targets_that_share_no_work_is_of_one() -> None:
    class Alone(Attack[Any, Any, str]):
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, seen: Any) -> str:
            self.calls += 1
            seen.remove("the only query")
            return "guess"

    alone = Alone()
    budgets: Any = [["the only query"] for _ in range(3)]
    assert _trial_seconds(alone, budgets) >= 0
    assert alone.calls == 2  # one to load kernels, one that counts, each with a whole budget


def test_a_forecast_trains_no_victim(tmp_path: Path, cache: Path) -> None:
    trained = {**MLP, "trained": True}
    assert forecast(make_cell(tmp_path, model=trained, controls=["noise"]), CPU).seconds > 0
    assert not cache.exists()


def test_refusals_are_those_of_each_cell_alone_though_seeds_share_an_answer(tmp_path: Path) -> None:
    said: dict[str, Any] = {"attack": [EXACT, QUICK], "batch_size": [1, 2], "seed": [0, 1, 2]}
    cells = make_cells(tmp_path, **said)
    told = list(with_unplayable(cells))
    assert [cell for cell, _ in told] == list(cells)
    assert [played for _, played in told] == [unplayable(cell) for cell in cells]
    assert [played.record.id for _, played in told if played] == [cell.id for cell, played in told if played]
    assert {played.record.status for _, played in told if played} == {"unsupported"}


def test_what_an_attack_does_to_the_network_it_is_given_stays_its_own(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    first, second = (UpdateGame().deal(cell, torch.device(CPU)).observations[0].public.network for _ in range(2))
    assert first is not second
    assert first is not UpdateGame().public(cell).network
