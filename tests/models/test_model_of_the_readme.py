"""The model file that the README shows: these very lines are installed, listed and attacked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_cells import make_cell, plugged

from invbench import registry
from invbench.play.playing import play

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("### Your own model\n")[2]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A folder for matrices, while the README's file is a part of an installed package."""
    source, entry = (re.search(rf"```{kind}\n(.*?)```", SECTION, re.DOTALL) for kind in ("python", "toml"))
    assert source is not None
    assert entry is not None
    assert '[project.entry-points."invbench.plugins"]' in entry[1]
    (name,) = re.findall(r'^"(models\.[a-z-]+)" = ', entry[1], re.MULTILINE)
    with plugged(tmp_path, {name: source[1]}):
        yield tmp_path


def test_the_readme_s_model_is_listed_with_its_setting_and_attacked(installed: Path) -> None:
    part = registry.load("model", "my-net")
    assert part.summary == "One hidden layer."
    assert {"width", "trained", "training_steps"} <= set(part.parameters)
    record = play(make_cell(installed, attack="analytic", model={"name": "my-net", "width": 8}), "cpu").record
    assert record.status == "ok", record.reason
    assert record.scores["psnr"][0][0] is not None
    assert record.scores["psnr"][0][0] > 90


def test_the_readme_s_model_is_trained_where_it_is_asked_to(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(installed))
    model = {"name": "my-net", "width": 8, "trained": True, "training_steps": 2}
    assert play(make_cell(installed, attack="analytic", model=model), "cpu").record.status == "ok"
