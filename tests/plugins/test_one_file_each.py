"""Each file of the package taken away costs the cells that name it, and no other cell a digit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from installed import PARTS, install, installed
from small_cells import write_pool

from invbench import matrix
from invbench.core.errors import Refusal
from invbench.play.playing import play

TINY = {"name": "tiny", "trained": True, "training_steps": 5}
MLP = {"name": "mlp", "width": 4, "depth": 1}
UPDATES = {"attack": "random-search", "model": MLP, "batch_size": 2, "defense": "none"}
MEMBERS = {"attack": "confidence", "model": TINY, "defense": "none", "dataset": "few-digits"}
GAME = {"games/presence", "protocol/access", "attacks/confidence", "models/tiny", "data/few_digits"}
SEARCH = {"attacks/random_search"}
CELLS: list[tuple[dict[str, Any], set[str]]] = [
    (MEMBERS, GAME),
    (
        MEMBERS | {"attack": {"name": "shadows", "training_steps": 5}},
        (GAME - {"attacks/confidence"}) | {"attacks/shadows"},
    ),
    (MEMBERS | {"defense": "smooth-network"}, GAME | {"defenses/smooth_network"}),
    (MEMBERS | {"defense": "smoothed-labels"}, GAME | {"defenses/smoothed_labels"}),
    (MEMBERS | {"defense": "round-answers"}, GAME | {"defenses/round_answers"}),
    (UPDATES, SEARCH),
    (UPDATES | {"model": "tiny"}, SEARCH | {"models/tiny"}),
    (UPDATES | {"protocol": "half-batch"}, SEARCH | {"protocol/half_batch"}),
    (UPDATES | {"defense": "input-noise"}, SEARCH | {"defenses/input_noise"}),
    (UPDATES | {"defense": "equal-examples"}, SEARCH | {"defenses/equal_examples"}),
    (UPDATES | {"defense": "short-floats"}, SEARCH | {"defenses/short_floats"}),
    (
        UPDATES | {"defense": "median-client", "protocol": {"name": "fedsgd", "clients": 3}},
        SEARCH | {"defenses/median_client"},
    ),
    (UPDATES | {"attack": "analytic", "batch_size": 1}, set()),
]
"""Cells and the files of the package that each names, itself or through its game."""


def written(folder: Path, cells: list[dict[str, Any]]) -> Path:
    """Their matrix. The pictures have two channels, for which LPIPS, the slowest metric, is not defined."""
    if not (folder / "pool.npz").exists():
        write_pool(folder / "pool.npz", np.random.default_rng(0).random((12, 2, 4, 4), dtype=np.float32))
    said = {"name": "m", "dataset": {"name": "npz", "path": "pool.npz"}, "targets": 1, "include": cells}
    (folder / "m.yaml").write_text(yaml.safe_dump(said))
    return folder / "m.yaml"


def outcomes(folder: Path, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The record of each cell, without what a clock or the memory measured."""
    found = []
    for cell in matrix.load(written(folder, cells), []).cells:
        record = play(cell, "cpu").record
        assert record.status == "ok", record.reason
        found.append({key: value for key, value in vars(record).items() if key not in ("seconds", "memory_mb")})
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """Every cell's record with the whole package installed."""
    folder = tmp_path_factory.mktemp("whole")
    with installed(install(folder / "site")):
        yield outcomes(folder, [cell for cell, _ in CELLS])


def test_every_part_but_metric_and_sheet_is_named_by_a_cell() -> None:
    named = set().union(*(files for _, files in CELLS))
    of_other_data = {"defenses/short_lines", "defenses/half_moment"}  # text and tables: `test_contracts.py` tries them
    assert set(PARTS) - named == {"metrics/mse", "sheets/presence"} | of_other_data


@pytest.mark.filterwarnings("ignore:metric mse is left out")
@pytest.mark.parametrize("part", PARTS)
def test_without_a_file_its_cells_are_refused_and_all_others_are_what_they_were(
    part: str, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    left = [k for k, (_, files) in enumerate(CELLS) if part not in files]
    with installed(install(tmp_path / "site", without=[part])):
        found = outcomes(tmp_path, [CELLS[k][0] for k in left])
        for cell, files in CELLS:
            if part in files:
                with pytest.raises(Refusal, match=f"No module named 'theirs.{part.replace('/', '.')}'"):
                    matrix.load(written(tmp_path, [cell]), [])
    lost = {"mse"} if part == "metrics/mse" else set()
    assert len(found) == len(left) > 0
    assert [without(record, lost) for record in found] == [without(whole[k], lost) for k in left]


def without(record: dict[str, Any], metrics: set[str]) -> dict[str, Any]:
    """The record without these metrics, its own and its controls'."""

    def kept(scores: dict[str, Any]) -> dict[str, Any]:
        return {name: values for name, values in scores.items() if name not in metrics}

    controls = {name: kept(scores) for name, scores in record["controls"].items()}
    return record | {"scores": kept(record["scores"]), "controls": controls}
