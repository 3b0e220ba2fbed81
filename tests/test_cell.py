"""A cell's id changes when, and only when, something that can change its result does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invbench import cell as cell_module
from invbench import registry
from invbench.cell import Cell, Choice, defense_name


def choice(kind: str, name: str, **given: Any) -> Choice:
    part = Choice(kind, name).part
    return Choice(kind, name, tuple(part.settings(given).items()))


CLIP = choice("defense", "clip", norm=1.0)
GAUSSIAN = choice("defense", "gaussian", std=0.01)
CELL = Cell(
    game="update",
    attack=choice("attack", "dlg"),
    model=choice("model", "lenet"),
    dataset=choice("dataset", "npz", path="/pictures/a.npz"),
    data_hash="00" * 32,
    normalisation=((0.5,), (0.25,)),
    batch_size=1,
    defense=(CLIP, GAUSSIAN),
    protocol=choice("protocol", "fedsgd"),
    targets=8,
    offset=0,
    seed=0,
)

CHANGES: dict[str, list[Any]] = {
    "game": ["attribute"],
    "data_hash": ["01" * 32],
    "offset": [1],
    "targets": [9],
    "seed": [1],
    "attack": [choice("attack", "idlg"), choice("attack", "dlg", iterations=7)],
    "model": [choice("model", "mlp"), choice("model", "lenet", trained=True)],
    "batch_size": [2, None],
    "protocol": [choice("protocol", "fedsgd", labels="hidden"), None],
    "defense": [(), None, (GAUSSIAN, CLIP), (CLIP,), (CLIP, choice("defense", "gaussian", std=0.02))],
    "normalisation": [((0.5,), (0.26,)), ((0.51,), (0.25,)), None],
    "threads": [2],
    "compile": ["on"],
}
"""What the design names: each field and other values of it."""

IRRELEVANT: dict[str, list[Any]] = {
    "dataset": [choice("dataset", "npz", path="/elsewhere/b.npz"), choice("dataset", "natural")],
    "controls": [("grey", "mean", "noise")],
    "timeout": [5.0],
}
"""What cannot change a result: where equal data come from, extra controls, the time allowed."""


def test_every_field_of_a_cell_is_said_to_matter_or_not() -> None:
    assert {field.name for field in dataclasses.fields(Cell)} == CHANGES.keys() | IRRELEVANT.keys()


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in CHANGES.items() for v in values])
def test_the_id_changes_with_everything_that_can_change_the_result(field: str, value: Any) -> None:
    assert dataclasses.replace(CELL, **{field: value}).id != CELL.id


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in IRRELEVANT.items() for v in values])
def test_the_id_does_not_change_with_anything_else(field: str, value: Any) -> None:
    assert dataclasses.replace(CELL, **{field: value}).id == CELL.id


def test_the_id_changes_with_the_results_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = CELL.id
    monkeypatch.setattr(cell_module, "RESULTS_VERSION", cell_module.RESULTS_VERSION + 1)
    assert dataclasses.replace(CELL).id != before


CHANGED = st.fixed_dictionaries({}, optional={field: st.sampled_from(values) for field, values in CHANGES.items()})
IGNORED = st.fixed_dictionaries({}, optional={field: st.sampled_from(values) for field, values in IRRELEVANT.items()})


@settings(deadline=None, max_examples=100)
@given(one=CHANGED, other=CHANGED, ignored=IGNORED)
def test_two_cells_have_one_id_exactly_when_what_matters_agrees(
    one: dict[str, Any], other: dict[str, Any], ignored: dict[str, Any]
) -> None:
    first = dataclasses.replace(CELL, **one)
    second = dataclasses.replace(CELL, **(other | ignored))
    assert (first.id == second.id) == (one == other)


def test_the_id_is_16_hexadecimal_digits_and_the_same_in_every_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_module, "RESULTS_VERSION", 1)
    monkeypatch.setattr(cell_module.registry, "version", lambda kind, name, beside=(): 1)
    plain = dataclasses.replace(
        CELL,
        attack=Choice("attack", "a", (("tv", 0.01),)),
        model=Choice("model", "m", (("trained", False),)),
        defense=(Choice("defense", "d", (("norm", 1.0),)),),
        protocol=Choice("protocol", "p", (("labels", "known"),)),
    )
    assert plain.id == "8ad72feb34e6001c"


def test_a_path_is_no_part_of_a_choice_s_key() -> None:
    assert choice("dataset", "npz", path=Path("a.npz"), mean=[0.5], std=[0.25]).key == {
        "name": "npz",
        "mean": [0.5],
        "std": [0.25],
    }


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (choice("attack", "dlg"), "dlg"),
        (choice("model", "lenet", trained=True), "lenet(trained=true)"),
        (choice("model", "torchvision", variant="resnet18"), "torchvision/resnet18"),
        (choice("model", "torchvision", variant="resnet18", trained=True), "torchvision/resnet18(trained=true)"),
        (choice("attack", "inverting-gradients", tv=1e-4, iterations=5), "inverting-gradients(iterations=5,tv=0.0001)"),
    ],
)
def test_a_choice_prints_its_name_and_what_differs_from_the_defaults(part: Choice, expected: str) -> None:
    assert part.short == expected


def test_defences_print_in_their_order_joined_by_plus() -> None:
    assert defense_name(CELL.defense) == "clip(norm=1)+gaussian(std=0.01)"
    assert defense_name(()) == "none"
    assert defense_name(None) is None


def test_a_setting_that_a_part_got_later_is_in_the_id_only_where_it_is_not_at_its_default() -> None:
    """So cells computed before it was there keep their ids and their random streams."""
    ours = choice("attack", "dlg")
    before = Choice(
        "attack", "dlg", tuple((k, v) for k, v in ours.settings if k not in ("plateau", "schedule", "start"))
    )
    assert len(before.settings) < len(ours.settings)
    assert ours.key == before.key
    assert choice("attack", "dlg", plateau=50).key == before.key | {"plateau": 50}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("attack", "dlg"), ("model", "lenet"), ("protocol", "fedsgd"), ("defense", "gaussian"), ("game", "update"),
     ("dataset", "npz")],
)  # fmt: skip
def test_a_part_s_version_is_in_the_ids_of_its_own_cells_and_only_above_one(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids() -> tuple[str, str]:
        """The cell's, and that of one with none of these parts."""
        other = dataclasses.replace(
            CELL, game="attribute", attack=choice("attack", "map-inversion"), model=choice("model", "iwpc"),
            dataset=choice("dataset", "natural"), defense=None, protocol=None,
        )  # fmt: skip
        fresh = {axis: dataclasses.replace(getattr(CELL, axis)) for axis in ("attack", "model", "dataset", "protocol")}
        defense = tuple(map(dataclasses.replace, CELL.defense or ()))
        return dataclasses.replace(CELL, **fresh, defense=defense).id, other.id

    def at(facts: dict[str, Any]) -> tuple[str, str]:
        """The ids where the part's decorator says this."""
        said = dataclasses.replace(part, facts=facts)
        monkeypatch.setattr(registry, "load", lambda k, n: said if (k, n) == (kind, name) else load(k, n))
        registry.version.cache_clear()
        return ids()

    load, part = registry.load, registry.load(kind, name)
    silent = {key: value for key, value in part.facts.items() if key != "version"}
    first = at(silent)
    assert at(silent | {"version": 1}) == first
    raised = at(silent | {"version": 2})
    assert (raised[0] == first[0], raised[1] == first[1]) == (False, True)
    monkeypatch.undo()
    registry.version.cache_clear()


def test_a_version_beside_a_defence_is_in_the_ids_of_the_cells_that_declare_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = [(), (GAUSSIAN,), (CLIP,), (GAUSSIAN, CLIP)]
    before, load = [dataclasses.replace(CELL, defense=stack).id for stack in stacks], registry.load
    part = load("attack", CELL.attack.name)
    moved = dataclasses.replace(part, facts={**part.facts, "versions_with": {"clip": part.version + 1}})
    monkeypatch.setattr(registry, "load", lambda kind, name: moved if kind == "attack" else load(kind, name))
    registry.version.cache_clear()
    after = [dataclasses.replace(CELL, defense=stack).id for stack in stacks]
    monkeypatch.undo()
    registry.version.cache_clear()
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False, False]
    with pytest.raises(ValueError, match="version must be a whole number, at least 1, not 0"):
        registry.attack(game="update", versions_with={"clip": 0})
