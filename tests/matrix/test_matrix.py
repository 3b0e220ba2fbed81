"""A matrix file: every mistake told at once with its place, and exactly the cells that it asks for."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_cells import plugged

from invbench import matrix
from invbench.cell import Cell
from invbench.guide.template import TEMPLATE
from invbench.matrix import Matrix, MatrixErrors, values
from invbench.sheets import every_sheet

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = "dataset: {name: npz, path: a.npz}\n"
GRID = "grid: {attack: dlg, model: lenet, batch_size: 1, defense: none}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two small data sets, as the working directory: so files are named without a folder."""
    generator = np.random.default_rng(0)
    for name in ("a.npz", "b.npz"):
        images = generator.integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / name, images=images, labels=np.arange(6) % 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, *sets: str, file: str = "m.yaml") -> Matrix:
    Path(file).write_text(text, encoding="utf-8")
    return matrix.load(Path(file), list(sets))


def refusals(text: str, *sets: str) -> list[str]:
    with pytest.raises(MatrixErrors) as caught:
        load(text, *sets)
    assert str(caught.value).splitlines() == [str(error) for error in caught.value.errors]
    return [str(error) for error in caught.value.errors]


def names(cells: tuple[Cell, ...] | list[Cell], *axes: str) -> list[Any]:
    rows = [tuple(cell.names[axis] for axis in axes) for cell in cells]
    return [row[0] for row in rows] if len(axes) == 1 else rows


def test_a_misspelt_parameter_is_refused_with_place_and_nearest_name(folder: Path) -> None:
    text = "grid:\n  attack: [{name: dlg, iteratons: 5}]\n"
    assert refusals(text) == [
        "m.yaml:1:1: the matrix lacks 'dataset'",
        "m.yaml:1:1: grid lacks 'model'",
        "m.yaml:2:24: dlg has no 'iteratons'; nearest: 'iterations'",
    ]


_EVERY = list(dict.fromkeys(control for sheet in every_sheet() for control in sheet.said.controls))
_CONTROLS = f"{', '.join(_EVERY[:-1])} or {_EVERY[-1]}"
MISUSES = [
    ("targts: 3\n", ["m.yaml:3:1: the matrix has no 'targts'; nearest: 'targets'"]),
    ("targets: 0\n", ["m.yaml:3:10: targets must be at least 1, not 0"]),
    ("targets: 1.5\n", ["m.yaml:3:10: targets must be a whole number, not 1.5"]),
    ("targets: true\n", ["m.yaml:3:10: targets must be a whole number, not True"]),
    ("targets: [1]\n", ["m.yaml:3:10: targets must be a whole number, not [1]"]),
    ("offset: -1\n", ["m.yaml:3:9: offset must be at least 0, not -1"]),
    ("seed: []\n", ["m.yaml:3:7: seed is an empty axis"]),
    ("seed: [0, x]\n", ["m.yaml:3:11: seed must be a whole number, not 'x'"]),
    ("timeout: 0\n", ["m.yaml:3:10: timeout must be above 0, not 0"]),
    ("timeout: .inf\n", ["m.yaml:3:10: a number must be finite, not .inf"]),
    ("threads: 0\n", ["m.yaml:3:10: threads must be at least 1, at most 1024, not 0"]),
    ("compile: of\n", ["m.yaml:3:10: compile must be off or on, not 'of'; nearest: 'off'"]),
    ("controls: [gray]\n", [f"m.yaml:3:12: a control is {_CONTROLS}, not 'gray'; nearest: 'grey'"]),
    ("controls: [grey, grey]\n", ["m.yaml:3:18: control 'grey' is repeated"]),
    ("controls: []\n", ["m.yaml:3:11: controls is empty"]),
    ("game: membership\n", [f"m.yaml:3:1: the matrix has no 'game': {values.NAMES_THE_GAME}"]),
    ("audit: {canaries: 9}\n", ["m.yaml:3:1: the matrix has no 'audit': that is a name for `protocol` in the grid"]),
    ("name: 5\n", ["m.yaml:3:7: name must be a word, not 5"]),
    ("name: a/b\n", ["m.yaml:3:7: name must be a plain file name, not 'a/b'"]),
    ("name: ..\n", ["m.yaml:3:7: name must be a plain file name, not '..'"]),
    ("name: ''\n", ["m.yaml:3:7: name must be a plain file name, not ''"]),
    ("dataset: natural\n", ["m.yaml:3:1: 'dataset' is repeated; first in line 1"]),
    ("exclude: [{atack: dlg}]\n", ["m.yaml:3:12: exclude has no 'atack'; nearest: 'attack'"]),
    ("exclude: [{attack: dgl}]\n", ["m.yaml:3:20: no attack is called 'dgl'; nearest: 'dlg'"]),
    ("exclude: [{attack: {name: dlg, lrr: 1}}]\n", ["m.yaml:3:32: dlg has no 'lrr'; nearest: 'lr'"]),
    ("exclude: [{model: {name: lenet, trained: 3}}]\n", ["m.yaml:3:42: lenet: trained must be true or false, not 3"]),
    ("exclude: [{attack: [dlg]}]\n", ["m.yaml:3:20: attack must be a name or a mapping with 'name', not a list"]),
    ("exclude: [{batch_size: one}]\n", ["m.yaml:3:24: batch_size must be a whole number, not 'one'"]),
    ("exclude: [{}]\n", ["m.yaml:3:11: an exclude without an axis would leave nothing"]),
    ("exclude: [dlg]\n", ["m.yaml:3:11: exclude holds mappings of axes, not 'dlg'"]),
    ("exclude: [{defense: []}]\n", ["m.yaml:3:21: an empty stack of defences; write none"]),
    ("exclude: [{attack: dlg}]\n", ["m.yaml:2:1: every cell of the grid is excluded"]),
    ("include: [{attack: dlg}]\n", [f"m.yaml:3:11: an included cell lacks {axis!r}" for axis in
                                   ("model", "batch_size", "defense")]),
    ("include: [{model: mlp}]\n", ["m.yaml:3:11: an included cell lacks 'attack'"]),
    ("include: [{attack: map-inversion}]\n", ["m.yaml:3:11: an included cell lacks 'model'"]),
    ("include: [dlg]\n", ["m.yaml:3:11: an included cell is a mapping of axes, not 'dlg'"]),
    ("include: [{attack: dlg, model: mlp, batch_size: [1], defense: none}]\n",
     ["m.yaml:3:49: batch_size must be a whole number, not [1]"]),
    ("include: [{attack: dlg, model: mlp, batch_size: 1, defense: none, threads: 2}]\n",
     ["m.yaml:3:67: an included cell has no 'threads'"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), MISUSES)
def test_each_misuse_of_the_matrix_s_own_keys_is_told_with_its_place(
    folder: Path, line: str, expected: list[str]
) -> None:
    assert refusals(SMALL + GRID + line) == expected


GRID_MISUSES = [
    ("attack", "dgl", ["m.yaml:3:11: no attack is called 'dgl'; nearest: 'dlg'"]),
    ("attack", "gaussian", ["m.yaml:3:11: no attack is called 'gaussian'"]),
    ("attack", "[]", ["m.yaml:3:11: attack is an empty axis"]),
    ("attack", "", ["m.yaml:3:10: attack must be a name or a mapping with 'name', not nothing"]),
    ("attack", "[[dlg]]", ["m.yaml:3:12: attack must be a name or a mapping with 'name', not a list"]),
    ("attack", "{nam: dlg}", ["m.yaml:3:12: attack has no 'nam'; nearest: 'name'"]),
    ("attack", "{name: dlg, lr: big}", ["m.yaml:3:27: dlg: lr must be a number, not 'big'"]),
    ("attack", "{name: dlg, lr: -1}", ["m.yaml:3:27: dlg: lr must be above 0, not -1"]),
    ("attack", "{name: dlg, lr: 1, lr: 2}", ["m.yaml:3:30: 'lr' is repeated; first in line 3"]),
    ("attack", "{name: dlg, labels: jiont}",
     ["m.yaml:3:31: dlg: labels must be joint or idlg, not 'jiont'; nearest: 'joint'"]),
    ("attack", "{name: dlg, batch_statistics: given}",
     ["m.yaml:3:23: dlg has no 'batch_statistics'; protocols that have it: fedavg, fedsgd; nearest: 'statistics'"]),
    ("attack", "dlg/x", ["m.yaml:3:11: no attack is called 'dlg/x'; nearest: 'dlg'"]),
    ("model", "torchvision/resnet19",
     ["m.yaml:3:10: torchvision has no classifier 'resnet19'; nearest: 'resnet18'"]),
    ("model", "torchvision", ["m.yaml:3:10: torchvision needs 'variant' (torchvision's name of the architecture)"]),
    ("model", "{name: torchvision/resnet18, variant: vgg11}",
     ["m.yaml:3:39: torchvision/resnet18 names its variant already"]),
    ("batch_size", "[1, 0]", ["m.yaml:3:19: batch_size must be at least 1, not 0"]),
    ("defense", "[gausian]", ["m.yaml:3:13: no defense is called 'gausian'; nearest: 'gaussian'"]),
    ("defense", "[nnoe]", ["m.yaml:3:13: no defense is called 'nnoe'; nearest: 'none'"]),
    ("defense", "[[none, sign]]", ["m.yaml:3:14: none stands alone, not in a stack of defences"]),
    ("defense", "[[]]", ["m.yaml:3:13: an empty stack of defences; write none"]),
    ("defense", "[{name: none, std: 1}]", ["m.yaml:3:26: none has no 'std'"]),
    ("defense", "[[[sign]]]", ["m.yaml:3:14: defense must be a name or a mapping with 'name', not a list"]),
    ("protocol", "fedsdg", ["m.yaml:3:13: no protocol is called 'fedsdg'; nearest: 'fedsgd'"]),
    ("defence", "none", ["m.yaml:3:3: grid has no 'defence'; nearest: 'defense'"]),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "value", "expected"), GRID_MISUSES)
def test_each_misuse_of_an_axis_is_told_with_its_place(
    folder: Path, axis: str, value: str, expected: list[str]
) -> None:
    others = {"attack": "dlg", "model": "lenet", "batch_size": "1", "defense": "none"}
    others.pop(axis, None)
    rest = "".join(f"  {key}: {word}\n" for key, word in others.items())
    assert refusals(f"{SMALL}grid:\n  {axis}: {value}\n{rest}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["m.yaml:1:1: empty"]),
        ("- a\n", ["m.yaml:1:1: a matrix is a mapping of keys such as 'dataset' and 'grid', not a list"]),
        (SMALL, ["m.yaml:1:1: the matrix has no cells: it needs 'grid' or 'include'"]),
        (SMALL + "grid: [1]\n", ["m.yaml:2:7: grid must be a mapping of axes, not a list"]),
        (SMALL + "grid:\n", ["m.yaml:2:6: grid must be a mapping of axes, not nothing"]),
        ("dataset: naturl\n" + GRID, ["m.yaml:1:10: no dataset is called 'naturl'; nearest: 'natural'"]),
        ("dataset: npz\n" + GRID, ["m.yaml:1:10: npz needs 'path' (the npz file)"]),
        (
            "dataset: {path: a.npz}\n" + GRID,
            ["m.yaml:1:10: dataset must be a name or a mapping with 'name'; this has none"],
        ),
        ("dataset: {name: npz, path: 5}\n" + GRID, ["m.yaml:1:28: npz: path must be a path, not 5"]),
        ("a: 1\nb: *c\n", ["m.yaml:2:4: alias *c has no anchor that ends before it"]),
    ],
)
def test_a_file_that_is_no_matrix_is_refused(folder: Path, text: str, expected: list[str]) -> None:
    assert refusals(text) == expected


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(folder: Path) -> None:
    text = (
        "name: a/b\ntargets: none\ndataset: {name: npz, path: gone.npz}\ngrid:\n  attack: [dgl, {name: dlg, lr: 0}]\n"
        "  model: []\n  batch_size: [x]\nexclude: [{seeds: 1}]\ninclude: [{attack: peel}]\nname: twice\n"
    )
    places = [refusal.split(": ")[0] for refusal in refusals(text, "timeout=soon")]
    assert places == [
        *("m.yaml:1:7", "m.yaml:2:10", "m.yaml:3:28", "m.yaml:5:12", "m.yaml:5:33", "m.yaml:6:10", "m.yaml:7:16"),
        *("m.yaml:8:12", "m.yaml:9:11", "m.yaml:9:11", "m.yaml:9:11", "m.yaml:10:1", "--set timeout=soon"),
    ]


def test_a_missing_data_file_is_told_where_its_path_stands(folder: Path) -> None:
    (refusal,) = refusals("dataset: {name: npz, path: gone.npz}\n" + GRID)
    assert refusal.startswith(f"m.yaml:1:28: {folder / 'gone.npz'}: ")


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    for path in ("gone.yaml", "."):
        with pytest.raises(MatrixErrors, match=rf"^{path}: cannot be read: "):
            matrix.load(path)
    Path("m.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(MatrixErrors, match=r"^m\.yaml:1:4: not UTF-8 text$"):
        matrix.load("m.yaml")


def test_the_design_s_example_makes_the_cells_that_it_says(folder: Path) -> None:
    made = load(
        """
        name: quickstart
        dataset: {name: npz, path: a.npz}
        targets: 8
        offset: 0
        seed: 0
        timeout: 600
        threads: 1
        compile: off
        controls: [grey, mean]
        grid:
          attack: [dlg, inverting-gradients, {name: inverting-gradients, tv: 0.001, iterations: 2000}]
          model: [lenet, {name: lenet, trained: true}, {name: convnet, width: 16}]
          batch_size: [1, 4, 8]
          defense: [none, {name: gaussian, std: 0.001}, [{name: clip, norm: 1.0}, {name: gaussian, std: 0.01}]]
          protocol: [fedsgd]
        exclude: [{attack: dlg, model: convnet}]
        include: [{attack: peel, model: mlp, batch_size: 1, defense: none}]
        """
    )
    attacks = ["dlg", "inverting-gradients", "inverting-gradients(iterations=2000,tv=0.001)"]
    models = ["lenet", "lenet(trained=true)", "convnet(width=16)"]
    defenses = ["none", "gaussian(std=0.001)", "clip(norm=1)+gaussian(std=0.01)"]
    grid = list(itertools.product(attacks, models, [1, 4, 8], defenses, ["fedsgd"]))
    expected = [row for row in grid if row[:2] != ("dlg", "convnet(width=16)")]
    expected.append(("peel", "mlp", 1, "none", "fedsgd"))
    assert names(made.cells, "attack", "model", "batch_size", "defense", "protocol") == expected
    assert {(c.targets, c.offset, c.seed, c.threads, c.compile) for c in made.cells} == {(8, 0, 0, 1, "off")}
    assert {(c.controls, c.timeout) for c in made.cells} == {(("grey", "mean"), 600.0)}
    assert made.name == "quickstart"
    assert made.warnings == ()


def test_what_is_left_out_has_its_default(folder: Path) -> None:
    made = load(SMALL + "grid: {attack: dlg, model: lenet}\n", file="short.yaml")
    (cell,) = made.cells
    assert (cell.targets, cell.offset, cell.seed, cell.batch_size, cell.defense) == (8, 0, 0, 1, ())
    assert (cell.timeout, cell.threads, cell.compile, cell.controls[:2]) == (600.0, 1, "off", ("grey", "mean"))
    assert cell.names["protocol"] == "fedsgd"
    assert made.name == "short"


def test_one_value_is_an_axis_of_one_and_none_in_brackets_is_none(folder: Path) -> None:
    one = load(SMALL + "grid: {attack: dlg, model: {name: lenet}, batch_size: 1, defense: none, protocol: fedsgd}\n")
    lists = load(
        SMALL + "grid: {attack: [dlg], model: [lenet], batch_size: [1], defense: [[none]], protocol: [fedsgd]}\n"
    )
    mapping = load(SMALL + "grid: {attack: dlg, model: lenet, defense: {name: none}}\n")
    assert one.cells == lists.cells == mapping.cells


def test_a_list_of_seeds_is_an_axis_also_for_included_cells_without_their_own(folder: Path) -> None:
    made = load(
        SMALL + "seed: [3, 1]\n" + GRID + "include:\n"
        "  - {attack: idlg, model: lenet, batch_size: 1, defense: none}\n"
        "  - {attack: peel, model: mlp, batch_size: 1, defense: none, seed: 7}\n"
    )
    expected = [("dlg", 3), ("dlg", 1), ("idlg", 3), ("idlg", 1), ("peel", 7)]
    assert names(made.cells, "attack", "seed") == expected


def test_an_included_cell_may_carry_its_own_data_and_batches(folder: Path) -> None:
    made = load(
        SMALL + GRID + "include: [{attack: dlg, model: lenet, batch_size: 1, defense: none, dataset: {name: npz, "
        "path: b.npz}, targets: 2, offset: 1}]\n"
    )
    grid, included = made.cells
    assert (included.targets, included.offset) == (2, 1)
    assert included.data_hash != grid.data_hash
    assert included.normalisation != grid.normalisation


def test_an_included_cell_without_its_own_has_the_matrix_s_batches(folder: Path) -> None:
    include = "include: [{attack: idlg, model: lenet, batch_size: 1, defense: none}]\n"
    included = load(SMALL + "targets: 3\noffset: 2\n" + GRID + include).cells[-1]
    assert (included.attack.name, included.targets, included.offset) == ("idlg", 3, 2)


def test_a_matrix_may_hold_included_cells_only(folder: Path) -> None:
    cell = "attack: dlg, model: lenet, batch_size: 1, defense: none"
    (alone,) = load(f"include: [{{{cell}, dataset: {{name: npz, path: a.npz}}}}]\n").cells
    (lent,) = load(f"{SMALL}include: {{{cell}}}\n").cells
    assert alone == lent
    assert refusals(f"include: [{{{cell}}}]\n") == ["m.yaml:1:1: the matrix lacks 'dataset'"]


def test_axes_that_a_game_does_not_use_are_left_out_and_cells_that_become_equal_are_one(folder: Path) -> None:
    made = load(
        "dataset: {name: warfarin, sensitive: vkorc1}\n"
        "grid: {attack: [map-inversion, dlg], model: iwpc, batch_size: [1, 2], defense: [none, sign]}\n"
    )
    assert names(made.cells, "attack", "batch_size", "defense", "protocol") == [
        *(("map-inversion", None, defense, "release") for defense in ("none", "sign")),
        *(("dlg", size, defense, "fedsgd") for size in (1, 2) for defense in ("none", "sign")),
    ]
    assert {cell.normalisation for cell in made.cells} == {None}


def test_equal_values_of_an_axis_and_equal_cells_count_once_at_their_first_place(folder: Path) -> None:
    made = load(
        SMALL
        + "grid: {attack: [idlg, {name: dlg, labels: joint}, dlg], model: lenet}\n"
        + "include: [{attack: idlg, model: lenet, batch_size: 1, defense: none},"
        " {attack: peel, model: lenet, batch_size: 1, defense: none}]\n"
    )
    assert names(made.cells, "attack") == ["idlg", "dlg", "peel"]


def test_of_two_cells_of_one_id_the_first_is_kept(folder: Path) -> None:
    (folder / "copy.npz").write_bytes((folder / "a.npz").read_bytes())
    copy = "{attack: dlg, model: lenet, batch_size: 1, defense: none, dataset: {name: npz, path: copy.npz}}"
    (cell,) = load(f"{SMALL}{GRID}include: [{copy}]\n").cells
    assert dict(cell.dataset.settings)["path"] == folder / "a.npz"


EXCLUSIONS: dict[str, Callable[[Cell], bool]] = {
    "{attack: dlg}": lambda c: c.attack.name == "dlg",
    "{model: lenet}": lambda c: c.model.name == "lenet",
    "{model: {name: lenet, trained: true}}": lambda c: c.names["model"].startswith("lenet(trained=true"),
    "{model: {name: lenet, trained: true, pool: max}}": lambda c: c.names["model"] == "lenet(trained=true,pool=max)",
    "{model: {name: lenet}, batch_size: 2}": lambda c: c.model.name == "lenet" and c.batch_size == 2,
    "{defense: none}": lambda c: c.defense == (),
    "{defense: gaussian}": lambda c: c.names["defense"].startswith("gaussian"),
    "{defense: {name: gaussian, std: 1e-2}}": lambda c: c.names["defense"] == "gaussian(std=0.01)",
    "{defense: [clip, {name: gaussian, std: 0.01}]}": lambda c: c.names["defense"] == "clip(norm=1)+gaussian(std=0.01)",
    "{defense: [gaussian, clip]}": lambda c: False,
    "{seed: 1, attack: idlg}": lambda c: c.seed == 1 and c.attack.name == "idlg",
    "{dataset: npz, seed: 0}": lambda c: c.seed == 0,
    "{dataset: {name: npz, path: b.npz}}": lambda c: False,
    "{model: torchvision}": lambda c: c.model.name == "torchvision",
    "{model: torchvision/resnet18}": lambda c: c.names["model"] == "torchvision/resnet18",
    "{protocol: {name: fedsgd, labels: hidden}}": lambda c: c.names["protocol"] == "fedsgd(labels=hidden)",
}


@pytest.mark.parametrize("exclusion", EXCLUSIONS)
def test_an_exclude_leaves_out_exactly_the_cells_of_which_all_its_keys_agree(folder: Path, exclusion: str) -> None:
    text = SMALL + (
        "seed: [0, 1]\n"
        "grid:\n"
        "  attack: [dlg, idlg]\n"
        "  model: [lenet, {name: lenet, trained: true}, {name: lenet, trained: true, pool: max}, torchvision/resnet18,"
        " torchvision/resnet34]\n"
        "  batch_size: [1, 2]\n"
        "  defense: [none, {name: gaussian, std: 0.01}, {name: gaussian, std: 0.1},"
        " [{name: clip, norm: 1.0}, {name: gaussian, std: 0.01}]]\n"
        "  protocol: [fedsgd, {name: fedsgd, labels: hidden}]\n"
    )
    whole = load(text).cells
    made = load(f"{text}exclude: [{exclusion}]\n")
    left_out = [cell for cell in whole if EXCLUSIONS[exclusion](cell)]
    assert [cell for cell in whole if cell not in made.cells] == left_out
    assert made.warnings == (() if left_out else ("m.yaml:9:11: this exclude matches no cell of the grid",))


def test_an_exclude_never_leaves_out_an_included_cell(folder: Path) -> None:
    include = "include: [{attack: idlg, model: lenet, batch_size: 1, defense: none}]\n"
    made = load(SMALL + GRID + "exclude: [{model: lenet}]\n" + include)
    assert names(made.cells, "attack") == ["idlg"]


def test_relative_paths_start_at_the_matrix_file_and_those_of_set_at_the_working_directory(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (folder / "b.npz").rename(inner / "a.npz")
    from_file = load(SMALL + GRID, file="inner/m.yaml").cells[0]
    from_set = load(SMALL + GRID, "dataset.path=a.npz", file="inner/m.yaml").cells[0]
    assert dict(from_file.dataset.settings)["path"] == inner / "a.npz"
    assert dict(from_set.dataset.settings)["path"] == folder / "a.npz"
    assert from_file.data_hash != from_set.data_hash


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    made = load("dataset: {name: npz, path: ~/a.npz}\n" + GRID, file="m.yaml")
    assert dict(made.cells[0].dataset.settings)["path"] == folder / "a.npz"


def test_set_changes_the_tree_before_anything_is_checked(folder: Path) -> None:
    text = "dataset: npz\ntargets: wrong\ngrid: {attack: nonsense}\n"
    sets = ["targets=4", "grid.attack=[dlg, {name: idlg, lr: 0.5}]", "grid.model=lenet", "seed=[0, 1]"]
    made = load(text, *sets, "dataset.path=a.npz", "name=other", "seed=[2]")
    assert made.name == "other"
    assert names(made.cells, "attack", "seed") == [("dlg", 2), ("idlg(lr=0.5)", 2)]
    assert {cell.targets for cell in made.cells} == {4}


def test_set_reaches_an_item_of_a_list_counted_from_0(folder: Path) -> None:
    text = SMALL + "seed: [0, 1]\ngrid: {attack: [dlg, idlg], model: lenet, defense: [[clip, sign]]}\n"
    made = load(text, "grid.attack.0.lr=0.5", "grid.attack.1=peel", "seed.1=7", "grid.defense.0.0.norm=3")
    assert names(made.cells, "attack", "seed", "defense") == [
        (attack, seed, "clip(norm=3)+sign") for attack in ("dlg(lr=0.5)", "peel") for seed in (0, 7)
    ]


@pytest.mark.parametrize(("written", "value"), [("1e1", 10), ("2.0", 2), ("1.2E+3", 1200)])
def test_whole_numbers_may_be_written_as_yaml_users_write_them(folder: Path, written: str, value: int) -> None:
    text = "dataset: {name: natural, size: 3.2e1}\n"
    (cell,) = load(
        f"{text}targets: {written}\ngrid: {{attack: {{name: dlg, iterations: {written}}}, model: lenet}}\n"
    ).cells
    (plain,) = load(
        f"{text}targets: {value}\ngrid: {{attack: {{name: dlg, iterations: {value}}}, model: lenet}}\n"
    ).cells
    assert (cell, cell.id, type(cell.targets)) == (plain, plain.id, int)


@pytest.mark.parametrize("written", ["1.5e0", "1e-1", "1e18", "1e300"])
def test_a_number_that_is_not_whole_or_too_long_is_no_whole_number(folder: Path, written: str) -> None:
    (refusal,) = refusals(f"{SMALL}targets: {written}\n{GRID}")
    assert refusal.startswith("m.yaml:2:10: targets must be a whole number, not ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("include.2.seed=1", "--set include.2.seed=1: 'include' holds a list of 2, counted from 0: no item '2'"),
        ("include.x.seed=1", "--set include.x.seed=1: 'include' holds a list of 2, counted from 0: no item 'x'"),
        ("targets=x", "--set targets=x: targets must be a whole number, not 'x'"),
        ("targts=3", "--set targts=3: the matrix has no 'targts'; nearest: 'targets'"),
        ("targets", "--set targets: must be KEY=VALUE, a dot in KEY going one level down"),
        ("=3", "--set =3: must be KEY=VALUE, a dot in KEY going one level down"),
        ("grid..attack=dlg", "--set grid..attack=dlg: must be KEY=VALUE, a dot in KEY going one level down"),
        ("targets.a=3", "--set targets.a=3: 'targets' holds 8, which has no keys"),
        ("grid.attack=[dgl]", "--set grid.attack=[dgl]: no attack is called 'dgl'; nearest: 'dlg'"),
        ("grid.atack=dlg", "--set grid.atack=dlg: grid has no 'atack'; nearest: 'attack'"),
        ("grid.attack=[", "--set grid.attack=[: not YAML: while parsing a flow node: expected the node content, "
         "but found '<stream end>'"),
        ("targets=", "--set targets=: targets must be a whole number, not None"),
        ("dataset.pth=x", "--set dataset.pth=x: npz has no 'pth'; nearest: 'path'"),
    ],
)  # fmt: skip
def test_a_mistake_of_set_names_the_words_given(folder: Path, given: str, expected: str) -> None:
    include = "{attack: idlg, model: lenet, batch_size: 1, defense: none}"
    assert refusals(f"{SMALL}targets: 8\n{GRID}include: [{include}, {include}]\n", given) == [expected]


def test_what_the_file_lacks_is_told_in_the_file_also_where_set_adds_to_it(folder: Path) -> None:
    assert refusals(SMALL + "grid: {}\n", "grid.attack=dlg") == ["m.yaml:2:1: grid lacks 'model'"]


def test_the_matrix_as_run_tells_the_sets_and_is_the_same_matrix_still(folder: Path) -> None:
    text = SMALL + GRID
    assert load(text).text == text
    run = load(text, "targets=4", 'name="x"').text
    assert run == '# As run with --set "targets=4" --set "name=\\"x\\""\n' + text
    assert yaml.safe_load(run) == yaml.safe_load(text)


def test_ids_ignore_the_order_of_keys_spelled_out_defaults_name_timeout_and_controls(folder: Path) -> None:
    one = load(SMALL + "grid: {attack: [dlg], model: [lenet]}\n")
    other = load(
        "controls: [noise, grey]\ntimeout: 5\nname: other\ncompile: off\nthreads: 1\noffset: 0\n"
        "grid:\n  protocol: [{labels: known, name: fedsgd}]\n  defense: [none]\n  batch_size: [1]\n"
        "  model: [{trained: false, name: lenet}]\n  attack: [{labels: joint, name: dlg}]\n"
        "dataset: {path: ./a.npz, name: npz}\n"
    )
    assert [cell.id for cell in one.cells] == [cell.id for cell in other.cells]
    assert other.cells[0].controls == ("grey", "noise")
    assert other.cells[0].timeout == other.timeout == 5.0


def test_the_same_pictures_in_another_file_give_the_same_id_and_others_another(folder: Path) -> None:
    before = load(SMALL + GRID).cells[0].id
    moved = folder / "moved.npz"
    moved.write_bytes((folder / "a.npz").read_bytes())
    assert load(SMALL + GRID, "dataset.path=moved.npz").cells[0].id == before
    assert load(SMALL + GRID, "dataset.path=b.npz").cells[0].id != before
    assert load(SMALL + GRID, "dataset.mean=[0.5]", "dataset.std=[0.5]").cells[0].id != before


def test_only_keeps_the_cells_that_agree(folder: Path) -> None:
    cells = load(
        SMALL + "seed: [0, 1]\ngrid: {attack: [dlg, {name: dlg, lr: 0.5}, idlg], model: lenet, batch_size: [1, 2],"
        " defense: [none, [{name: clip, norm: 1}, sign]]}\n"
    ).cells
    assert set(names(matrix.select(cells, ["attack=dlg"]), "attack")) == {"dlg", "dlg(lr=0.5)"}
    assert set(names(matrix.select(cells, ["attack=dlg(lr=0.5)"]), "attack")) == {"dlg(lr=0.5)"}
    assert set(names(matrix.select(cells, ["attack=idlg", "attack=dlg(lr=0.5)"]), "attack")) == {"idlg", "dlg(lr=0.5)"}
    assert set(names(matrix.select(cells, ["batch_size=2", "seed=1"]), "batch_size", "seed")) == {(2, 1)}
    assert set(names(matrix.select(cells, ["defense=none"]), "defense")) == {"none"}
    for stack in ("clip+sign", "clip(norm=1)+sign"):
        assert set(names(matrix.select(cells, [f"defense={stack}"]), "defense")) == {"clip(norm=1)+sign"}
    assert matrix.select(cells, []) == list(cells)
    assert matrix.select(cells, ["game=update", "dataset=npz", "protocol=fedsgd"]) == list(cells)


def test_only_takes_what_stands_in_a_matrix_of_which_the_settings_given_count(folder: Path) -> None:
    cells = load(
        SMALL + "grid: {attack: [dlg, {name: dlg, lr: 0.5}, idlg], model: [lenet, mlp], batch_size: [1, 2, 4],"
        " defense: [none, sign, [{name: clip, norm: 1}, sign]]}\n"
    ).cells

    def kept(axis: str, *only: str) -> set[Any]:
        return set(names(matrix.select(cells, only), axis))

    assert kept("attack", "attack={name: dlg, lr: 0.5}") == {"dlg(lr=0.5)"}
    assert kept("attack", "attack={name: dlg}") == {"dlg", "dlg(lr=0.5)"}
    assert kept("attack", "attack=[{name: dlg, lr: 5e-1}, idlg]") == {"dlg(lr=0.5)", "idlg"}
    assert kept("batch_size", "batch_size=[1, 4]") == {1, 4}
    assert kept("defense", "defense=[none, sign]") == {"none", "sign"}
    assert kept("defense", "defense=[[clip, sign]]") == {"clip(norm=1)+sign"}
    assert kept("dataset", "dataset={name: npz, path: a.npz}") == {"npz(path=a.npz)"}
    assert kept("model", "model={name: mlp}", "model=lenet") == {"lenet", "mlp"}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["atack=dlg"], ["--only atack=dlg: no axis is called 'atack'; nearest: 'attack'"]),
        (["attack=dgl"], ["--only attack=dgl: no cell has attack 'dgl'; nearest: 'dlg'"]),
        (["attack"], ["--only attack: must be KEY=VALUE"]),
        (["seed=9", "x=1"], ["--only seed=9: no cell has seed '9'", "--only x=1: no axis is called 'x'"]),
        (["attack={name: dlg, lrr: 1}"], ["--only attack={name: dlg, lrr: 1}: dlg has no 'lrr'; nearest: 'lr'"]),
        (["attack={name: dlg, lr: 7}"], ["--only attack={name: dlg, lr: 7}: no cell has attack {name: dlg, lr: 7}"]),
        (["seed=[]"], ["--only seed=[]: seed is an empty list"]),
        (
            ["seed=[1"],
            ["--only seed=[1: not YAML: while parsing a flow sequence: expected ',' or ']', but got '<stream end>'"],
        ),
        (["attack=dlg", "model=mlp"], ["--only attack=dlg --only model=mlp: no cell agrees with all of these"]),
    ],
)
def test_only_refuses_what_selects_nothing(folder: Path, only: list[str], expected: list[str]) -> None:
    cells = load(SMALL + GRID + "include: [{attack: peel, model: mlp, batch_size: 1, defense: none}]\n").cells
    with pytest.raises(MatrixErrors) as caught:
        matrix.select(cells, only)
    assert [str(error) for error in caught.value.errors] == expected


MEMBERS = "grid: {attack: loss-threshold, model: lenet}\n"
ASKED = ("", "controls: [noise]\n", "controls: blind\n")
UPDATE_HAS, MEMBERSHIP_HAS = "update has grey, mean, noise", "membership has unseen, blind"


def test_a_control_that_no_game_of_the_matrix_has_is_refused_with_those_that_it_has(folder: Path) -> None:
    expected = f"m.yaml:2:18: no game of this matrix has control 'drawn': {UPDATE_HAS}"
    assert refusals(SMALL + "controls: [grey, drawn]\n" + GRID) == [expected]
    expected = f"m.yaml:2:12: no game of this matrix has control 'grey': {MEMBERSHIP_HAS}"
    assert refusals(SMALL + "controls: [grey]\n" + MEMBERS) == [expected]
    attribute = (
        "dataset: {name: warfarin, sensitive: vkorc1}\ncontrols: noise\ngrid: {attack: map-inversion, model: iwpc}\n"
    )
    nothing = "attribute has none to ask for"
    assert refusals(attribute) == [f"m.yaml:2:11: no game of this matrix has control 'noise': {nothing}"]
    with_both = f"controls: never\ninclude: {{attack: loss-threshold, model: lenet, defense: none}}\n{SMALL}{GRID}"
    (refused,) = refusals(with_both)
    assert refused == f"m.yaml:1:11: no game of this matrix has control 'never': {UPDATE_HAS}; {MEMBERSHIP_HAS}"


def test_a_game_of_which_no_control_is_asked_for_keeps_its_own(folder: Path) -> None:
    grid = "grid: {attack: [dlg, loss-threshold], model: lenet}\n"
    by_game = [{cell.game: cell.controls for cell in load(SMALL + said + grid).cells} for said in ASKED]
    usual = {"update": ("grey", "mean"), "membership": ("unseen", "blind")}
    assert by_game == [usual, usual | {"update": ("noise",)}, usual | {"membership": ("blind",)}]


def test_the_template_asks_for_no_controls_so_another_games_attacks_keep_theirs(folder: Path) -> None:
    made = load(TEMPLATE, "grid.attack=[loss-threshold]", "exclude=[]", "include=[]")
    assert {cell.controls for cell in made.cells} == {("unseen", "blind")}


def test_the_template_is_a_matrix_that_runs_on_embedded_data(folder: Path) -> None:
    made = load(TEMPLATE)
    assert made.warnings == ()
    assert {cell.dataset.name for cell in made.cells} == {"lfw"}


def test_a_grid_too_large_is_refused_and_not_made(folder: Path) -> None:
    numbers = f"[{','.join(map(str, range(1, 2001)))}]"
    started = time.process_time()
    (refusal,) = refusals(f"{SMALL}seed: {numbers}\ngrid: {{attack: dlg, model: lenet, batch_size: {numbers}}}\n")
    assert refusal == "m.yaml:3:1: the matrix makes 4,000,000 cells; at most 1,000,000"
    assert time.process_time() - started < 2


def test_included_cells_and_seeds_count_towards_the_most_cells(folder: Path) -> None:
    seeds = f"[{','.join(map(str, range(1, 30_001)))}]"
    include = ", ".join(["{attack: dlg, model: lenet, batch_size: 1, defense: none}"] * 40)
    started = time.process_time()
    (refusal,) = refusals(f"{SMALL}seed: {seeds}\ninclude: [{include}]\n")
    assert refusal == "m.yaml:3:1: the matrix makes 1,200,000 cells; at most 1,000,000"
    assert time.process_time() - started < 5


def test_of_very_many_mistakes_the_first_fifty_are_told_and_the_others_counted(folder: Path) -> None:
    with pytest.raises(MatrixErrors) as caught:
        load(SMALL + f"grid: {{attack: [{', '.join(['dgl'] * 1234)}], model: lenet}}\n")
    told = str(caught.value).splitlines()
    assert len(caught.value.errors) == 1234
    assert told[:50] == [str(error) for error in caught.value.errors[:50]]
    assert told[50:] == ["... and 1,184 more"]


BROKEN = {
    "raising": (
        "raise ZeroDivisionError('so it\\nis')",
        "dataset broken cannot be loaded: ZeroDivisionError: so it is",
    ),
    "leaving": ("raise SystemExit(0)", "dataset broken cannot be loaded: SystemExit: 0"),
    "unreadable": ("open('/nowhere/x')", "/nowhere/x: No such file or directory"),
    "nothing": ("return 3", "dataset broken: load() must give a Pool, not int"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_goes_wrong_in_somebody_s_data_set_is_told_with_its_place(folder: Path, kind: str) -> None:
    body, expected = BROKEN[kind]
    source = (
        "from dataclasses import dataclass\nfrom invbench.data import Dataset\nfrom invbench.registry import dataset\n"
        "@dataset(data='images')\n@dataclass(frozen=True)\nclass Broken(Dataset):\n"
        f"    def load(self):\n        {body}\n"
    )
    with plugged(folder, {"data.broken": source}):
        assert refusals(f"dataset: broken\n{GRID}") == [f"m.yaml:1:10: {expected}"]


def test_twenty_thousand_cells_are_made_within_seconds(folder: Path) -> None:
    numbers = f"[{','.join(map(str, range(1, 101)))}]"
    load(SMALL + GRID)
    started = time.process_time()
    made = load(
        f"{SMALL}seed: {numbers}\ngrid: {{attack: [dlg, idlg], model: lenet, batch_size: {numbers}}}\n"
        "exclude: [{attack: idlg, batch_size: 3}]\n"
    )
    assert len(made.cells) == len({cell.id for cell in made.cells}) == 19_900
    assert time.process_time() - started < 4


KEYS = st.sampled_from((*values.MATRIX_KEYS, *values.AXES, "path", "variant", "labels", "tv", "zzz"))
WORDS = ("dlg", "idlg", "map-inversion", "lenet", "iwpc", "torchvision/resnet18", "torchvision", "none", "clip", "npz")
OTHERS = ("a.npz", "b.npz", "x/y", "", "fedsgd", "off", "on", "~", "~nobody/x", "grey", 0, 1, 4, -1, 0.5, True, None)
TREES = st.recursive(
    st.sampled_from((*WORDS, *OTHERS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def outcome(text: str | bytes, *sets: str) -> tuple[Any, ...]:
    """The cells of a matrix, or its mistakes; any other exception is a failure."""
    Path("m.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        return matrix.load("m.yaml", sets).cells
    except MatrixErrors as refused:
        return refused.errors


@FUZZ
@given(tree=st.dictionaries(KEYS, TREES, max_size=6), axes=st.dictionaries(KEYS, TREES, max_size=4))
def test_any_tree_is_a_matrix_or_is_refused_with_places(folder: Path, tree: Any, axes: Any) -> None:
    given = {"dataset": {"name": "npz", "path": "a.npz"}, "grid": {"attack": "dlg", "model": "lenet"} | axes} | tree
    result = outcome(yaml.safe_dump(given))
    assert result
    assert all(isinstance(item, Cell) or item.line is not None for item in result)


@FUZZ
@given(seed=st.integers(0, 10**6), damage=st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_a_matrix_or_is_refused(folder: Path, seed: int, damage: bytes) -> None:
    data = bytearray((SMALL + GRID + "include: [{attack: idlg, model: mlp, batch_size: 1, defense: none}]\n").encode())
    place = random.Random(seed).randrange(len(data))
    data[place : place + len(damage)] = damage
    assert outcome(bytes(data))


@FUZZ
@given(words=st.lists(st.text(alphabet="grid.attck=[]{}:,d\n& *!'\"0", max_size=20), max_size=3))
def test_any_set_is_taken_or_refused(folder: Path, words: list[str]) -> None:
    assert outcome(SMALL + GRID, *words)
