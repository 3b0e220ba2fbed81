"""The catalogue: every part has a page, and its schema takes exactly the settings that the part takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from small_cells import plugged

from invbench import registry
from invbench.games._planning import acts_nowhere
from invbench.guide import catalogue
from invbench.registry import BadSettings, Parameter, Part, UnknownName
from invbench.sheets import columns, every_sheet

PARTS = [(kind, name) for kind, names in catalogue.overview().items() if kind != "metrics" for name in names]
EVERY = pytest.mark.parametrize(("kind", "name"), PARTS, ids=[f"{kind}-{name}" for kind, name in PARTS])
GIVEN = {"warfarin": {"sensitive": "vkorc1"}, "torchvision": {"variant": "resnet18"}, "quantize": {"bits": 4}}
"""What must be given to parts that take not any word or number."""


def part_of(kind: str, name: str) -> Part:
    return registry.load(catalogue.KIND_OF[kind], name)


def required(kind: str, name: str) -> dict[str, Any]:
    """A value for every setting that must be given."""
    made = dict(GIVEN.get(name, {}))
    for key, setting in part_of(kind, name).parameters.items():
        if setting.required and key not in made:
            made[key] = {int: 1, float: 0.5, Path: "here", str: "word"}[setting.annotation]
    return made


def schema_takes(kind: str, name: str, said: dict[str, Any]) -> bool:
    return Draft202012Validator(catalogue.schema(kind, name)).is_valid(json.loads(json.dumps(said)))


def part_takes(kind: str, name: str, said: dict[str, Any]) -> bool:
    try:
        part_of(kind, name).settings(said)
    except BadSettings:
        return False
    return True


def test_every_kind_and_every_name_is_there() -> None:
    overview = catalogue.overview()
    assert list(overview) == ["attacks", "models", "defenses", "datasets", "protocols", "games", "metrics"]
    assert {"dlg", "idlg", "inverting-gradients", "map-inversion"} <= set(overview["attacks"])
    assert {"clip", "top-k", "per-example-clip"} <= set(overview["defenses"])
    assert {"update", "attribute"} <= set(overview["games"])
    assert overview["metrics"] == list(columns())
    assert {name for sheet in every_sheet() for name in sheet.by_name} == set(overview["metrics"])


@EVERY
def test_every_part_has_a_page_that_says_what_it_is_and_explains_each_setting(kind: str, name: str) -> None:
    page, part = catalogue.page(kind, name), part_of(kind, name)
    assert (page.kind, page.name) == (kind, name)
    assert part.summary
    assert part.summary in page.text
    assert [row[0] for row in page.settings] == list(part.parameters)
    for (_, type_, default, meaning), setting in zip(page.settings, part.parameters.values(), strict=True):
        assert type_
        assert default
        assert meaning.startswith(setting.help)
        assert setting.help
        assert setting.bounds() in meaning
        assert (default == "(must be given)") == setting.required


@pytest.mark.parametrize("kind", catalogue.overview())
def test_the_summaries_of_a_kind_are_one_line_a_name(kind: str) -> None:
    summaries = catalogue.summaries(kind)
    assert [name for name, _ in summaries] == catalogue.overview()[kind]
    assert all(text and "\n" not in text for _, text in summaries)


@EVERY
def test_a_summary_is_a_whole_sentence(kind: str, name: str) -> None:
    assert part_of(kind, name).summary.endswith(".")


def told(kind: str, name: str) -> dict[str, list[str]]:
    """What a page says of what goes with the part, by the words before each list."""
    lines = [line[2:].partition(": ") for line in catalogue.page(kind, name).text.splitlines() if line.startswith("- ")]
    return {what: listed.split(", ") for what, _, listed in lines}


def test_a_defence_s_page_says_at_which_stages_it_acts_and_in_which_games_that_counts() -> None:
    games = ["batch-membership", "batch-property", "participation", "update", "update-attribute"]
    assert told("defenses", "gaussian") == {"acts at the stages": ["update"], "and so in the games": games}
    assert told("defenses", "round")["and so in the games"] == ["membership", "model"]
    assert told("defenses", "dp-sgd")["acts at the stages"] == ["training", "per_example", "update"]


def test_an_attack_s_page_says_that_its_server_is_malicious_and_that_a_module_is_added() -> None:
    assert told("attacks", "fishing")["server"][0].startswith("malicious")
    assert "adds" not in told("attacks", "fishing")
    assert told("attacks", "imprint")["adds"][0].startswith("a module")
    assert told("attacks", "dlg") == {"game": ["update"]}


def test_a_game_s_page_lists_its_attacks_and_the_defences_that_act_in_it() -> None:
    membership = told("games", "membership")
    assert {"loss-threshold", "lira"} <= set(membership["attacks"])
    assert {"dp-sgd", "top-label"} <= set(membership["defences that act in it"])
    assert "gaussian" not in membership["defences that act in it"]
    assert "defences that act in it" not in told("games", "training-set")


def test_a_defence_that_acts_nowhere_in_a_game_is_refused_with_some_that_do() -> None:
    page = told("games", "attribute")["defences that act in it"]
    said = acts_nowhere("clip", "attribute", frozenset({"regression"}))
    assert said == f"defence clip acts at no stage of game attribute; these do: {', '.join(page)}"
    assert acts_nowhere("round", "update", frozenset({"update"})).endswith(", ...")


@pytest.mark.parametrize("name", columns())
def test_every_metric_has_a_page(name: str) -> None:
    page = catalogue.page("metrics", name)
    assert columns()[name].help in page.text
    meaning = "a stronger attack" if columns()[name].role == "leak" else "better"
    assert f"{columns()[name].better} is {meaning}" in page.text
    assert page.settings == ()


def test_a_page_shows_default_type_bounds_and_unit() -> None:
    rows = {row[0]: row for row in catalogue.page("models", "mlp").settings}
    assert rows["width"][1:3] == ("whole number", "256")
    assert "at least 1" in rows["width"][3]
    assert "unit: units" in rows["width"][3]
    assert rows["bias"][1:3] == ("true | false", "true")
    assert rows["activation"][1].split(" | ")[:2] == ["sigmoid", "tanh"]
    rows = {row[0]: row for row in catalogue.page("datasets", "npz").settings}
    assert rows["path"][1:3] == ("path", "(must be given)")
    assert rows["mean"][1:3] == ("list of number | null", "null")


@EVERY
def test_every_schema_is_valid_and_its_defaults_conform_to_it(kind: str, name: str) -> None:
    schema = catalogue.schema(kind, name)
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema))["description"] == part_of(kind, name).summary
    defaults = {key: p["default"] for key, p in schema["properties"].items() if "default" in p}
    said = {"name": name} | defaults | required(kind, name)
    Draft202012Validator(schema).validate(json.loads(json.dumps(said)))
    settings_ = part_of(kind, name).settings({k: v for k, v in said.items() if k != "name"})
    assert settings_ == part_of(kind, name).settings(required(kind, name))  # the schema's defaults are the part's


@EVERY
def test_a_schema_refuses_unknown_keys_other_names_and_what_is_lacking(kind: str, name: str) -> None:
    said = {"name": name} | required(kind, name)
    assert schema_takes(kind, name, said)
    assert not schema_takes(kind, name, said | {"iteratons": 3})
    assert not schema_takes(kind, name, said | {"name": "nobody"})
    for key in said:
        assert not schema_takes(kind, name, {k: v for k, v in said.items() if k != key}), key


BOUNDED = [
    (kind, name, key, setting)
    for kind, name in PARTS
    for key, setting in part_of(kind, name).parameters.items()
    if setting.bounds()
]


@pytest.mark.parametrize(("kind", "name", "key", "setting"), BOUNDED, ids=[f"{b[1]}-{b[2]}" for b in BOUNDED])
def test_a_value_out_of_bounds_is_refused_by_the_part_and_by_the_schema(
    kind: str, name: str, key: str, setting: Parameter
) -> None:
    def wrapped(value: float) -> Any:
        return [value] if "tuple" in str(setting.annotation) else value

    outside = [bound for bound in (setting.above, setting.below) if bound is not None]
    outside += [bound - 1 for bound in (setting.at_least,) if bound is not None]
    outside += [bound + 1 for bound in (setting.at_most,) if bound is not None]
    inside = [bound for bound in (setting.at_least, setting.at_most) if bound is not None]
    inside += [
        bound + 1 for bound in (setting.above,) if bound is not None and setting.at_most is setting.below is None
    ]
    others = {k: v for k, v in required(kind, name).items() if k != key}
    for values, takes in ((outside, False), (inside, True)):
        for value in values:
            said = others | {key: wrapped(value)}
            assert part_takes(kind, name, said) is takes, said
            assert schema_takes(kind, name, {"name": name} | said) is takes, said


SAID = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([-0.5, 0.25, 1.5, 1e9 + 0.5]),  # no whole ones: to JSON Schema 1.0 is a whole number
    st.booleans(),
    st.none(),
    st.sampled_from(["fast", "relu", "l2", "known", "stochastic", ""]),
    st.lists(st.sampled_from([-1.5, 0, 0.5, "x"]), max_size=3),
)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_the_schema_takes_exactly_what_the_part_takes(data: st.DataObject) -> None:
    kind, name = data.draw(st.sampled_from(PARTS))
    keys = list(part_of(kind, name).parameters)
    drawn = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, SAID)))
    said = required(kind, name) | drawn
    assert schema_takes(kind, name, {"name": name} | said) is part_takes(kind, name, said)


def test_a_torchvision_model_is_written_as_a_matrix_writes_it() -> None:
    assert schema_takes("models", "torchvision", {"name": "torchvision/resnet18"})
    assert schema_takes("models", "torchvision", {"name": "torchvision/resnet18", "trained": True})
    assert schema_takes("models", "torchvision", {"name": "torchvision", "variant": "resnet18"})
    assert not schema_takes("models", "torchvision", {"name": "torchvision/resnet18", "variant": "resnet18"})
    assert not schema_takes("models", "torchvision", {"name": "torchvision/"})
    assert not schema_takes("models", "lenet", {"name": "lenet/resnet18"})


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [
        ("attacks", "inverting-gradient", "inverting-gradients"),
        ("models", "lenett", "lenet"),
        ("defenses", "clp", "clip"),
        ("datasets", "cifar", "cifar10"),
        ("metrics", "pnsr", "psnr"),
        ("games", "qqqq", None),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(kind: str, name: str, nearest: str | None) -> None:
    with pytest.raises(UnknownName, match=name) as caught:
        catalogue.page(kind, name)
    assert caught.value.nearest == nearest


def test_a_metric_has_no_schema() -> None:
    with pytest.raises(UnknownName, match="psnr"):
        catalogue.schema("metrics", "psnr")


THEIRS = '''
"""A defence of theirs."""
from dataclasses import dataclass
from invbench.registry import defense, parameter

@defense
@dataclass(frozen=True, kw_only=True)
class Theirs:
    """Halves everything."""
    factor: float = parameter(0.5, help="what is left", above=0)
'''


def test_a_part_of_another_package_has_its_page_and_schema(tmp_path: Path) -> None:
    with plugged(tmp_path, {"defenses.theirs": THEIRS}):
        assert ("theirs", "Halves everything.") in catalogue.summaries("defenses")
        assert catalogue.page("defenses", "theirs").settings == (("factor", "number", "0.5", "what is left; above 0"),)
        assert not schema_takes("defenses", "theirs", {"name": "theirs", "factor": 0})
    assert "theirs" not in catalogue.overview()["defenses"]
