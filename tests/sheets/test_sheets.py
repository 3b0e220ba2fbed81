"""Sheets and metrics by name: what is found, what clashes, and what one broken file costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_presence import SHEET
from small_cells import plugged

from invbench import registry
from invbench.console.wording import count
from invbench.guide import catalogue
from invbench.matrix.controls import controls_of
from invbench.numbers.sheet import GameSheet
from invbench.scoring.computing import computed
from invbench.sheets import Clash, columns, every_sheet, metric_of, sheet_of

MAE = '''
"""Mean absolute error."""
import numpy as np
from invbench.numbers.columns import Column
from invbench.numbers.metric import Metric

METRIC = Metric(
    column=Column({name!r}, "mean absolute error", better="lower"),
    games=("update",),
    inputs=("pictures", "originals"),
    values=lambda pictures, originals: {values},
)
'''
OF_PICTURES = "np.abs(pictures - originals).mean(axis=(1, 2, 3))"
OTHER_ACCURACY = """
from invbench.numbers.columns import Column
from invbench.numbers.sheet import Noun, Sheet

SHEET = Sheet(columns=(Column("accuracy", "something else"),), item=Noun("string", "strings"))
"""


def mae(name: str = "mae", values: str = OF_PICTURES) -> str:
    return MAE.format(name=name, values=values)


@pytest.mark.parametrize("game", registry.names("game"))
def test_every_game_has_a_sheet_whose_every_word_names_a_metric_that_is_there(game: str) -> None:
    sheet = sheet_of(game)
    assert sheet.plain is None
    assert len(sheet.columns) == len(sheet.said.columns)
    shown = {*sheet.said.layout.metrics} if sheet.said.layout else set()
    shown |= {one.metric for one in sheet.said.evidence or ()} | {metric for _, metric in sheet.said.controls_by_name}
    assert shown <= sheet.by_name.keys()
    asked = {*sheet.said.controls_by_default} | {control for control, _ in sheet.said.controls_by_name}
    assert asked <= set(sheet.said.controls)


@pytest.mark.parametrize("name", registry.names("metric"))
def test_every_metric_of_ours_is_computed_and_belongs_to_a_game(name: str) -> None:
    metric = metric_of(name.replace("-", "_"))
    assert metric is not None
    assert metric.values is not None
    assert all(metric.column.name in sheet_of(game).by_name for game in metric.games)


def test_sheets_and_metrics_are_read_without_torch() -> None:
    code = (
        "import sys; from invbench.sheets import columns; assert len(columns()) > 1; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_a_metric_of_another_package_stands_after_ours_in_every_table_of_its_game(tmp_path: Path) -> None:
    with plugged(tmp_path, {"metrics.mae": mae(), "metrics.a-second": mae("a_second")}):
        sheet = sheet_of("update")
        assert list(sheet.by_name)[-3:] == ["limit_rero", "a_second", "mae"]
        assert without_limits(sheet) == ["psnr", "ssim", "lpips", "a_second", "mae"]
        assert [one.metric for one in sheet.evidence] == ["psnr", "identified", "lpips", "label_overlap"], (
            "no evidence of its own accord"
        )
        pictures = np.zeros((2, 3, 16, 16))
        found = computed("update", {"pictures": pictures, "originals": pictures + 0.25})
        assert found["mae"] == [0.25, 0.25]
        assert "recovered" not in found, "needs what a control does not hand over"
        assert "mae" in catalogue.overview()["metrics"]
        assert "mean absolute error" in catalogue.page("metrics", "mae").text
    assert "mae" not in columns()


@pytest.mark.parametrize("values", ["pictures.mean()", "pictures.mean(axis=1)", "np.zeros(3)"])
def test_a_metric_must_give_one_number_an_item(tmp_path: Path, values: str) -> None:
    pictures = np.zeros((2, 3, 16, 16))
    with (
        plugged(tmp_path, {"metrics.mae": mae(values=values)}),
        pytest.raises(ValueError, match="metric mae must give 2"),
    ):
        computed("update", {"pictures": pictures, "originals": pictures})


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 1\ndef half(:\n", "SyntaxError"),
        ("x = 1\n", "must hold METRIC = Metric"),
        (mae("mea"), "is called mae, its column mea"),
        (mae("psnr"), "is called mae, its column psnr"),
    ],
)
def test_a_broken_metric_costs_its_own_column_and_is_told(tmp_path: Path, source: str, why: str) -> None:
    before = list(columns())
    with plugged(tmp_path, {"metrics.mae": source}):
        with pytest.warns(UserWarning, match="metric mae is left out"):
            assert list(columns()) == before
        assert why in dict(catalogue.summaries("metrics"))["mae"]
        with pytest.raises(registry.BrokenPart, match="mae"):
            catalogue.page("metrics", "mae")


def test_a_metric_whose_file_was_deleted_leaves_the_sheet_with_its_other_columns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = registry._files("metric") - {"ssim"}
    with plugged(tmp_path, {}):
        monkeypatch.setattr(registry, "_files", lambda kind: there if kind == "metric" else original(kind))
        with pytest.warns(UserWarning, match="game update has no ssim"):
            sheet = sheet_of("update")
        assert "ssim" not in sheet.by_name
        assert without_limits(sheet) == ["psnr", "lpips"]
        monkeypatch.undo()


original = registry._files


def without_limits(sheet: GameSheet) -> list[str]:
    """The metrics of its tables that are no limits."""
    return [name for name in sheet.layout.metrics if sheet.by_name[name].role != "limit"]


def test_two_games_may_not_mean_different_things_by_one_name(tmp_path: Path) -> None:
    with plugged(tmp_path, {"sheets.census": OTHER_ACCURACY}):
        with pytest.raises(Clash, match="two metrics are called 'accuracy'") as clash:
            every_sheet()
        assert "their_sheets_census.py" in str(clash.value)
        assert "accuracy.py" in str(clash.value)
        assert sheet_of("update").plain is None, "what it does not touch is still read"


def test_two_games_may_share_a_metric(tmp_path: Path) -> None:
    source = (
        'from invbench.numbers.sheet import *\nSHEET = Sheet(columns=("psnr",), item=Noun("picture", "pictures"))\n'
    )
    with plugged(tmp_path, {"sheets.portrait": source}):
        assert sheet_of("portrait").columns == (columns()["psnr"],)
        assert [sheet.game for sheet in every_sheet()][:2] == ["update", "attribute"]
        assert "portrait" in [sheet.game for sheet in every_sheet()]


def test_a_metric_that_a_sheet_describes_otherwise_is_a_clash(tmp_path: Path) -> None:
    theirs = mae("auc").replace('"update"', '"presence"')
    with (
        plugged(tmp_path, {"sheets.presence": SHEET, "metrics.auc": theirs}),
        pytest.raises(Clash, match="their_metrics_auc"),
    ):
        sheet_of("presence")


def test_a_name_of_ours_is_refused_with_both_modules(tmp_path: Path) -> None:
    with plugged(tmp_path, {"metrics.psnr": mae("psnr")}), pytest.raises(registry.BrokenPart) as refused:
        columns()
    assert "their_metrics_psnr" in str(refused.value)
    assert "invbench.metrics.psnr" in str(refused.value)


def test_a_broken_sheet_makes_its_game_plain_and_no_other(tmp_path: Path) -> None:
    with plugged(tmp_path, {"sheets.torn": "def half(:\n"}):
        assert "SyntaxError" in (sheet_of("torn").plain or "")
        assert list(columns()) == list(dict.fromkeys(name for sheet in every_sheet() for name in sheet.by_name))
        assert {*sheet_of("update").by_name, *sheet_of("attribute").by_name} <= set(columns())


def test_the_controls_that_can_be_asked_for_are_those_of_all_sheets(tmp_path: Path) -> None:
    asked = {c for s in every_sheet() for c in s.said.controls}
    assert {"grey", "mean", "noise"} <= asked
    assert "loss" not in asked
    assert controls_of("update", ()) == ("grey", "mean")
    with plugged(tmp_path, {"sheets.presence": SHEET}):
        assert controls_of("update", ()) == ("grey", "mean")
        assert {c for s in every_sheet() for c in s.said.controls} == {*asked, "loss"}


def test_nouns_count_like_other_words() -> None:
    item = sheet_of("update").said.item
    assert count(1, item.one) == "1 picture"
    assert count(2, item.one) == f"2 {item.many}"
