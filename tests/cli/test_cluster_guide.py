"""docs/cluster.md is what a user copies from: its workflow and its commands are taken at their word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from invbench import cli

GUIDE = (Path(__file__).parents[2] / "docs/cluster.md").read_text()


def commands() -> list[list[str]]:
    """Every `invbench` command of the page, in its workflow and in its text."""
    (workflow,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    steps = [step for job in yaml.safe_load(workflow)["jobs"].values() for step in job["steps"]]
    lines = [step["run"] for step in steps if "run" in step] + re.findall(r"^    (invbench .*)$", GUIDE, re.MULTILINE)
    filled = [re.sub(r"\$\{\{ matrix\.shard \}\}", "1", line).replace("part-*", "part-1 part-2") for line in lines]
    return [shlex.split(line, comments=True) for line in filled if line.startswith("invbench ")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_page_is_one(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("part-1", "part-2", "whole"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    cli.invbench.commands[words[1]].make_context(words[1], words[2:])


def test_the_workflow_shards_merges_and_checks() -> None:
    assert [words[1] for words in commands()][:3] == ["run", "merge", "check"]
