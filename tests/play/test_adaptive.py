"""`adaptive: false`: the same attack, with the same draws, told of no defence; everything else is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from small_cells import make_cell, make_cells, plugged, write_pool

from invbench import matrix, registry
from invbench.cell import Cell
from invbench.games import game_of
from invbench.play.asking import artefacts, attack_of, why_unsupported
from invbench.play.preparing import preparations, prepared
from invbench.play.reruns import rerun_artefacts

CPU = torch.device("cpu")
CLIP = {"name": "clip", "norm": 0.5}
KEEPS_TOLD = """
from dataclasses import dataclass
import torch
from invbench.observation import Guess
from invbench.registry import attack, parameter

@attack(game="update")
@dataclass(frozen=True, kw_only=True)
class Listener:
    '''Says which defences it was told of, and what it drew.'''

    def unsupported(self, public):
        return None

    def __call__(self, seen):
        told = [defense.name for defense in seen.public.defenses]
        drawn = float(torch.rand((), generator=seen.generator))
        return Guess(images=torch.zeros(0, *seen.public.image_shape), facts={"told": told, "drawn": drawn})
"""


def pair(folder: Path, name: str = "inverting-gradients", **said: Any) -> tuple[Cell, Cell]:
    """A cell and the one of `adaptive: false`."""
    attacks = [{"name": name}, {"name": name, "adaptive": False}]
    one, other = make_cells(folder, attack=attacks, **{"defense": [CLIP], **said})
    return one, other


def observed(cell: Cell) -> Sequence[Any]:
    """The cell's observations as its attack gets them."""
    return prepared(cell, game_of(cell).deal(cell, CPU).observations)


@pytest.mark.parametrize("name", registry.names("attack"))
def test_every_attack_has_the_setting_and_its_cells_keep_their_ids_and_streams(name: str) -> None:
    part = registry.load("attack", name)
    assert part.settings({})["adaptive"] is True
    assert registry.later_settings("attack", name)["adaptive"] is True
    assert part.short(part.settings({"adaptive": False})) == f"{name}(adaptive=false)"


def test_the_id_knows_it_and_random_streams_do_not(tmp_path: Path) -> None:
    adaptive, naive = pair(tmp_path)
    assert adaptive.id != naive.id
    assert adaptive.attack.key == naive.attack.key
    assert "adaptive" not in adaptive.settings["attack"]
    assert naive.settings["attack"] == adaptive.settings["attack"] | {"adaptive": False}


def test_an_attack_that_is_not_adaptive_is_told_of_no_defence_and_draws_the_same(tmp_path: Path) -> None:
    with plugged(tmp_path, {"attacks.listener": KEEPS_TOLD}):
        adaptive, naive = pair(tmp_path, "listener")
        knows, does_not = (
            [dict(said.facts) for said in attack_of(cell).attack_all(observed(cell))] for cell in (adaptive, naive)
        )
    assert [fact["told"] for fact in knows] == [["clip"], ["clip"]]
    assert [fact["told"] for fact in does_not] == [[], []]
    assert [fact["drawn"] for fact in knows] == [fact["drawn"] for fact in does_not]


def test_both_see_the_same_update_of_the_same_model(tmp_path: Path) -> None:
    seen = [observed(cell) for cell in pair(tmp_path)]
    for one, other in zip(*seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.update, other.update, strict=True))
        assert one.public.protocol_settings == other.public.protocol_settings
    assert seen[1][0].public is seen[1][1].public, "what several observations share stays shared"


def test_without_a_defence_it_is_the_cell_of_its_twin_and_costs_nothing(tmp_path: Path) -> None:
    attacks = ["inverting-gradients", {"name": "inverting-gradients", "adaptive": False}]
    cells = make_cells(tmp_path, attack=attacks, defense=["none", CLIP])
    assert [cell.names["attack"] + " " + cell.names["defense"] for cell in cells] == [
        "inverting-gradients none",
        "inverting-gradients clip(norm=0.5)",
        "inverting-gradients(adaptive=false) clip(norm=0.5)",
    ]
    assert make_cell(tmp_path, attack=attacks[1]).id == cells[0].id


def test_it_refuses_what_its_attack_would_refuse_undefended(tmp_path: Path) -> None:
    """peel needs values and refuses signs; who knows of no defence takes them for values."""
    adaptive, naive = pair(tmp_path, "peel", defense=["sign"])
    assert why_unsupported(adaptive) == "needs the values of an update, and only signs are shared"
    assert why_unsupported(naive) is None
    assert attack_of(naive) == attack_of(adaptive), "the attack itself has no such setting"


def test_the_noise_control_is_computed_once_for_both(tmp_path: Path) -> None:
    adaptive, naive = (rerun_artefacts(cell, "cpu") for cell in pair(tmp_path, controls=["noise"]))
    assert adaptive["noise"].name == naive["noise"].name


def test_shadow_models_of_one_that_is_not_adaptive_are_undefended(tmp_path: Path) -> None:
    attacks = ["lira", {"name": "lira", "adaptive": False}]
    label = {"name": "label-smoothing"}
    cells = make_cells(tmp_path, attack=attacks, protocol="released", defense=["none", label], batch_size=[1])
    plain, knows, does_not = (preparations(cell)["shadows"].name for cell in cells)
    assert plain == does_not
    assert plain != knows
    assert artefacts(cells[2])


def test_a_plug_in_gets_it_and_may_not_declare_it(tmp_path: Path) -> None:
    own = KEEPS_TOLD.replace(
        "    def unsupported", "    adaptive: bool = parameter(True, help='theirs')\n\n    def unsupported"
    )
    refusal = pytest.raises(registry.BrokenPart, match="Listener declares 'adaptive': every attack has that setting")
    with plugged(tmp_path, {"attacks.listener": own}), refusal:
        registry.load("attack", "listener")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("{name: dlg, adaptve: false}", "nearest: 'adaptive'"), ("{name: dlg, adaptive: 3}", "must be true or false")],
)
def test_bad_input_is_refused_with_the_place(tmp_path: Path, wrong: str, message: str) -> None:
    write_pool(tmp_path / "pool.npz")
    text = f"dataset: {{name: npz, path: pool.npz}}\ngrid:\n  model: lenet\n  attack: [{wrong}]\n"
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(matrix.MatrixErrors) as refused:
        matrix.load(tmp_path / "m.yaml")
    assert message in str(refused.value)
    assert "m.yaml:4:" in str(refused.value)
