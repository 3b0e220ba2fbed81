"""What the gate is for: a mistake in an attack's code is noticed, by a baseline of the code without it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Finished, invbench

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MATRIX = {
    "name": "gate",
    "dataset": "lfw",
    "targets": 8,
    "grid": {
        "attack": [{"name": "inverting-gradients", "iterations": 200}, "analytic"],
        "model": ["lenet", "mlp"],
        "batch_size": [1],
        "defense": ["none", {"name": "gaussian", "std": 0.001}],
        "protocol": [{"name": "fedsgd", "labels": "known"}, {"name": "fedsgd", "labels": "hidden"}],
    },
    "include": [{"attack": {"name": "idlg", "iterations": 100}, "model": "lenet", "batch_size": 1, "defense": "none"}],
    "exclude": [{"attack": "analytic", "model": "lenet"}, {"attack": "inverting-gradients", "model": "mlp"}],
}
ADAM, STEP = "invbench/matching/adam.py", "variables = (variables - size * mean"
TV, TOTAL = "invbench/matching/problem.py", "total = distance + tv * total_variation(images)"
MISTAKES = {
    "sign flipped": (ADAM, STEP, STEP.replace("- size", "+ size")),
    "total variation dropped": (TV, TOTAL, TOTAL.replace("tv *", "0 * tv *")),
    "total variation halved": (TV, TOTAL, TOTAL.replace("tv *", "0.5 * tv *")),
    "iterations halved": (
        ADAM,
        "for step in range(1, iterations + 2)",
        "iterations //= 2\n    for step in range(1, iterations + 2)",
    ),
    "normalisation wrong": ("invbench/observation/update.py", "(images * std + mean)", "(images * 0.9 * std + mean)"),
    "labels shifted": (
        "invbench/labels/__init__.py",
        "return seen.labels.to(torch.int64)",
        "return (seen.labels.to(torch.int64) + 1) % seen.public.classes",
    ),
}
"""Each a file, a piece of its text and what stands there instead; it must fail a check."""
DECAY = (ADAM, 'if schedule == "step":', 'if schedule == "no such":')
"""Step decay removed: worth less than the tolerance."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline of the code as it is."""
    place = tmp_path_factory.mktemp("gate")
    (place / "gate.yaml").write_text(yaml.safe_dump(MATRIX))
    done = run(place, "before", ROOT)
    assert done.exit_code == 0, done.stderr
    frozen = invbench("baseline", "before", "-o", "baseline.json", folder=place, PYTHONPATH=str(ROOT))
    assert frozen.exit_code == 0, frozen.stderr
    return place


def run(place: Path, to: str, code: Path) -> Finished:
    return invbench("run", "gate.yaml", "-o", to, "--workers", 2, folder=place, patience=1200.0, PYTHONPATH=str(code))


def mistaken(folder: Path, name: str, mistake: tuple[str, str, str]) -> Path:
    """The package with that mistake."""
    file, right, wrong = mistake
    code = folder / f"code of {name}".replace(" ", "-").replace(os.pathsep, "-")
    shutil.copytree(ROOT / "invbench", code / "invbench", ignore=shutil.ignore_patterns("__pycache__"))
    text = (code / file).read_text()
    assert text.count(right) == 1, f"{file} does not hold {right!r} once"
    (code / file).write_text(text.replace(right, wrong))
    return code


def checked(folder: Path, name: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    done = invbench(
        *("check", name, "--baseline", "baseline.json", "--direction", "both", "--json", *words),
        **{"folder": folder, "PYTHONPATH": str(ROOT)},
    )
    assert done.exit_code in (0, 1), done.stderr
    return done.exit_code, json.loads(done.stdout)["verdicts"]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_code_fails_the_check(name: str, folder: Path) -> None:
    to = name.replace(" ", "-")
    run(folder, to, mistaken(folder, name, MISTAKES[name]))
    code, _ = checked(folder, to)
    assert code == 1


def test_step_decay_removed_fails_an_exact_check(folder: Path) -> None:
    """The paired interval of eight targets holds zero: -0.19 dB [-0.41, 0.02]. So a plain check passes."""
    run(folder, "decay", mistaken(folder, "decay", DECAY))
    assert checked(folder, "decay", "--exact")[0] == 1


def test_the_same_code_passes_an_exact_check(folder: Path) -> None:
    assert run(folder, "again", ROOT).exit_code == 0
    code, verdicts = checked(folder, "again", "--exact")
    assert code == 0, verdicts
