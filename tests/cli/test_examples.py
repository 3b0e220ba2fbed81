"""Every matrix in examples/ is one: it loads, and each attack that it names can be played in some cell of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from invbench.matrix import load
from invbench.play.asking import why_unsupported

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_each_of_its_attacks_can_be_played(path: Path) -> None:
    cells = load(path).cells
    for name in dict.fromkeys(cell.names["attack"] for cell in cells):
        reasons = (why_unsupported(cell) for cell in cells if cell.names["attack"] == name)
        first = next(reasons)
        assert first is None or None in reasons, f"{name}: {first}"


def test_the_readme_names_examples_that_are_there() -> None:
    text = (EXAMPLES[0].parents[1] / "README.md").read_text()
    named = {part.split(")")[0] for part in text.split("](examples/")[1:]}
    assert named
    assert named <= {path.name for path in EXAMPLES}
