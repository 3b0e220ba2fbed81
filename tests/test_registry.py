"""Names to parts: what is known without torch, what a setting may be, and what a refusal says."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import registry
from invbench.core.parameters import nearest_name, show_value
from invbench.core.parts import COMMON
from invbench.registry import BadSettings, Parameter, Part, UnknownName, parameter

ROOT = Path(__file__).resolve().parents[1]
EVERY_PART = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One of every type of setting."""

    rate: float = parameter(help="a rate", above=0, at_most=1)
    count: int = parameter(3, help="a count", unit="steps", at_least=1, below=10)
    limit: float | None = parameter(None, help="a limit", at_least=0)
    mean: tuple[float, ...] | None = parameter(None, help="constants", at_least=-5)
    mode: Literal["fast", "slow"] = parameter("fast", help="a mode")
    path: Path = parameter(Path("x"), help="a path")
    flag: bool = parameter(False, help="a flag")
    word: str = parameter("w", help="a word")


@dataclass(frozen=True, kw_only=True)
class Faster(Sample):
    """A preset that changes a default."""

    count: int = parameter(5, help="a count", at_least=1)


SAMPLE = Part("attack", "sample", Sample, {})


def field(name: str) -> Parameter:
    return SAMPLE.parameters[name]


def problems_of(given_: dict[str, Any]) -> list[registry.Problem]:
    with pytest.raises(BadSettings) as refusal:
        SAMPLE.settings(given_)
    return refusal.value.problems


def fresh_python(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter that sees this package and the folders given."""
    path = os.pathsep.join(str(p) for p in (ROOT, *folders))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=120
    )


def plugin(folder: Path, entries: dict[str, str], source: str, name: str = "theirs") -> Path:
    """An installed distribution that holds one module and these entry points."""
    (folder / "their_part.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[invbench.plugins]\n{lines}")
    return folder


THEIR_DEFENSE = '''
from dataclasses import dataclass
from invbench.registry import defense, parameter

@defense
@dataclass(frozen=True, kw_only=True)
class Theirs:
    """Halves everything."""
    factor: float = parameter(0.5, help="what is left", above=0)
'''


def test_every_name_of_every_kind_is_known_without_importing_torch() -> None:
    code = "import sys\nfrom invbench import registry\nprint({k: registry.names(k) for k in registry.KINDS})\n"
    done = fresh_python(code + "assert 'torch' not in sys.modules and 'numpy' not in sys.modules")
    assert done.returncode == 0, done.stderr
    assert "'top-k'" in done.stdout
    assert "'fedsgd'" in done.stdout


@pytest.mark.parametrize(("kind", "name"), EVERY_PART)
def test_every_part_loads_and_explains_itself(kind: str, name: str) -> None:
    part = registry.load(kind, name)
    assert (part.kind, part.name) == (kind, name)
    assert dataclasses.is_dataclass(part.cls)
    assert part.cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert len(part.summary) > 10
    assert part.summary != f"{part.cls.__name__}()"
    assert not part.summary.startswith(f"{part.cls.__name__}(")  # what dataclass writes where there is no docstring
    declared = part.parameters.keys() - COMMON.get(kind, {}).keys()
    assert declared == {f.name for f in dataclasses.fields(part.cls)}, "a field without `parameter`"
    for key, field_ in part.parameters.items():
        assert len(field_.help) > 3, key


@pytest.mark.parametrize(("kind", "name"), EVERY_PART)
def test_every_default_obeys_its_own_type_and_bounds(kind: str, name: str) -> None:
    for field_ in registry.load(kind, name).parameters.values():
        if not field_.required:
            assert field_.read(field_.default) == field_.default
            assert type(field_.read(field_.default)) is type(field_.default)


def test_a_part_that_needs_nothing_is_built_from_nothing_and_prints_its_name() -> None:
    part = registry.load("protocol", "fedsgd")
    assert part.short(part.settings({})) == "fedsgd"
    assert part.build({}) == part.cls()


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="no defense is called 'gausian'") as refusal:
        registry.load("defense", "gausian")
    assert refusal.value.nearest == "gaussian"


@pytest.mark.parametrize("name", ["_noise", "top_k", "os", "../defenses/clip", "clip.Clip", "", "__init__"])
def test_only_a_listed_name_is_ever_imported(name: str) -> None:
    with pytest.raises(UnknownName):
        registry.load("defense", name)


def test_the_nearest_name_of_nonsense_is_none() -> None:
    assert nearest_name("zzzzzz", ["dlg", "idlg"]) is None
    assert nearest_name("iteratons", ["lr", "iterations"]) == "iterations"


def test_a_misspelt_key_is_named_with_the_nearest_one() -> None:
    (problem,) = problems_of({"rate": 0.5, "coutn": 3})
    assert (problem.key, problem.nearest) == ("coutn", "count")
    assert problem.message == "sample has no 'coutn'"


def test_a_key_that_is_near_none_is_refused_with_all_that_there_are() -> None:
    problem = registry.load("attack", "dlg").unknown("zzz")
    assert problem.nearest is None
    assert problem.message.startswith("dlg has no 'zzz'; its settings are ")
    assert "restarts" in problem.message
    assert registry.load("defense", "sign").unknown("zzz").message == "sign has no 'zzz'; it has no settings"


def test_a_misspelt_choice_is_named_with_the_nearest_one() -> None:
    (problem,) = problems_of({"rate": 0.5, "mode": "slwo"})
    assert problem.message == "sample: mode must be fast or slow, not 'slwo'"
    assert problem.nearest == "slow"


def test_a_setting_that_must_be_given_is_asked_for_with_its_meaning() -> None:
    (problem,) = problems_of({})
    assert problem.key is None
    assert "needs 'rate' (a rate)" in problem.message


def test_every_problem_is_told_at_once() -> None:
    problems = problems_of({"rate": 2.0, "count": 0, "colour": "red", "flag": 1, "mean": [0.1, "x"]})
    assert sorted(str(p.key) for p in problems) == ["colour", "count", "flag", "mean", "rate"]


@pytest.mark.parametrize(
    ("key", "inside", "outside", "bounds"),
    [
        ("rate", [1e-300, 1, 1.0], [0, 0.0, -1, 1.0000001], "above 0, at most 1"),
        ("count", [1, 9], [0, 10, -3], "at least 1, below 10"),
        ("limit", [0, 0.0, None, 1e300], [-1e-9], "at least 0"),
        ("mean", [[-5, 0.5], None], [[0.5, -5.1]], "at least -5"),
    ],
)
def test_bounds_are_kept_at_the_edges(key: str, inside: list[Any], outside: list[Any], bounds: str) -> None:
    assert field(key).bounds() == bounds
    for value in inside:
        field(key).read(value)
    for value in outside:
        with pytest.raises(ValueError, match=f"must be {bounds}"):
            field(key).read(value)


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("rate", 1, 1.0),
        ("limit", None, None),
        ("mean", [1, 0.5], (1.0, 0.5)),
        ("mode", "slow", "slow"),
        ("path", "a/b.npz", Path("a/b.npz")),
        ("path", Path("c"), Path("c")),
        ("flag", True, True),
        ("word", "yes", "yes"),
    ],
)
def test_values_are_read_into_the_type_of_the_field(key: str, value: Any, result: Any) -> None:
    read = field(key).read(value)
    assert read == result
    assert type(read) is type(result)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("rate", "0.5", "a number"),
        ("rate", True, "a number"),
        ("rate", None, "a number"),
        ("rate", math.nan, "a number"),
        ("rate", math.inf, "a number"),
        ("count", 2.5, "a whole number"),
        ("count", True, "a whole number"),
        ("limit", "none", "a number"),
        ("mean", 0.5, "a list"),
        ("mean", [], "a list"),
        ("mean", "0.5", "a list"),
        ("mean", [0.5, None], "a number"),
        ("mean", [[0.5]], "a number"),
        ("mode", 1, "fast or slow"),
        ("mode", ["fast"], "fast or slow"),
        ("path", 3, "a path"),
        ("flag", "true", "true or false"),
        ("flag", 0, "true or false"),
        ("word", 3, "a word"),
    ],
)
def test_values_of_another_type_are_refused_in_words(key: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"must be {words}, not "):
        field(key).read(value)


@given(
    rate=st.floats(0, 1, exclude_min=True),
    count=st.integers(1, 9),
    mean=st.none() | st.lists(st.floats(-5, 100), min_size=1, max_size=4),
    mode=st.sampled_from(["fast", "slow"]),
)
@settings(deadline=None, max_examples=50)
def test_settings_read_twice_are_the_same_and_build_the_part(rate: float, count: int, mean: Any, mode: str) -> None:
    once = SAMPLE.settings({"mode": mode, "mean": mean, "rate": rate, "count": count})
    assert SAMPLE.settings(once) == once
    assert list(once) == list(SAMPLE.parameters)
    built = SAMPLE.build(once)
    assert (built.rate, built.count, built.mode) == (rate, count, mode)


def test_the_short_form_tells_what_differs_from_the_defaults_in_the_order_of_the_fields() -> None:
    given_ = {"flag": True, "count": 4, "rate": 0.001, "mean": [0.5, 1], "mode": "fast"}
    assert SAMPLE.short(SAMPLE.settings(given_)) == "sample(rate=0.001,count=4,mean=[0.5,1],flag=true)"


def test_the_short_form_always_tells_what_must_be_given() -> None:
    part = registry.load("defense", "clip")
    assert part.short(part.settings({"norm": 1.0})) == "clip(norm=1)"


def test_a_setting_given_its_default_prints_as_one_not_given() -> None:
    assert SAMPLE.short(SAMPLE.settings({"rate": 1, "count": 3, "limit": None})) == "sample(rate=1)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (0.1, "0.1"), (1e-05, "1e-05"), (4800, "4800"), ((1.0, 2.5), "[1,2.5]"), ("a", "a")],
)
def test_values_print_plainly(value: Any, text: str) -> None:
    assert show_value(value) == text


@given(value=st.floats(1e-6, 1e6).map(lambda v: float(f"{v:.12g}")))
@settings(deadline=None, max_examples=50)
def test_a_printed_number_reads_back_as_itself(value: float) -> None:
    assert float(show_value(value)) == value


def test_a_preset_inherits_settings_and_changes_a_default() -> None:
    preset = Part("attack", "faster", Faster, {})
    assert list(preset.parameters) == list(SAMPLE.parameters)
    assert preset.short(preset.settings({"rate": 1, "count": 3})) == "faster(rate=1,count=3)"
    assert preset.settings({"rate": 1, "count": 10})["count"] == 10


def test_a_subclass_is_not_the_part_that_its_base_is() -> None:
    """A file may import a part to build on it and still hold exactly one of its own."""
    clip = registry.load("defense", "clip").cls

    class Other(clip):  # type: ignore[misc, valid-type]
        pass

    assert "__invbench__" in vars(clip)
    assert "__invbench__" not in vars(Other)


def test_a_package_outside_adds_a_part_by_an_entry_point(tmp_path: Path) -> None:
    folder = plugin(tmp_path, {"defenses.theirs": "their_part"}, THEIR_DEFENSE)
    code = (
        "from invbench import registry\n"
        "assert 'theirs' in registry.names('defense') and 'theirs' not in registry.names('attack')\n"
        "part = registry.load('defense', 'theirs')\n"
        "print(part.short(part.settings({'factor': 0.25})), '|', part.summary)"
    )
    done = fresh_python(code, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "theirs(factor=0.25) | Halves everything."


def test_a_package_outside_cannot_take_the_name_of_a_part(tmp_path: Path) -> None:
    folder = plugin(tmp_path, {"defenses.clip": "their_part"}, THEIR_DEFENSE)
    done = fresh_python("from invbench import registry\nregistry.load('defense', 'clip')", folder)
    assert done.returncode == 1
    assert "plugin defenses.clip (their_part) has the name of a part that is there already" in done.stderr


def test_a_plugin_without_a_marked_class_is_refused(tmp_path: Path) -> None:
    folder = plugin(tmp_path, {"defenses.theirs": "their_part"}, "class Nothing: ...\n")
    done = fresh_python("from invbench import registry\nregistry.load('defense', 'theirs')", folder)
    assert done.returncode == 1
    assert "their_part must hold exactly one class marked as defense, not 0" in done.stderr


def test_a_setting_that_is_not_declared_as_one_is_refused_with_the_remedy(tmp_path: Path) -> None:
    source = THEIR_DEFENSE.replace("    factor:", "    plain: int = 3\n    factor:")
    folder = plugin(tmp_path, {"defenses.theirs": "their_part"}, source)
    done = fresh_python("from invbench import registry\nregistry.load('defense', 'theirs')", folder)
    assert done.returncode == 1
    assert "plain must be declared by parameter(...)" in done.stderr


def test_two_packages_cannot_give_one_name_to_two_parts(tmp_path: Path) -> None:
    plugin(tmp_path, {"defenses.theirs": "their_part"}, THEIR_DEFENSE)
    plugin(tmp_path, {"defenses.theirs": "other_part"}, THEIR_DEFENSE, name="others")
    done = fresh_python("from invbench import registry\nregistry.load('defense', 'theirs')", tmp_path)
    assert done.returncode == 1
    assert "has the name of a part that is there already" in done.stderr
