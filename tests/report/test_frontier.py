"""Leak against accuracy: which points nothing beats, what the words say of made-up numbers, and what is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_results import made_results, update_record
from PIL import Image

from invbench import report
from invbench.defenses.clip import Clip
from invbench.defenses.gaussian import Gaussian
from invbench.privacy.rounds import guarantee_of_round
from invbench.report.figures import figures_of_all
from invbench.report.frontier import Frontier, frontiers
from invbench.report.frontier_key import MOST_NAMES, key_lines
from invbench.report.frontier_page import frontier_section
from invbench.report.frontier_plot import frontier_png, heaps, runs, shares, ticks
from invbench.report.leaks import Control
from invbench.report.tables import text
from invbench.report.utility import costs
from invbench.store import Results
from invbench.store.utility import UtilityRecord, write_utility

SETTINGS = {
    "utility": {"clients": 10, "rounds": 300, "batch_size": 8, "optimizer": "adam", "lr": 0.003, "split": "iid"}
}
LEAKS = {
    "none": [30.0, 32.0, 31.0, 31.0],
    "gaussian(std=0.1)": [12.0, 13.0, 12.0, 13.0],
    "gaussian(std=0.01)": [30.5, 31.5, 31.0, 31.0],
    "clip(norm=1)": [20.0, 21.0, 20.0, 21.0],
}
ACCURACIES = {"none": 0.9, "gaussian(std=0.1)": 0.5, "gaussian(std=0.01)": 0.7, "clip(norm=1)": 0.89}


def training(number: int, defense: str, accuracy: float | None, seed: int = 0, **more: Any) -> UtilityRecord:
    said = {"dataset": "digits", "model": "lenet", "defense": defense, "protocol": "fedsgd", "seed": seed}
    numbers: dict[str, Any] = {"held_out": 540, "rounds": 300, "clients": 4, "message_bytes": 1000.0 * (number + 1)}
    settings = {**SETTINGS, "defense": defense, "seed": seed}
    status: Any = "failed" if accuracy is None else "ok"
    return UtilityRecord(
        id=f"{number:016x}",
        status=status,
        names=said,
        settings=settings,
        reason="diverged" if accuracy is None else None,
        accuracy=accuracy,
        seconds={"round": 0.02},
        **(numbers | more),
    )


def made(folder: Path, extra: Sequence[Any] = (), **accuracies: float | None) -> Results:
    """A result of four defences, an attack each and one weaker one, and their trainings."""
    records = [update_record(values, defense=defense) for defense, values in LEAKS.items()]
    records += [update_record([9.0, 9.0, 9.0, 9.0], attack="idlg", defense=d) for d in LEAKS]
    records += list(extra)
    results = made_results(folder, records)
    known = {**ACCURACIES, **accuracies}
    trainings = [training(k, defense, known[defense]) for k, defense in enumerate(LEAKS)]
    by_defense = {one.names["defense"]: one.id for one in trainings}
    plan = {record.id: by_defense[record.names["defense"]] for record in records}
    results.create("", [record.id for record in records], {}, plan)
    for one in trainings:
        write_utility(results, one)
    return results


def only(results: Results) -> Frontier:
    (found,) = frontiers(figures_of_all(results.each_record()), costs(results))
    return found


def test_nothing_beats_the_undefended_the_clipped_and_the_noisiest(tmp_path: Path) -> None:
    found = only(made(tmp_path))
    assert found.bare is found.points[0]
    assert {p.defense for p in found.points if p.unbeaten} == {"none", "gaussian(std=0.1)", "clip(norm=1)"}
    assert {p.attack for p in found.points} == {"dlg"}, "the strongest attack stands for the defence"
    assert found.points[0].leak.mean == 31.0
    assert found.points[0].accuracy.ci_low is not None
    assert 0.87 < found.points[0].accuracy.ci_low < 0.88  # Wilson, 486 of 540


def test_the_words_say_what_the_intervals_say(tmp_path: Path) -> None:
    results = made(tmp_path)
    report.write_files(results)
    page = (results.path / "report.md").read_text()
    assert "by nothing measured here: `none`, `gaussian(std=0.1)`, `clip`." in page
    assert "at an accuracy that is not surely lower: `clip`." in page
    assert "Leaks surely less, at an accuracy that is surely lower: `gaussian(std=0.1)`." in page
    assert "Costs accuracy for sure and does not surely leak less: `gaussian(std=0.01)`." in page
    assert "4,000 (4x)" in page
    assert "![leak against accuracy](frontier-1.png)" in page
    assert "epsilon" not in page.split("## Leak against accuracy")[1].split("##")[0]


def test_a_defence_without_accuracy_is_named_and_not_drawn(tmp_path: Path) -> None:
    results = made(tmp_path, **{"clip(norm=1)": None})
    found = only(results)
    assert "clip(norm=1)" not in {point.defense for point in found.points}
    assert dict(found.left_out) == {"clip": "no accuracy: failed: diverged"}
    report.write_files(results)
    assert "Not drawn: `clip`: no accuracy: failed: diverged." in (results.path / "report.md").read_text()


def test_trained_and_untrained_victims_stay_apart(tmp_path: Path) -> None:
    other = update_record([25.0, 26.0, 25.0, 26.0], model="lenet(trained=true)", defense="none")
    results = made(tmp_path, [other])
    found = frontiers(figures_of_all(results.each_record()), costs(results))
    assert [one.names["model"] for one in found] == ["lenet", "lenet(trained=true)"]


def test_several_seeds_give_intervals_over_seeds(tmp_path: Path) -> None:
    records = [update_record([30.0 + seed, 30.0 + seed], seed=seed) for seed in range(3)]
    results = made_results(tmp_path, records)
    trainings = [training(seed, "none", 0.8 + 0.01 * seed, seed) for seed in range(3)]
    results.create("", [r.id for r in records], {}, {r.id: t.id for r, t in zip(records, trainings, strict=True)})
    for one in trainings:
        write_utility(results, one)
    (point,) = only(results).points
    assert (point.leak.mean, point.leak.units) == (31.0, 3)
    assert point.accuracy.units == 3
    assert abs(point.accuracy.mean - 0.81) < 1e-9
    assert point.accuracy.ci_high is not None
    assert abs(point.accuracy.ci_high - 0.81 - 4.302653 * 0.01 / 3**0.5) < 1e-5


def test_the_picture_has_a_full_mark_where_nothing_beats_it(tmp_path: Path) -> None:
    found = only(made(tmp_path))

    def marked(frontier: Frontier) -> int:
        with Image.open(io.BytesIO(frontier_png(frontier))) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        return int((np.abs(pixels - np.array([28, 90, 150])).sum(axis=2) < 12).sum())

    hollow = replace(found, points=tuple(replace(point, unbeaten=False) for point in found.points))
    assert marked(found) > marked(hollow) + 3 * 25, "the insides of three marks"


def test_a_report_without_trainings_is_as_it_was(tmp_path: Path) -> None:
    results = made_results(tmp_path, [update_record()])
    report.write_files(results)
    assert "Leak against accuracy" not in (results.path / "report.md").read_text()
    assert not list(results.path.glob("frontier*"))


def test_ticks_are_round_and_hold_all_values() -> None:
    for values in ([0.9], [11.0, 12.4, 31.0], [99.99, 100.0], [-3.0, 4e-3]):
        found = ticks(values)
        assert found[0] <= min(values) <= max(values) <= found[-1]
        assert 2 <= len(found) <= 12


def test_an_axis_of_per_cents_ends_where_they_end() -> None:
    assert shares(ticks([6.5, 99.0])) == [0, 20, 40, 60, 80, 100]
    assert shares([99.9, 100.1]) == [99.9, 100.1]


def test_marks_that_touch_are_named_together_where_they_are_many() -> None:
    row = [(10.0 * k, 0.0, 10.0 * k + 12, 12.0) for k in range(5)]
    far = (500.0, 0.0, 512.0, 12.0)
    assert heaps([*row, far], [False] * 6) == [[0, 1, 2, 3, 4], [5]]
    assert heaps([*row[:2], far], [False] * 3) == [[0], [1], [2]]
    assert heaps(row, [False, True, False, False, False]) == [[0, 2, 3, 4], [1]]
    assert heaps(row, [True] * 5) == [[0], [1], [2], [3], [4]]
    assert runs([1, 8, 9, 10, 12, 13]) == "1, 8-10, 12, 13"


def test_the_words_say_of_what_each_epsilon_is_and_what_the_limits_leave(tmp_path: Path) -> None:
    found = only(made(tmp_path))
    local = str(guarantee_of_round([("clip", Clip(norm=1.0)), ("gaussian", Gaussian(std=1.0))]))
    assert local.startswith("epsilon 9.997 at delta 1e-05: L2 clip")
    more = {"gaussian(std=0.1)": {"epsilon": 9.997, "guarantee": local, "limit": 14.0}, "clip(norm=1)": {"limit": 25.0}}
    points = tuple(replace(point, **more.get(point.defense, {})) for point in found.points)
    page = frontier_section(replace(found, points=points, control=Control("mean", 15.0)), None)
    assert (
        "- Who reads nothing has 15.00 dB (control mean): beyond it is a leak, and short of it only what another"
        in page
    )
    assert "yet surely read" not in page
    assert f"- `gaussian(std=0.1)` guarantees {text(local)}." in page
    assert "an epsilon of one round is none of the 300 rounds that accuracy is after: `gaussian(std=0.1)`." in page
    assert "so that a better one may read more: `clip` by 4.50 dB." in page
    assert "- Limit no higher than what reading nothing has: `gaussian(std=0.1)`." in page
    assert "Shows neither: no row." in page, "`none` is a defence"


def test_what_looks_as_if_nothing_were_read_and_is_identified_is_named(tmp_path: Path) -> None:
    """12.5 dB where a control has 15, and yet every picture is told from all others."""
    scores = {name: [[value]] * 4 for name, value in {"psnr": 12.5, "identified": 1.0}.items()}
    controls = {name: {"psnr": [[15.0]] * 4, "identified": [[0.0]] * 4} for name in ("grey", "mean")}
    told = update_record(
        [12.5] * 4, attack="auto", defense="gaussian(std=0.1)", facts={"scores": scores, "controls": controls}
    )
    found = only(made(tmp_path, [told]))
    assert [point.also for point in found.points if point.defense == "gaussian(std=0.1)"] == [("identified",)]
    assert "- Short of it and yet surely read: `gaussian(std=0.1)` by identified." in frontier_section(found, None)


def test_the_key_names_the_marks_that_there_are_and_the_numbers_while_they_are_few(tmp_path: Path) -> None:
    found = only(made(tmp_path))
    lines = key_lines(found, lambda words: len(words) <= 90)
    assert lines[-1] == "1 none;  2 gaussian(std=0.1);  3 gaussian(std=0.01);  4 clip"
    assert not any("limit" in line for line in lines), "no point has one"
    many = replace(found, points=found.points * MOST_NAMES)
    assert key_lines(many, lambda words: True)[-1].endswith("numbers: rows of the table")
